"""Attention sheets and shortcuts of a run whose photos reveal the gender in the background."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from data_manifests.errors import ManifestError, StageError
from data_manifests.versions.content_hash import sample_id
from data_manifests.versions.store import Store
from pipeline.photos.images import load_rgb, save_rgb
from pipeline.runs import find_run
from tests.support.train_drawn import rows_of, tiny_settings, write_rows
from train.cli.main import cli
from train.engine.training_run import train_and_report
from train.explain.attention import choose_rows, show_attention, summarise_attention
from train.explain.regions import REGIONS, find_regions
from train.explain.shortcuts import (
    BACKGROUND_ONLY,
    FACE_ONLY,
    NO_FACE,
    audit_shortcuts,
    balanced_accuracy,
    face_box,
    part_views,
    score_view,
    shortcuts_in,
)
from train.settings import DataSettings

GREY = (127, 127, 127)
BOX = [6.0, 8.0, 26.0, 28.0]


def leak(image: np.ndarray, gender: str, seed: int) -> np.ndarray:
    """Return a drawn person whose gender is visible in the background colour, not in the face."""
    rng = np.random.default_rng(seed)
    out = np.full_like(image, (150, 60, 60) if gender == "male" else (60, 60, 150))
    x0, y0, x1, y1 = map(int, BOX)
    out[y0:y1, x0:x1] = image[y0:y1, x0:x1].mean(-1, keepdims=True)
    return (out + rng.integers(-15, 15, out.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Write leaky@1, photos with such backgrounds, leaky@2, the same with painted ones, and train leaky-0001 on @1."""
    torch.set_num_threads(1)
    store = Store(tmp_path_factory.mktemp("leak") / "workspace")
    photos, painted = [], []
    for number, row in enumerate(rows_of(store, 30, split="train") + rows_of(store, 12, split="val", first=30)):
        image = leak(load_rgb(store.file_of(row["root"], row["path"])), row["gender"], number)
        saved = save_rgb(image, store.workspace, f"images/leaky/{number}.png")
        name = sample_id(saved.path, saved.sha256)
        row |= {
            "sample_id": name,
            "source_id": name,
            "path": saved.path,
            "sha256": saved.sha256,
            "box_xyxy": BOX,
            "faces": 1,
        }
        photos.append(row)
        x0, y0, x1, _ = map(int, BOX)
        plain = np.full_like(image, GREY)
        plain[y0 - 4 :, x0 - 2 : x1 + 2] = image[y0 - 4 :, x0 - 2 : x1 + 2]
        done = save_rgb(plain, store.workspace, f"images/painted/{number}.png")
        child = {
            "sample_id": sample_id(done.path, done.sha256),
            "path": done.path,
            "sha256": done.sha256,
            "parent_id": name,
        }
        painted.append(row | child)
    first = write_rows(store, photos, "leaky")
    second = write_rows(store, painted, "aside")
    store.write(
        "leaky",
        store.read(second.ref).table,
        "background",
        parents=[first],
        parameters={"background": {"colour_rgb": GREY}},
    )
    settings = tiny_settings(data={"size": [64, 64]}, optim={"epochs": 12})
    train_and_report(store, "leaky@1", settings, once=False, echo=lambda line: None)
    return store


def command(store: Store, *words: str) -> Result:
    return CliRunner().invoke(cli, list(words), env={"WORKSPACE": str(store.workspace)})


def test_a_shortcut_is_found(leaking: Store) -> None:
    messages: list[str] = []
    page = audit_shortcuts(leaking, "leaky-0001", "leaky@1", painted_ref="leaky@2", echo=messages.append)
    about = find_run(leaking, "leaky-0001").read_json("shortcuts/shortcuts.json")
    lines = {line["view"]: line for line in about["lines"]}
    assert list(lines) == ["as it is", FACE_ONLY, NO_FACE, BACKGROUND_ONLY]
    assert lines["as it is"]["gender"]["accuracy"] > 0.9
    assert lines[BACKGROUND_ONLY]["gender"]["accuracy"] > 0.9
    assert lines[FACE_ONLY]["gender"]["accuracy"] < 0.8
    assert any(line.strip().startswith("Gender is predicted from the background alone: balanced") for line in messages)
    assert not any("Age is predicted" in line for line in messages)
    assert page.read_text("utf8").count("<img") == 4 * 5
    table = pd.read_parquet(page.with_name("shortcuts.parquet"))
    assert len(table) == 36
    scores = find_run(leaking, "leaky-0001").read_json("scores.json")["scores"]
    assert (table["target"] == table["as it is"]).mean() == pytest.approx(scores["accuracy"])


def test_unknown_backgrounds_are_not_shown_alone(leaking: Store) -> None:
    result = command(leaking, "shortcuts", "leaky-0001")
    assert result.exit_code == 0, result.output
    assert "background only" not in result.output
    assert "Gender is predicted without the face" in result.output
    painted = command(
        leaking, "shortcuts", "leaky-0001", "leaky@2"
    )  # a painted background shows nothing behind the person
    assert painted.exit_code == 0, painted.output
    assert "background only" not in painted.output
    wrong = command(leaking, "shortcuts", "leaky-0001", "leaky@1", "--regions", "leaky@1").exception
    assert isinstance(wrong, ManifestError)
    assert "leaky@1 has no painted background. Make one with: facecurate preprocess background" in str(wrong)
    with pytest.raises(ManifestError, match="no picture of leaky@2 was made from one of leaky@2"):
        find_regions(leaking, leaking.read("leaky@2"), DataSettings(), leaking.read("leaky@2"))


@pytest.mark.slow
def test_sheets_and_shares_of_every_class(leaking: Store) -> None:
    messages: list[str] = []
    page = show_attention(
        leaking, "leaky-0001", "leaky@1", painted_ref="leaky@2", per_class=2, measured=4, echo=messages.append
    )
    sheets = sorted(page.parent.glob("*.png"))
    assert len(sheets) == 18
    assert all(f'src="{sheet.name}"' in page.read_text("utf8") for sheet in sheets)
    with Image.open(sheets[0]) as sheet:
        assert sheet.size[0] >= 880
    table = pd.read_parquet(page.with_name("attention.parquet"))
    assert len(table) == 36
    assert table["background_known"].all()
    assert np.allclose(table[list(REGIONS)].sum(1), 1, atol=1e-3)
    assert np.allclose(table[[f"{region}_area" for region in REGIONS]].sum(1), 1, atol=1e-3)
    whole = find_run(leaking, "leaky-0001").read_json("attention/attention.json")["groups"][0]
    assert whole["face"]["share"] == pytest.approx(table["face"].mean())
    assert whole["background"]["times"] == pytest.approx(table["background"].mean() / table["background_area"].mean())
    assert "Attention: face" in messages[0]


@pytest.mark.slow
def test_photos_without_a_known_face_are_counted_not_measured(leaking: Store) -> None:
    manifest = leaking.read("leaky@1")
    rows = manifest.table.to_pylist()
    for row in rows:
        row |= {"box_xyxy": None}
    write_rows(leaking, [{k: v for k, v in row.items() if k not in ("age_class", "class_id")} for row in rows], "blind")
    messages: list[str] = []
    show_attention(leaking, "leaky-0001", "blind", per_class=1, measured=1, echo=messages.append)
    group = find_run(leaking, "leaky-0001").read_json("attention/attention.json")["groups"][0]
    assert (group["photos"], group["with_face"], group["face"]["share"]) == (18, 0, None)
    assert "no face is known" in messages[0]
    with pytest.raises(StageError, match=r"no face is known in blind@1.*Run: facecurate preprocess run blind@1"):
        audit_shortcuts(leaking, "leaky-0001", "blind", echo=print)


def test_photos_are_chosen_from_many_people(leaking: Store) -> None:
    table = leaking.read("leaky@1").table
    chosen = choose_rows(table, table["class_id"].to_numpy(), 3, np.random.default_rng(0)).to_pandas()
    assert (chosen.groupby("class_id").size() == 3).all()
    assert (chosen.groupby("class_id")["person_id"].nunique() == 3).all()


# -- figures of shortcuts -------------------------------------------------------------------------------------------
def test_parts_are_painted() -> None:
    pixels = np.full((1, 4, 4, 3), 200, np.uint8)
    faces, backgrounds = np.zeros((2, 1, 4, 4), np.float32)
    faces[0, :2], backgrounds[0, 3] = 1, 1
    views = part_views(pixels, faces, backgrounds, np.array([10.0, 20.0, 30.0]))
    assert views[FACE_ONLY][0, :, 0, 1].tolist() == [200, 200, 20, 20]
    assert views[NO_FACE][0, :, 0, 0].tolist() == [10, 10, 200, 200]
    assert views[BACKGROUND_ONLY][0, :, 0, 2].tolist() == [30, 30, 30, 200]
    face = np.zeros((6, 6))
    face[2, 1], face[4, 3] = 1, 1
    assert np.argwhere(face_box(face)).tolist() == [[y, x] for y in (2, 3, 4) for x in (1, 2, 3)]
    assert face_box(np.zeros((3, 3))).sum() == 0


def test_balanced_accuracy_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import balanced_accuracy_score, confusion_matrix

    rng = np.random.default_rng(0)
    target, predicted = rng.integers(0, 5, (2, 300))
    counts = confusion_matrix(target, predicted, labels=range(6))  # class 5 does not occur
    assert balanced_accuracy(counts) == pytest.approx(balanced_accuracy_score(target, predicted))


def test_a_constant_prediction_is_no_shortcut() -> None:
    frame = pd.DataFrame({"target": [0] * 90 + [3] * 10, "person_id": [str(index // 2) for index in range(100)]})
    frame[NO_FACE] = 0
    line = score_view(NO_FACE, frame)
    assert (line["gender"]["accuracy"], line["gender"]["constant"]) == (0.9, 0.9)
    assert (line["gender"]["balanced"], line["gender"]["chance"]) == (0.5, 0.5)
    assert shortcuts_in([line]) == []
    frame[NO_FACE] = frame["target"]
    found = shortcuts_in([score_view(NO_FACE, frame)])
    assert any(line.startswith("Gender is predicted without the face: balanced accuracy 1.000") for line in found)
    assert (
        shortcuts_in([score_view(NO_FACE, frame) | {"view": FACE_ONLY}]) == []
    )  # predictions from the face are no shortcut


def test_groups_of_attention() -> None:
    table = pd.DataFrame(
        {
            "mask_target": [0, 0, 2],
            "group": [0, 0, 13],
            "wrong": [False, True, False],
            "background_known": [True, False, True],
        }
    )
    for place, region in enumerate(REGIONS):
        table[region] = [0.4, 0.6, 0.2] if place == 0 else [0.2, 0.1, 0.3]
        table[f"{region}_area"] = 0.25
    groups = {group["name"]: group for group in summarise_attention(table, [str(index) for index in range(18)])}
    assert set(groups) == {"all", "right", "wrong", "mask worn", "mask none", "0", "13"}
    assert groups["all"]["face"]["share"] == pytest.approx(0.4)
    assert groups["all"]["background"]["share"] == pytest.approx(0.25)  # of the two with a known background
    assert groups["wrong"]["background"]["share"] is None
    assert groups["all"]["face"]["times"] == pytest.approx(1.6)
