"""Users' own mask templates: RGBA pictures with key points, as JSON or as INI files of existing sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from data_manifests.errors import ConfigError, StageError
from synth.ages import load_kept_prototypes
from synth.masks import compose, load_templates, measure_scene, render_mask
from synth.masks.parameters import sample_parameters
from synth.masks.user_templates import load_kept_template
from tests.support.synth_faces import make_landmarks, make_photo, write_mask

PHOTO, MARKS = make_photo(), make_landmarks()


def test_user_template(tmp_path: Path) -> None:
    mine = load_templates(write_mask(tmp_path))
    result = compose(PHOTO, MARKS, mask_type="mine", templates=mine, seed=1)
    red, green, blue = result.image[result.alpha > 0.95].mean(0)
    assert red > 2 * green
    assert red > 2 * blue
    assert result.parameters["template_sha256"] == mine["mine"].sha256
    assert not any(sample_parameters("mine", "worn", seed, 0, mine)["flipped"] for seed in range(8))  # may carry text
    assert np.array_equal(
        render_mask(PHOTO, measure_scene(PHOTO, MARKS), result.parameters, templates=mine).image, result.image
    )


def test_ini_of_existing_sets(tmp_path: Path) -> None:
    write_mask(tmp_path / "masks")
    (tmp_path / "masks" / "mine.json").unlink()
    points = "mask_a: 10, 12\nmask_b: 100, 10\nmask_c: 190, 12\nmask_d: 10, 108\nmask_e: 100, 110\nmask_f: 190, 108\n"
    text = "".join(f"[{name}]\ntemplate: masks/mine.png\n{points}\n" for name in ("red", "red_left", "lone_right"))
    (tmp_path / "masks" / "masks.cfg").write_text(text + "[empty]\n[inpaint]\n")
    found = load_templates(tmp_path / "masks")
    assert sorted(found) == ["lone_right", "red"]
    assert compose(PHOTO, MARKS, mask_type="red", templates=found).coverage["mouth_score"] > 0.97


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"template": "gone.png"}, "picture not found"),
        ({"template": 3}, "must name an RGBA picture"),
        ({"key_points": None}, "key_points"),
        ({"key_points": {"top_left": [1, 2]}}, "top_middle is missing"),
        ({"straps": "glue"}, "straps must be one of"),
        ({"strap_rgb": [1]}, "strap_rgb must be 3 numbers"),
    ],
)
def test_broken_user_templates(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_templates(write_mask(tmp_path, **change))


def test_broken_user_pictures(tmp_path: Path) -> None:
    folder = write_mask(tmp_path / "a")
    cv2.imwrite(str(folder / "mine.png"), np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(ConfigError, match="must be RGBA"):
        load_templates(folder)
    (folder / "mine.png").write_bytes(b"not a picture")
    with pytest.raises(ConfigError, match="not a readable picture"):
        load_templates(folder)
    cv2.imwrite(str(folder / "mine.png"), np.zeros((20, 20, 4), np.uint8))
    with pytest.raises(ConfigError, match="transparent"):
        load_templates(folder)
    with pytest.raises(ConfigError, match="not found"):
        load_templates(tmp_path / "nowhere")
    (tmp_path / "b").mkdir()
    with pytest.raises(ConfigError, match="no masks"):
        load_templates(tmp_path / "b")


def test_the_hash_covers_picture_key_points_and_straps(tmp_path: Path) -> None:
    hashes = {
        load_templates(write_mask(tmp_path / f"{place}", **change))["mine"].sha256
        for place, change in enumerate(({}, {}, {"strap_rgb": [9, 9, 9]}, {"straps": "none"}))
    }
    assert len(hashes) == 3


@pytest.mark.parametrize("sha256", ["../../x", "/etc/x", "A" * 64])
def test_a_hash_in_mask_parameters_cannot_name_another_file(tmp_path: Path, sha256: str) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(StageError, match="is not in"):
        load_kept_template(tmp_path / "a" / "b", sha256)
    with pytest.raises(StageError, match="must be named by a SHA-256"):
        load_kept_prototypes(tmp_path, sha256)
