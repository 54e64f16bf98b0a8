"""Masks on a plain folder: every kind of file and face has its row, and nothing stops a batch."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from data_manifests.command_line import run as run_cli
from data_manifests.errors import ConfigError, StageError
from pipeline.faces.locate import DetectedFace, LocatedFace
from pipeline.photos.images import load_rgb
from synth.cli import cli
from synth.demo_faces.parameters.sampling import make_people, sample_snapshot
from synth.demo_faces.rendering.portrait import build_model, render_snapshot
from synth.images import ImagesResult, run_images
from synth.mask_choices import mask_type_choices, parse_choices, placement_choices, sample_mask_type
from synth.masks import PLACEMENTS, TYPES, measure_scene, render_mask
from synth.settings import SynthSettings
from tests.support.synth_faces import make_landmarks

PORTRAIT = render_snapshot(
    build_model(make_people(1, np.random.default_rng(4))[0]), sample_snapshot(np.random.default_rng(4))
)
WALL = np.full((300, 200, 3), 120, np.uint8)


def save(path: Path, image: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **options)  # type: ignore[arg-type]


def masked(src: Path, out: Path, masks: tuple[str, ...] = ("kf94_white",), **options: object) -> ImagesResult:
    return run_images(src, out, masks, ("worn",), executor="serial", **options)  # type: ignore[arg-type]


def report(out: Path) -> dict[str, dict[str, str]]:
    """Rows of synth.csv by output, or by file where there is none."""
    with (out / "synth.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["output"] or row["file"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    return PORTRAIT.image


def _turned(path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # shown after a quarter turn to the right
    save(path, np.rot90(PORTRAIT.image), exif=exif)


def _deep(path: Path) -> None:
    Image.fromarray(PORTRAIT.image.mean(axis=2).astype(np.uint16) * 257).save(path)


GOOD: dict[str, Callable[[Path], None]] = {
    "plain.jpg": lambda path: save(path, PORTRAIT.image),
    "deep/er/tree.webp": lambda path: save(path, PORTRAIT.image),
    "grey.png": lambda path: save(path, PORTRAIT.image.mean(axis=2).astype(np.uint8)),
    "rgba.png": lambda path: save(path, np.dstack([PORTRAIT.image, np.full(PORTRAIT.image.shape[:2], 255, np.uint8)])),
    "sixteen.png": _deep,
    "turned.jpeg": _turned,
    "two faces.bmp": lambda path: save(path, np.hstack([PORTRAIT.image, PORTRAIT.image])),
}
TINY = np.asarray(Image.fromarray(PORTRAIT.image).resize((72, 96)))
BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "wall.jpg": (lambda path: save(path, WALL), "no face found"),
    "small.png": (lambda path: save(path, np.pad(TINY, ((80, 80), (80, 80), (0, 0)), "edge")), "face too small"),
    "cut.png": (lambda path: save(path, PORTRAIT.image[: int(PORTRAIT.landmarks_xy[8, 1]) - 30]), "cut by the border"),
    "broken.jpg": (lambda path: path.write_bytes(b"no picture"), "is not a picture"),
    "empty.png": (lambda path: path.write_bytes(b""), "is empty"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    src = tmp_path_factory.mktemp("photos")
    for name, write in {**GOOD, **{name: write for name, (write, _) in BAD.items()}}.items():
        (src / name).parent.mkdir(parents=True, exist_ok=True)
        write(src / name)
    (src / "notes.txt").write_text("not a picture")
    (src / "._plain.jpg").write_bytes(b"left by macOS")
    return src


@pytest.fixture(scope="module")
def done(folder: Path) -> tuple[Path, ImagesResult]:
    out = folder.parent / "masked"
    return out, masked(folder, out, ("kf94_white", "cloth"))


def test_every_file_has_its_rows(done: tuple[Path, ImagesResult]) -> None:
    out, ran = done
    assert dict(ran.ledger) == {"ok": 2 * len(GOOD), "failed": 2 * len(BAD)}
    assert ran.others == {".txt": 1}
    assert ran.lines(out)[-1].startswith("images: ok 14 + failed 10 = 24 (12 files × 2 outputs); 0 reused")
    assert report(out)["notes.txt"]["status"] == "left_out"


@pytest.mark.parametrize("name", GOOD)
def test_any_kind_of_picture_gets_its_masks(name: str, folder: Path, done: tuple[Path, ImagesResult]) -> None:
    out, _ = done
    rows = report(out)
    for mask in ("kf94_white", "cloth"):
        row = rows[f"{name.rsplit('.', 1)[0]}-{mask}-worn.jpg"]
        assert (row["file"], row["status"]) == (name, "ok")
        assert row["mask"].startswith(mask)
        picture, photo = load_rgb(out / row["output"]), load_rgb(folder / name)
        assert picture.shape == photo.shape
        assert 0.01 < (np.abs(picture.astype(int) - photo).max(axis=2) > 24).mean() < 0.5
    assert ("2 faces" in row["reason"]) == (name == "two faces.bmp")


@pytest.mark.parametrize("name", BAD)
def test_a_failed_row_has_its_reason(name: str, done: tuple[Path, ImagesResult]) -> None:
    row = report(done[0])[name]
    assert (row["status"], row["output"]) == ("failed", "")
    assert BAD[name][1] in row["reason"]


def test_a_row_rebuilds_its_picture(folder: Path, done: tuple[Path, ImagesResult]) -> None:
    row = report(done[0])["plain-cloth-worn.jpg"]
    recipe = json.loads(row["recipe"])
    landmarks = np.reshape(recipe.pop("landmarks_xy"), (68, 2))
    photo = load_rgb(folder / "plain.jpg")
    again = render_mask(photo, measure_scene(photo, landmarks), recipe).image
    assert np.abs(again.astype(int) - load_rgb(done[0] / row["output"])).mean() < 2  # JPEG in between


def test_a_second_run_makes_only_what_is_missing(folder: Path, done: tuple[Path, ImagesResult]) -> None:
    out, _ = done
    before = (out / "synth.csv").read_bytes()
    lost = out / "plain-cloth-worn.jpg"
    was = lost.read_bytes()
    lost.unlink()
    assert masked(folder, out, ("kf94_white", "cloth")).reused == 23
    assert lost.read_bytes() == was
    assert (out / "synth.csv").read_bytes() == before


def test_another_file_changes_no_other_mask(tmp_path: Path, folder: Path, done: tuple[Path, ImagesResult]) -> None:
    save(tmp_path / "src" / "a new one.png", WALL)
    (tmp_path / "src" / "plain.jpg").write_bytes((folder / "plain.jpg").read_bytes())
    masked(tmp_path / "src", tmp_path / "out")
    name = "plain-kf94_white-worn.jpg"
    assert (tmp_path / "out" / name).read_bytes() == (done[0] / name).read_bytes()


def test_a_profile_view_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("profile.png", "fine.png"):
        save(tmp_path / "src" / name, np.random.default_rng(len(name)).integers(90, 160, (256, 256, 3), np.uint8))
    yaws = iter([0.0, 55.0])  # files in order
    face = DetectedFace(np.zeros(4, np.float32), None, 1.0, n_faces=1, n_large_faces=1, remark="")
    monkeypatch.setattr(
        "synth.images.make_locator",
        lambda: lambda _: LocatedFace(face, make_landmarks(yaw_deg=next(yaws)), is_consistent=True),
    )
    assert dict(masked(tmp_path / "src", tmp_path / "out").ledger) == {"ok": 1, "failed": 1}
    assert "profile view" in report(tmp_path / "out")["profile.png"]["reason"]


def test_same_names_of_different_kinds_stay_apart(tmp_path: Path, face: np.ndarray) -> None:
    for name in ("a.png", "a.webp"):
        save(tmp_path / "src" / name, face)
    masked(tmp_path / "src", tmp_path / "out")
    assert {"a.png-kf94_white-worn.jpg", "a.webp-kf94_white-worn.jpg"} <= set(report(tmp_path / "out"))


def test_names_stand_for_types_and_groups() -> None:
    masks, placements = mask_type_choices(["mine"]), placement_choices()
    assert set(masks["any"]) == {*TYPES, "mine"}
    assert masks["surgical"] == tuple(name for name in TYPES if name.startswith("surgical_"))
    assert set(placements["incorrect"]) == set(PLACEMENTS) - {"worn"}
    assert parse_choices("--placement", " worn,chin, worn", placements) == ["worn", "chin"]
    with pytest.raises(ConfigError, match=r"--mask must be one of \{.*\}. Got 'scarf' instead"):
        parse_choices("--mask", "kf94,scarf", masks)
    with pytest.raises(ConfigError, match="--mask must name at least one"):
        parse_choices("--mask", ",", masks)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{", "is not JSON"),
        ('{"template": "m.png", "key_points": {"top_left": [1, 2]}}', "top_middle is missing"),
    ],
)
def test_a_broken_template_folder_is_one_line(
    spec: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "src" / "a.png", WALL)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "m.json").write_text(spec)
    words = ["synth", "images", str(tmp_path / "src"), str(tmp_path / "out"), "--templates", str(tmp_path / "own")]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as stopped:
        run_cli(cli)
    output = capsys.readouterr().err
    assert stopped.value.code == 2
    assert message in output
    assert output.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="is not a folder"):
        masked(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(StageError, match="must be outside SRC"):
        masked(tmp_path, tmp_path / "out")
    (tmp_path / "src").mkdir()
    with pytest.raises(StageError, match="no picture"):
        masked(tmp_path / "src", tmp_path / "out")


@pytest.mark.workers
@pytest.mark.slow
def test_the_command(tmp_path: Path, face: np.ndarray) -> None:
    save(tmp_path / "src" / "a.png", face)
    words = [
        "images",
        str(tmp_path / "src"),
        str(tmp_path / "out"),
        "--mask",
        "sponge,n95_cup",
        "--placement",
        "worn,chin",
    ]
    output = CliRunner().invoke(cli, [*words, "--jobs", "1", "--seed", "5"], catch_exceptions=False).output
    assert "images: ok 4 + failed 0 = 4 (1 files × 4 outputs)" in output
    assert (tmp_path / "out" / "a-sponge-chin.jpg").is_file()
    former = ["--wear" if word == "--placement" else word for word in words]
    again = CliRunner().invoke(cli, [*former, "--jobs", "1", "--seed", "5"], catch_exceptions=False).output
    assert "4 reused" in again


def test_the_page_names_every_placement_group_and_setting() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "explanation" / "synthesis.md").read_text("utf8")
    groups = {word for word, members in mask_type_choices().items() if len(members) > 1}
    ages = {f"ages.{name}" for name in ("method", "moves", "share", "strength")}
    for word in (*PLACEMENTS, *groups - {"cup"}, "incorrect", *SynthSettings.model_fields.keys() - {"ages"}, *ages):
        assert f"`{word}`" in page


def test_a_photo_without_a_mask_is_encoded_alike(tmp_path: Path, face: np.ndarray) -> None:
    """One output whatever the placements, with the photo's pixels as the encoder of masked ones leaves them."""
    save(tmp_path / "src" / "a.png", face)
    save(tmp_path / "src" / "wall.png", WALL)
    done = run_images(tmp_path / "src", tmp_path / "out", ("none", "kf94"), ("worn", "incorrect"), executor="serial")
    assert dict(done.ledger) == {"ok": 3, "failed": 3}  # a photo that can carry no mask gives no plain one either
    row = report(tmp_path / "out")["a-none.jpg"]
    assert (row["mask"], row["wear"], row["status"]) == ("none", "", "ok")
    plain, worn = (load_rgb(tmp_path / "out" / f"a-{name}.jpg").astype(int) for name in ("none", "kf94-worn"))
    assert np.abs(plain - face).mean() < 2
    assert np.array_equal(plain[:16], worn[:16])  # above the mask: the same blocks, coded alike
    tables = [Image.open(tmp_path / "out" / f"a-{name}.jpg").quantization for name in ("none", "kf94-worn")]
    assert tables[0] == tables[1]
    again = run_images(tmp_path / "src", tmp_path / "out", ("none", "kf94"), ("worn", "incorrect"), executor="serial")
    assert again.reused == 6


def test_any_draws_common_masks_more_often() -> None:
    rng = np.random.default_rng(0)
    drawn = Counter(sample_mask_type((*TYPES, "mine"), rng) for _ in range(4000))
    assert set(drawn) == {*TYPES, "mine"}
    assert drawn["surgical_blue"] > 2 * drawn["n95_cup"]


def test_a_template_cannot_be_called_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.masks.load_templates", lambda _: {"none": None})
    done = CliRunner().invoke(cli, ["images", str(tmp_path), str(tmp_path / "out"), "--templates", str(tmp_path)])
    assert isinstance(done.exception, ConfigError)
    assert "Rename that template" in str(done.exception)
