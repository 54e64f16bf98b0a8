"""Photos are opened and decoded in one place: no module reads one with a call of its own."""

from __future__ import annotations

import re

from tests.support.code_base import PACKAGES, ROOT, module_files

_DECODERS = re.compile(r"\bImage\.open\((?!.*formats=)|\bcv2\.(imread|imdecode)\(|\bplt\.imread\(")
ALLOWED = {
    "synth/demo_faces/dataset/person_photos.py",  # bytes that it has encoded itself
    "pipeline/photos/images.py",  # 16 bits per colour, of bytes that Pillow has decoded already
    "synth/masks/user_templates.py",  # an RGBA picture, read by `read_photo`
    "synth/masks/shading/jpeg.py",  # bytes that it has encoded itself
}


def test_no_module_decodes_a_photo_by_itself() -> None:
    found = {
        file.relative_to(ROOT).as_posix()
        for file in module_files(PACKAGES)
        if _DECODERS.search(file.read_text("utf8")) and "benchmarks" not in file.parts
    }
    assert found <= ALLOWED, found - ALLOWED
