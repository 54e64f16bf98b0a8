"""The stages over a manifest and over a plain folder: rows, ledgers, fallbacks, commands."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from skimage.data import astronaut

from data_manifests.errors import BackendError, ConfigError, StageError
from data_manifests.versions.store import Store
from pipeline.photos.folders import find_pictures, output_names
from pipeline.photos.images import load_rgb, save_rgb
from pipeline.settings import load_settings
from preprocess.cli import cli
from preprocess.folder import run_folder
from preprocess.run import run_all, run_drop_ages, run_one
from preprocess.settings import BackgroundSettings, DetectSettings, LandmarkSettings, PreprocessSettings
from preprocess.stages.face import landmarks_step
from synth.demo_faces.parameters.sampling import make_people, sample_snapshot
from synth.demo_faces.rendering.portrait import build_model, render_snapshot
from tests.conftest import write_photos
from tests.support.manifest_tables import manifest
from tests.support.partial_sets import partial_table

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SERIAL = {"executor": "serial", "background": {"backend": "grabcut"}}


@pytest.fixture(scope="module")
def person() -> np.ndarray:
    rng = np.random.default_rng(4)
    return render_snapshot(build_model(make_people(1, rng)[0]), sample_snapshot(rng)).image


@pytest.fixture
def faces(store: Store, tmp_path: Path, person: np.ndarray) -> str:
    """Five rows: a photo, a rendered person, two faces side by side, a wall, a file that is gone."""
    folder = tmp_path / "photos"
    write_photos(store, folder, 5, "faces")
    photo = astronaut()
    two = np.hstack([photo[:, 60:400], photo[:, 400:60:-1]])
    wall = np.full((300, 200, 3), 120, np.uint8)
    gone = np.full((300, 200, 3), 90, np.uint8)  # with other bytes: equal ones would give the row their result
    table = store.read("faces").table
    saved = [save_rgb(picture, folder, f"p{i:03d}.png") for i, picture in enumerate((photo, person, two, wall, gone))]
    (folder / saved[4].path).unlink()
    position = table.column_names.index("sha256")
    table = table.set_column(position, "sha256", pa.array([image.sha256 for image in saved]))
    split = table.column_names.index("split")
    table = table.set_column(split, "split", pa.array(["train", "train", "val", "train", "train"]))
    age = table.column_names.index("age")
    table = table.set_column(age, "age", pa.array([58, 59, 58, 40, 40], pa.int32()))
    store.write("faces", table, "edit", parents=[store.version("faces")])
    return "faces"


def settings(**more: object) -> PreprocessSettings:
    return PreprocessSettings.model_validate(SERIAL | more)


def test_run_goes_from_photos_to_faces_before_grey(store: Store, faces: str) -> None:
    prepared, removed, dropped = run_all(faces, store, settings(drop_ages={"ages": "58"}))
    assert prepared.ledger == {"failed": 1, "fallback": 1, "ok": 3}
    rows = store.read(prepared.ref).table.to_pylist()

    for row in rows[:3]:
        assert row["parent_id"] != row["sample_id"]
        assert (row["width_px"], row["height_px"]) == (256, 256)
        assert row["detection_score"] > 0.95
        landmarks = np.array(row["landmarks_xy"]).reshape(68, 2)
        x0, y0, x1, y1 = row["box_xyxy"]
        inside = (landmarks > [x0 - 30, y0 - 30]) & (landmarks < [x1 + 30, y1 + 30])
        assert inside.all()
        assert np.allclose([(x0 + x1) / 2, (y0 + y1) / 2], 127.5, atol=0.5)  # the crop is about the face
    assert rows[2]["faces"] == 2
    assert rows[2]["reason"].startswith("detect: 2 faces, took")
    assert (rows[3]["status"], rows[3]["faces"], rows[3]["landmarks_xy"]) == ("fallback", 0, None)
    assert rows[3]["reason"] == "detect: no face found, took the middle of the picture"
    assert (rows[4]["status"], rows[4]["box_xyxy"]) == ("failed", None)
    assert "p004.png: file does not exist" in rows[4]["reason"]

    before, after = rows[0], store.read(removed.ref).table.to_pylist()[0]
    assert after["parent_id"] == before["sample_id"]
    assert after["landmarks_xy"] == before["landmarks_xy"]
    assert "background:grabcut@" in after["made_by"]
    picture = load_rgb(store.file_of(after["root"], after["path"]))
    assert np.abs(picture[:20, :20].astype(int) - 127).mean() < 10

    assert store.read(dropped.ref).table.column("status").to_pylist() == ["excluded", "ok", "ok", "fallback", "failed"]

    with pytest.raises(StageError, match=r"the step 'crop' has already run on faces@\d+"):
        run_all(faces, store, settings())


def test_steps_one_by_one_give_the_crop_of_the_fused_pass(store: Store, faces: str) -> None:
    (fused,) = run_all("faces@2", store, settings(steps=["crop"]))
    ref = "faces@2"
    for name in ("detect", "landmarks", "crop"):
        ref = run_one(name, ref, store, settings()).version.ref
    columns = ["sha256", "box_xyxy", "landmarks_xy", "status", "reason"]
    one_pass, in_steps = (store.read(each, columns).table.to_pylist() for each in (fused.ref, ref))
    assert one_pass[:4] == in_steps[:4]


def test_a_stage_asks_for_the_one_before(store: Store, faces: str) -> None:
    with pytest.raises(StageError, match="needs the column 'box_xyxy'"):
        run_one("crop", faces, store, settings())


def test_absent_weights_stop_a_run_before_its_first_picture(
    store: Store, faces: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    with pytest.raises(BackendError, match=r"u2net.onnx .* background.backend=grabcut"):
        run_all(faces, store, PreprocessSettings(background=BackgroundSettings(backend="rembg")))
    assert store.version(faces).number == 2


def test_landmarks_off_the_face_give_way_to_the_mean_shape() -> None:
    points = np.array([[60, 60], [100, 60], [80, 85], [65, 105], [95, 105]], np.float32)
    record = {"faces": 1, "box_xyxy": [40, 30, 120, 130], "points_xy": points.ravel().tolist()}
    step = landmarks_step(LandmarkSettings(max_disagreement=1e-6), DetectSettings())
    strict = step.make(**step.params)
    outcome = strict(record, np.full((200, 160, 3), 90, np.uint8))
    assert outcome.status == "fallback"
    assert "took the mean shape" in outcome.reason
    assert outcome.columns["landmarks_xy"].shape == (68, 2)


def test_relabel_writes_a_version_with_its_own_cuts(store: Store, faces: str) -> None:
    asked = settings(drop_ages={"ages": "58-59", "policy": "relabel"}).drop_ages
    version = run_drop_ages(faces, store, asked)
    assert version.age_cuts == (30, 58)
    assert store.read(version.ref).table.column("age_class").to_pylist() == [2, 2, 2, 1, 1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"detect.backend": "retina"}, r"detector must be one of \{mtcnn\}. Got 'retina' instead"),
        ({"detect.params": "{min_face: 3}"}, r"parameter of mtcnn must be one of \{min_face_px, .*Got 'min_face'"),
        ({"crop.border": "wrap"}, "crop.border"),
        ({"crop.margins": "1"}, r"setting must be one of \{when, margin_share, size_wh"),
        ({"crop.margin": "0.3"}, r"setting 'crop.margin' is now named 'crop.margin_share'"),
        ({"background.backend": "photoshop"}, r"background.backend must be one of \{auto, none, rembg, grabcut\}"),
    ],
)
def test_a_wrong_setting_is_told_with_the_choices(
    store: Store, faces: str, words: dict[str, str], message: str
) -> None:
    def run_with_setting() -> None:
        step = "background" if "background.backend" in words else "detect"
        run_one(step, faces, store, load_settings(PreprocessSettings, None, words))

    with pytest.raises((BackendError, ConfigError), match=message):
        run_with_setting()


# a plain folder ----------------------------------------------------------------------------------------------------
def test_names_that_would_meet_keep_their_suffix() -> None:
    assert output_names(["a/b.png", "a/b.webp", "a/c.JPG", "b.png"]) == [
        "a/b.png.jpg",
        "a/b.webp.jpg",
        "a/c.jpg",
        "b.jpg",
    ]


def test_a_folder_keeps_its_tree_and_tells_of_every_file(store: Store, tmp_path: Path, person: np.ndarray) -> None:
    src, out = tmp_path / "in", tmp_path / "out"
    save_rgb(person, src, "x/face.png")
    save_rgb(astronaut(), src, "y/deep/face.jpg")
    save_rgb(np.full((90, 80, 3), 99, np.uint8), src, "wall.png")
    (src / "y" / "torn.jpg").write_bytes((src / "y" / "deep" / "face.jpg").read_bytes()[:3000])
    (src / "x" / "._face.png").write_bytes(b"not a picture")
    (src / "notes.txt").write_text("hello")
    assert find_pictures(src) == ["wall.png", "x/face.png", "y/deep/face.jpg", "y/torn.jpg"]

    first = run_folder(settings(), src, out, store)
    assert first.ledger == {"ok": 2, "fallback": 1, "failed": 1}
    with (out / "preprocess.csv").open(encoding="utf-8-sig") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert [rows[name]["output"] for name in ("x/face.png", "y/deep/face.jpg")] == ["x/face.jpg", "y/deep/face.jpg"]
    assert load_rgb(out / "x/face.jpg").shape == (256, 256, 3)
    assert rows["wall.png"]["status"] == "fallback"
    assert rows["y/torn.jpg"]["output"] == ""
    assert "torn.jpg: cannot be decoded" in rows["y/torn.jpg"]["reason"]
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == [
        "face.jpg", "face.jpg", "preprocess.csv", "wall.jpg",
    ]  # fmt: skip

    again = run_folder(settings(), src, out, store)
    assert (again.reused, again.ledger) == (3, first.ledger)  # what could not be read is tried again
    with pytest.raises(StageError, match="OUT must be outside SRC"):
        run_folder(settings(), src, src / "out", store)


# commands ----------------------------------------------------------------------------------------------------------
def test_the_command_line_runs_and_ends_with_the_ledger(
    store: Store, faces: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    done = CliRunner().invoke(cli, ["detect", faces, "executor=serial"], catch_exceptions=False)
    assert done.exit_code == 0
    last, following = done.output.strip().splitlines()[-2:]
    assert following == "next: facecurate preprocess landmarks faces@3"
    assert "ok 3 + fallback 1 + excluded 0 + failed 1 = 5 rows in" in last
    assert last.endswith("wrote faces@3")
    done = CliRunner().invoke(cli, ["drop-ages", "faces@2", "--ages", "58,59", "--splits", "train,val"])
    assert "5 rows (ok 2, fallback 0, failed 0, excluded 3)\nnext: facecurate split faces@4" in done.output
    assert "drop-ages: excluded 3 of 5 rows, ages 58,59 in train, val (drop_ages.ages=58,59;" in done.output
    assert isinstance(CliRunner().invoke(cli, ["drop-ages", "faces@2"]).exception, ConfigError)


@pytest.mark.parametrize(
    ("labelled", "expected"),
    [
        ("mixed", "facecurate synth run set@2 --tag balanced"),
        ("gender+age", "facecurate train fit set@2"),  # no photo is known to be bare, so there is nothing to balance
        ("none", "facecurate app"),
    ],
)
@pytest.mark.parametrize("prepared", [{"parent_id": "a photo"}, {"made_by": "detect:mtcnn; crop:3"}])
def test_the_next_command_suits_the_labels(
    store: Store, monkeypatch: pytest.MonkeyPatch, labelled: str, expected: str, prepared: dict[str, str]
) -> None:
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    rows = partial_table(labelled, **prepared).to_pylist()
    for i, row in enumerate(rows):
        row["split"] = "val" if i % 4 == 3 else "train"
    store.write("set", manifest(rows), "ingest")
    done = CliRunner().invoke(cli, ["drop-ages", "set@1", "--ages", "58"], catch_exceptions=False)
    assert done.output.splitlines()[-1] == f"next: {expected}"
    stay = ["steps=[drop_ages]", "drop_ages.ages=57-59", "--tag", "preprocessed"]
    done = CliRunner().invoke(cli, ["run", "set@1", *stay], catch_exceptions=False)
    assert done.output.splitlines()[-1] == f"next: {expected.replace('@2', '@3')}"
