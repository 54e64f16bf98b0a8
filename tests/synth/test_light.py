"""Light and compression of the photo applied to a mask, and straps hidden by hair."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest

from synth.masks import compose, measure_scene, render_mask
from synth.masks.parameters import sample_parameters
from synth.masks.shading.jpeg import Jpeg, compress, measure_jpeg
from tests.support.synth_faces import make_landmarks, make_photo, mirror

PHOTO, MARKS = make_photo(), make_landmarks()


def as_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)


def test_side_light_stays_on_the_mask() -> None:
    """Light from the image's right leaves the right half of a white mask brighter, mirrored or not."""
    for sign, flipped in product((1, -1), (False, True)):
        photo = make_photo(side_light=sign * 0.9)
        scene = measure_scene(photo, MARKS)
        result = render_mask(
            photo, scene, sample_parameters("kn95_white", "worn", 5) | {"flipped": flipped, "relief": 0.5}
        )
        grey = result.image.mean(-1)
        cols = np.arange(256) < 128
        left, right = (grey[(result.alpha > 0.95) & half].mean() for half in (cols[None], ~cols[None]))
        assert (right - left) * sign > 25


def test_white_mask_is_white_on_dark_skin() -> None:
    """Exposure comes from the highlights, not from the skin: halving the skin halves nothing else."""
    dark = make_photo()
    y, x = np.mgrid[0:256, 0:256] / 256 - 0.5
    skin = (x / 0.30) ** 2 + (y / 0.42) ** 2 < 1
    dark[skin] = (dark[skin] * 0.35).astype(np.uint8)
    dark[60:70, 100:156] = 190  # a highlight on the forehead
    light = compose(PHOTO, MARKS, mask_type="kn95_white", seed=2)
    done = compose(dark, MARKS, mask_type="kn95_white", seed=2)
    ratio = done.image[done.alpha > 0.95].mean() / light.image[light.alpha > 0.95].mean()
    assert ratio > 0.55


def test_straps_reach_beyond_the_fabric() -> None:
    """Straps hold the mask: alpha reaches the face's edge at the height of the ears on both sides."""
    alpha = compose(PHOTO, MARKS, seed=1).alpha
    for k in (0, 16):
        x, y = MARKS[k].astype(int)
        assert alpha[y - 4 : y + 14, x - 12 : x + 13].max() > 0.5


@pytest.mark.parametrize("quality", [35, 60, 85, 90])
def test_the_quality_of_a_jpeg_is_read_from_its_pixels(quality: int) -> None:
    photo = as_jpeg(PHOTO, quality)
    found = measure_jpeg(photo, (40, 40, 216, 240), mirrored=False)
    assert found is not None
    assert abs(found.quality - quality) <= 1
    assert found.origin_xy == (0, 0)


def test_no_compression_is_seen_where_there_is_no_grid() -> None:
    """Uncompressed, hardly compressed, resized afterwards, and a grid that starts inside a block."""
    shrunk = cv2.resize(as_jpeg(PHOTO, 60), (230, 230), interpolation=cv2.INTER_AREA)
    for photo in (PHOTO, as_jpeg(PHOTO, 98), shrunk, np.ascontiguousarray(as_jpeg(PHOTO, 60)[3:250, 5:249])):
        assert measure_jpeg(np.asarray(photo, np.uint8), (40, 40, 200, 220), mirrored=False) is None


def test_a_mirrored_jpeg_has_its_grid_at_the_other_border() -> None:
    photo = np.ascontiguousarray(as_jpeg(PHOTO, 50)[:, :251])
    for image, mirrored in ((photo, False), (np.ascontiguousarray(photo[:, ::-1]), False), (photo, True)):
        found = measure_jpeg(image, (40, 40, 200, 220), mirrored=mirrored)
        assert found is not None
        assert found.origin_xy == ((0, 0) if image is photo and not mirrored else (251 % 8, 0))


@pytest.mark.parametrize("width", [400, 395])
def test_fabric_is_as_compressed_as_the_photo(width: int) -> None:
    """The fabric has the photo's quantisation steps and grid; a mirrored JPEG gives the mirrored result."""
    raw, marks = make_photo(400), make_landmarks(400, width=210)
    photo = np.ascontiguousarray(as_jpeg(raw, 50)[:, :width])
    done, plain = (compose(image, marks, mask_type="cloth_patterned", seed=4) for image in (photo, raw))
    y, x = (int(v) for v in np.argwhere(done.alpha > 0.98).mean(0))
    box = (x - 56, y - 40, x + 56, y + 40)
    assert done.alpha[box[1] : box[3], box[0] : box[2]].min() > 0.98
    found = measure_jpeg(done.image, box, mirrored=False)
    assert found is not None
    assert abs(found.quality - 50) <= 2
    assert measure_jpeg(plain.image, box, mirrored=False) is None
    other = compose(*mirror(photo, marks), mask_type="cloth_patterned", seed=4)
    assert np.array_equal(other.image[:, ::-1], done.image)


def test_compressing_twice_changes_next_to_nothing() -> None:
    jpeg = Jpeg(60, (0, 0))
    once = compress(PHOTO, jpeg)
    assert np.abs(once.astype(int) - PHOTO).mean() > 1
    assert np.abs(compress(once, jpeg).astype(int) - once).mean() < 0.4


def test_straps_end_at_the_hair() -> None:
    """Long dark hair over the ears: no strap lies on it, and on a bare head straps reach the ears."""
    bare = compose(PHOTO, MARKS, mask_type="surgical_white", seed=1)
    hair = np.zeros((256, 256), bool)
    hair[:, : int(MARKS[1, 0]) + 6] = hair[:, int(MARKS[15, 0]) - 6 :] = True
    photo = PHOTO.copy()
    photo[hair] = np.random.default_rng(0).integers(15, 35, (int(hair.sum()), 1)).astype(np.uint8)
    behind = compose(photo, MARKS, mask_type="surgical_white", seed=1)
    ears = hair & (np.arange(256)[:, None] < MARKS[2, 1])
    assert (bare.alpha[ears] > 0.5).sum() > 40
    assert (behind.alpha[ears] > 0.5).sum() < 0.3 * (bare.alpha[ears] > 0.5).sum()


def test_straps_lie_on_a_beard() -> None:
    beard = np.zeros((256, 256), np.uint8)
    cv2.fillPoly(beard, [np.rint(np.vstack([MARKS[3:14], MARKS[54:47:-1]])).astype(np.int32)], 1)
    photo = PHOTO.copy()
    photo[beard > 0] = (48, 38, 32)
    assert measure_scene(photo, MARKS).light.bearded
    assert not measure_scene(PHOTO, MARKS).light.bearded
    bare, bearded = (compose(image, MARKS, placement="under_chin", seed=2).alpha for image in (PHOTO, photo))
    assert bearded[beard > 0].sum() > 0.85 * bare[beard > 0].sum()
