"""The identity gate, users' networks, prototypes kept in the workspace, the age mover, and the age report."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pyarrow as pa
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests.errors import BackendError, ConfigError, StageError
from data_manifests.schema import BY_NAME, conform
from data_manifests.taxonomy import AgeCuts, age_class_of, class_id_of
from data_manifests.versions.content_hash import sample_id
from data_manifests.versions.store import Store
from pipeline.backends import load_backend
from pipeline.photos.images import save_rgb
from pipeline.settings import load_settings
from synth.ages import prototype_store
from synth.ages.age_mover import make_age_mover
from synth.ages.frame import transform_points
from synth.ages.identity_gate import IdentityGate, make_identity_gate
from synth.ages.learn import Picture
from synth.ages.move import move_age
from synth.ages.prototype_store import ensure_prototypes, load_kept_prototypes
from synth.ages.prototypes import Prototypes
from synth.ages.report import LabelledFace, age_report
from synth.ages.settings import AgeSettings, sample_target_age
from synth.ages.user_network import age_by_network, ffhq_square
from synth.cli import cli
from tests.support.synth_faces import OLD, YOUNG, aged_people, aged_prototypes


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return aged_people()


@pytest.fixture(scope="module")
def prototypes() -> Prototypes:
    return aged_prototypes()


# -- gate -----------------------------------------------------------------------------------------------------------


def test_the_gate_compares_with_the_published_distance(pictures: list[Picture]) -> None:
    image, landmarks, *_ = pictures[0]
    vectors = iter([np.zeros(128), np.full(128, 0.59 / 128**0.5), np.zeros(128), np.full(128, 0.61 / 128**0.5)])
    gate = IdentityGate(lambda *_: next(vectors))
    assert gate.check(image, landmarks, image, landmarks) == pytest.approx(0.59)
    with pytest.raises(StageError, match=r"no longer the same person: distance 0\.61"):
        gate.check(image, landmarks, image, landmarks)


def test_the_gate_checks_the_position_of_the_face(pictures: list[Picture]) -> None:
    image, landmarks, *_ = pictures[0]
    away = IdentityGate(lambda *_: np.zeros(128), lambda *_: landmarks + np.float32([0, 40]))
    with pytest.raises(StageError, match="not at its expected position"):
        away.check(image, landmarks, image, landmarks)
    folded = landmarks.copy()
    folded[8] = landmarks[27] - [0, 60]
    with pytest.raises(StageError, match="chin lies above"):
        IdentityGate(lambda *_: np.zeros(128)).check(image, landmarks, image, folded)


def test_the_gate_accepts_a_moved_face(pictures: list[Picture], prototypes: Prototypes) -> None:
    image, landmarks, gender, _ = pictures[0]
    moved = move_age(image, landmarks, gender, YOUNG, OLD, prototypes)
    assert 0 < make_identity_gate().check(image, landmarks, moved.image, moved.landmarks_xy) < 0.6


def test_the_embedder_takes_landmarks_or_a_box(pictures: list[Picture]) -> None:
    image, landmarks, *_ = pictures[0]
    embed = load_backend("embedder", "dlib_face").make()
    by_points = embed(image, landmarks)
    assert by_points.shape == (128,)
    assert by_points.dtype == np.float32
    box = np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)])
    assert np.linalg.norm(by_points - embed(image, box)) < 0.6
    with pytest.raises(StageError, match=r"Got \(3,\) instead"):
        embed(image, np.zeros(3))
    with pytest.raises(StageError, match="finite"):
        embed(image, np.full(4, np.nan))


# -- users' own networks --------------------------------------------------------------------------------------------


class _Brighter(torch.nn.Module):
    """Adds the age, in units of 100 years, to the image."""

    def forward(self, image: torch.Tensor, age: torch.Tensor) -> torch.Tensor:
        return image + age.view(-1, 1, 1, 1)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("networks")
    torch.jit.script(_Brighter()).save(str(folder / "brighter.pt"))
    make = onnx.helper.make_tensor_value_info
    shape = [1, 3, "S", "S"]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["image", "age"], ["aged"])],
        "brighter",
        [make("image", onnx.TensorProto.FLOAT, shape), make("age", onnx.TensorProto.FLOAT, [1])],
        [make("aged", onnx.TensorProto.FLOAT, shape)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "brighter.onnx"))
    return {"torchscript": folder / "brighter.pt", "onnx": folder / "brighter.onnx"}


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_a_network_ages_the_face_and_nothing_else(
    pictures: list[Picture], networks: dict[str, Path], kind: str
) -> None:
    image, landmarks, *_ = pictures[0]
    ager = load_backend("ager", kind).make(path=str(networks[kind]), low=0.0, high=1.0)
    assert (age_by_network(image, landmarks, 0, ager, 128) == image).all()
    aged = age_by_network(image, landmarks, 20, ager, 128)  # 0.2 of 255 levels
    middle = landmarks[27:31].mean(axis=0).astype(int)
    there = image[middle[1], middle[0]].astype(int)
    np.testing.assert_allclose(aged[middle[1], middle[0]], np.minimum(there + 51, 255), atol=2)
    corners = (slice(None, None, image.shape[0] - 1), slice(None, None, image.shape[1] - 1))
    assert (aged[corners] == image[corners]).all()


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_a_file_that_is_not_a_network(tmp_path: Path, kind: str) -> None:
    backend = load_backend("ager", kind)
    for use in (backend.check, backend.make):
        with pytest.raises(
            BackendError, match=r"does not exist: put the exported file there, or choose ager=prototypes"
        ):
            use(path=str(tmp_path / "none"))
    (tmp_path / "bad").write_bytes(b"not a network")
    with pytest.raises(BackendError, match="bad is not a"):
        backend.make(path=str(tmp_path / "bad"))


def test_a_network_with_another_output_shape_is_refused(pictures: list[Picture]) -> None:
    image, landmarks, *_ = pictures[0]
    with pytest.raises(StageError, match=r"must return \(64, 64, 3\) uint8"):
        age_by_network(image, landmarks, 60, lambda crop, age: crop[:32], 64)


@settings(deadline=None)
@given(roll_deg=st.floats(-40, 40))
def test_the_crop_of_the_network_has_level_eyes(prototypes: Prototypes, roll_deg: float) -> None:
    landmarks = prototypes.mean_xy
    turn = cv2.getRotationMatrix2D((192, 256), roll_deg, 1.0)
    corners = ffhq_square(transform_points(turn, landmarks))
    np.testing.assert_allclose(corners, transform_points(turn, ffhq_square(landmarks)), atol=1e-6)
    across, down = corners[1] - corners[0], corners[3] - corners[0]
    assert np.hypot(*across) == pytest.approx(np.hypot(*down))
    assert across @ down == pytest.approx(0, abs=1e-6)
    assert down @ (landmarks[8] - landmarks[27]) > 0


# -- settings and the workspace -------------------------------------------------------------------------------------


@pytest.fixture
def manifest(tmp_path: Path, pictures: list[Picture]) -> tuple[Store, pa.Table]:
    """The rendered people as a manifest; the last one is in val."""
    store = Store(tmp_path / "workspace")
    store.set_root("drawn", tmp_path / "drawn")
    rows = []
    for number, (image, landmarks, gender, age) in enumerate(pictures):
        saved = save_rgb(image, tmp_path / "drawn", f"{number:02d}.png")
        name = sample_id(saved.path, saved.sha256)
        rows.append(
            {"sample_id": name, "source_id": name, "root": "drawn", "path": saved.path, "sha256": saved.sha256,
             "person_id": f"{number:02d}", "profile_id": f"{number:02d}", "shot": "normal", "mask": "none",
             "gender": gender, "age": age, "split": "val" if number == 23 else "train", "status": "ok",
             "is_synthetic": False, "landmarks_xy": landmarks.ravel().tolist()}
        )  # fmt: skip
    table = conform(pa.table({n: pa.array([r[n] for r in rows], BY_NAME[n].type) for n in rows[0]}))
    place = table.column_names.index("age_class")
    return store, table.set_column(place, "age_class", age_class_of(table["age"], AgeCuts(30, 60)))


def test_prototypes_are_learned_once_from_train_people(
    manifest: tuple[Store, pa.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, table = manifest
    with pytest.raises(StageError, match="age band from 30 has 0 people"):
        ensure_prototypes(table, store, AgeCuts(30, 60), min_people=5)
    cuts = AgeCuts(23, 45)  # the young in the second band
    with pytest.raises(StageError, match="age band from 0 has 0 people"):
        ensure_prototypes(table, store, cuts, min_people=5)
    young = table["age"].to_pylist()
    young[:6] = [20] * 6
    table = table.set_column(table.column_names.index("age"), "age", pa.array(young, pa.int32()))
    classes = age_class_of(table["age"], cuts)
    table = table.set_column(table.column_names.index("age_class"), "age_class", classes)
    sha256 = ensure_prototypes(table, store, cuts, min_people=5)
    assert load_kept_prototypes(store.workspace, sha256).counts.sum() == 23
    calls = []
    monkeypatch.setattr(prototype_store, "learn_prototypes", lambda *a, **k: calls.append(a) or 1 / 0)
    assert ensure_prototypes(table, store, cuts, min_people=5) == sha256
    with pytest.raises(ZeroDivisionError):
        ensure_prototypes(table, store, cuts, min_people=6)
    assert len(calls) == 1
    name = hashlib.sha256((store.workspace / "ages" / f"{sha256}.npz").read_bytes()).hexdigest()
    assert name == sha256
    with pytest.raises(StageError, match="cannot be read"):
        load_kept_prototypes(store.workspace, "1" * 64)


def test_without_a_face_nothing_is_learned(manifest: tuple[Store, pa.Table]) -> None:
    store, table = manifest
    with pytest.raises(StageError, match="no face to learn ages from: 1 photos, of those 0 in train, of those"):
        ensure_prototypes(table.slice(23), store, AgeCuts())


@settings(deadline=None)
@given(st.integers(0, 2), st.lists(st.integers(0, 116), max_size=5), st.integers(0, 99))
def test_a_drawn_age_lies_in_its_class(age_class: int, ages: list[int], seed: int) -> None:
    cuts = AgeCuts(45, 60)
    low, high = cuts.bounds(age_class)
    drawn = sample_target_age(np.array(ages, int), age_class, cuts, np.random.default_rng(seed))
    assert low <= drawn <= high
    known = [age for age in ages if low <= age <= high]
    assert drawn in known if known else drawn >= 18


def test_age_settings_refuse_invalid_values() -> None:
    assert load_settings(AgeSettings, overrides={"moves": "[[0, 2], [1, 2]]"}).moves == ((0, 2), (1, 2))
    for value in ("[[1, 1]]", "[[1, 3]]"):
        with pytest.raises(ConfigError, match="pairs of different age classes"):
            load_settings(AgeSettings, overrides={"moves": value})
    with pytest.raises(ConfigError):
        load_settings(AgeSettings, overrides={"strength": "3"})


@pytest.mark.parametrize("method", ["prototypes", "onnx"])
def test_the_mover_moves_and_records_its_parameters(
    pictures: list[Picture], prototypes: Prototypes, networks: dict[str, Path], tmp_path: Path, method: str
) -> None:
    image, landmarks, gender, _ = pictures[0]
    sha256 = prototypes.save(tmp_path / "p.npz")
    chosen = AgeSettings(method=method, network_path=str(networks["onnx"]), low=0.0, high=1.0, age_unit_years=2000)
    mover = make_age_mover(chosen, tmp_path / "p.npz", sha256)
    aged = mover(image, landmarks, gender, YOUNG, OLD)
    assert (aged.image != image).any()
    assert aged.parameters["method"] == method
    assert 0 < aged.parameters["distance"] < 0.6
    assert json.loads(json.dumps(aged.parameters)) == aged.parameters
    again = make_age_mover(chosen, tmp_path / "p.npz", sha256)(image, landmarks, gender, YOUNG, OLD)
    assert (again.image == aged.image).all()
    assert again.parameters == aged.parameters


def test_a_mover_without_its_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="method is none"):
        make_age_mover(AgeSettings())
    with pytest.raises(StageError, match="cannot be read"):
        make_age_mover(AgeSettings(method="prototypes"), tmp_path / "none.npz")
    with pytest.raises(BackendError, match="does not exist"):
        make_age_mover(AgeSettings(method="torchscript", network_path=str(tmp_path / "none.pt")))


# -- report ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_report_uses_independent_people(pictures: list[Picture]) -> None:
    faces = [
        LabelledFace(lambda image=image: image, landmarks, gender, age, f"p{i}")  # type: ignore[misc]
        for i, (image, landmarks, gender, age) in enumerate(pictures)
    ]

    def embed(image: np.ndarray, where: np.ndarray) -> np.ndarray:
        return cv2.resize(image, (5, 5), interpolation=cv2.INTER_AREA).ravel().astype(np.float32) / 255

    report = age_report(faces, [45], embed, min_people=3, seed=1)
    assert [(move.direction, move.moved + move.failed) for move in report.moves] == [
        ("0-44 → 45-116", 12),
        ("45-116 → 0-44", 12),
    ]
    older, younger = report.moves
    assert older.gap_years["texture"] == -younger.gap_years["texture"]
    assert older.shift_years["texture"] > 0 > younger.shift_years["texture"]
    assert len(report.lines()) == 3


@pytest.mark.slow
def test_the_report_is_a_command(manifest: tuple[Store, pa.Table], monkeypatch: pytest.MonkeyPatch) -> None:
    store, table = manifest
    cuts, ages = AgeCuts(30, 60), pa.array([24, 45, 72] * 8, table["age"].type)
    table = table.set_column(table.column_names.index("age"), "age", ages)
    table = table.set_column(table.column_names.index("age_class"), "age_class", age_class_of(ages, cuts))
    class_id = class_id_of(table["mask"], table["gender"], table["age_class"])
    store.write(
        "aged", table.set_column(table.column_names.index("class_id"), "class_id", class_id), "split", cuts=cuts
    )
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    words = ["age-report", "aged", "ages.min_people=2"]
    output = CliRunner().invoke(cli, words, catch_exceptions=False).stdout
    assert output.splitlines()[0].startswith("23 people; mean absolute error of the predictors on real faces")
    assert "keep their identity" in output
