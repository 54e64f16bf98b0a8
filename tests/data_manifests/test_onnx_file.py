"""Loading of ONNX files: whatever the file holds, the result is a session or one line."""

import pytest

from data_manifests.errors import BackendError
from data_manifests.files import load_onnx


@pytest.mark.parametrize("content", [b"", b"no network", b"\x08\x07" + b"\xff" * 500, None])
def test_a_file_that_is_no_network_is_one_line(content, tmp_path):
    path = tmp_path / "face.onnx"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(BackendError, match=r"face\.onnx") as error:
        load_onnx(path)
    assert "\n" not in str(error.value)
