"""Where a network looks, in which region that is, and what it makes of parts of a photo."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from torch import nn

from data_manifests.errors import ConfigError, ManifestError, StageError
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.content_hash import sample_id
from data_manifests.versions.store import Store
from pipeline.photos.images import encode, load_rgb, save_rgb
from pipeline.runs import find_run
from tests.support.train_drawn import rows_of, tiny_settings, write_rows
from train.cli.main import cli
from train.engine.training_run import train_and_report
from train.explain import cam as cam_module
from train.explain.attention import choose_rows, show_attention, summarise_attention
from train.explain.cam import AttentionMaps, attention_shares, reshape_transform, target_layer
from train.explain.regions import REGIONS, RegionFinder, face_mask, find_regions, painted_mask
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
from train.models.checkpoint import Trained
from train.models.network import build_model
from train.settings import DataSettings

GREY = (127, 127, 127)
BOX = [6.0, 8.0, 26.0, 28.0]


# -- maps -----------------------------------------------------------------------------------------------------------
class ByColour(nn.Module):
    """Says class 3 for red and class 5 for blue, wherever they are."""

    feature_info = ({"module": "stage", "num_chs": 3, "reduction": 1},)

    def __init__(self) -> None:
        super().__init__()
        self.stage = nn.Conv2d(3, 3, 1, bias=False)
        self.stage.weight.data = torch.eye(3)[..., None, None]
        self.head = nn.Linear(3, 18, bias=False)
        self.head.weight.data = torch.zeros(18, 3)
        self.head.weight.data[3, 0] = self.head.weight.data[5, 2] = 5.0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.stage(image).relu().mean((2, 3)))


def trained_with(**model: object) -> Trained:
    settings = tiny_settings(model=model)
    return Trained(build_model(settings.model, settings.data.size, AgeCuts()), settings, AgeCuts(), 1, {})


def by_colour() -> Trained:
    trained = trained_with()
    trained.model.backbones = nn.ModuleList([ByColour()])
    trained.model.mean.zero_()
    trained.model.std.fill_(1)
    return trained


def test_a_map_lies_on_what_speaks_for_the_class() -> None:
    image = torch.zeros(1, 3, 32, 32)
    image[:, 0, 4:12, 4:12] = 1  # red above left
    image[:, 2, 20:28, 20:28] = 1  # blue below right
    attention = AttentionMaps(by_colour())
    red, blue = attention.maps(image.repeat(2, 1, 1, 1), [3, 5])
    assert red.shape == (32, 32)
    assert red[5:11, 5:11].min() > 0.9
    assert red[16:].max() < 0.05
    assert blue[21:27, 21:27].min() > 0.9
    assert blue[:16].max() < 0.05
    smooth = attention.smooth_map(image[0], 3, np.random.default_rng(0))
    assert smooth[4:12, 4:12].mean() > 0.9 > 5 * smooth[16:].mean()


def test_without_noise_the_smooth_map_is_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    attention = AttentionMaps(trained_with())
    image = torch.rand(3, 32, 32)
    (plain,) = attention.maps(image[None], [4])
    noisy = attention.smooth_map(image, 4, np.random.default_rng(0))
    monkeypatch.setattr(cam_module, "NOISE", 0.0)
    assert np.allclose(attention.smooth_map(image, 4, np.random.default_rng(0)), plain, atol=1e-4)
    assert not np.allclose(noisy, plain, atol=1e-2)


@pytest.mark.parametrize(
    "model",
    [
        {"backbone": "test_vit"},
        {"backbone": "test_efficientnet"},
        {"backbone": "test_convnext"},
        {"backbone": "test_resnet", "freeze": "backbone"},
        {"backbone": "test_resnet", "head": "tasks", "networks": "separate"},
        {"backbone": "test_resnet", "head": "gendered_age", "age": "corn"},
    ],
    ids=lambda model: "-".join(map(str, model.values())),
)
def test_every_kind_of_network_has_maps(model: dict) -> None:
    torch.manual_seed(0)
    settings = tiny_settings(model=model, data={"size": [64, 64]})
    network = build_model(settings.model, (64, 64), AgeCuts())
    attention = AttentionMaps(Trained(network, settings, AgeCuts(), 1, {}))
    maps = attention.maps(torch.rand(2, 3, 64, 64), [0, 17])
    assert maps.shape == (2, 64, 64)
    assert maps.min() >= 0
    assert maps.max() <= 1
    assert np.ptp(maps[0]) > 0.5  # not flat
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_layer_is_as_deep_as_its_map_is_fine() -> None:
    backbone = trained_with().model.backbones[0]
    reductions = {stage["reduction"]: stage["module"] for stage in backbone.feature_info}
    assert target_layer(backbone, (224, 224)) is backbone.get_submodule(reductions[32])
    assert target_layer(backbone, (128, 96)) is backbone.get_submodule(reductions[8])
    assert target_layer(backbone, (16, 16)) is backbone.get_submodule(next(iter(reductions.values())))


def test_tokens_and_channels_find_their_place() -> None:
    class Tokens(nn.Module):
        num_prefix_tokens = 1

    tokens = Tokens()
    tokens.patch_embed = nn.Module()
    tokens.patch_embed.grid_size = (2, 3)
    output = torch.arange(7.0).view(1, 7, 1)  # a class token, then six patches row by row
    assert reshape_transform(tokens)(output)[0, 0].tolist() == [[1, 2, 3], [4, 5, 6]]
    last = nn.Module()
    last.output_fmt = "NHWC"
    assert reshape_transform(last)(torch.zeros(1, 4, 5, 8)).shape == (1, 8, 4, 5)
    assert reshape_transform(nn.Module())(torch.zeros(1, 8, 4, 5)).shape == (1, 8, 4, 5)


def test_vectors_have_no_attention() -> None:
    trained = trained_with()
    settings = trained.settings.model_copy(
        update={"model": trained.settings.model.model_copy(update={"embedding": "dlib"})}
    )
    with pytest.raises(ConfigError, match=r"this network takes vectors of the embedding 'dlib'"):
        AttentionMaps(replace(trained, settings=settings))


def test_shares_of_attention() -> None:
    regions = np.zeros((2, 4, 4, 4), np.uint8)
    regions[:, :2, :, 0] = 255  # the face is the upper half
    regions[:, 2:, :, 3] = 255
    maps = np.zeros((2, 4, 4), np.float32)
    maps[0, 0, 0], maps[0, 3, 0] = 1, 0.25
    shares = attention_shares(maps, regions)
    assert shares[0].tolist() == pytest.approx([0.8, 0, 0, 0.2])
    assert np.isnan(shares[1]).all()


# -- regions --------------------------------------------------------------------------------------------------------
def landmarks(left: float, top: float, width: float, height: float) -> np.ndarray:
    """68 points (68, 2) on a face whose brows are at `top` and whose chin is at top + height."""
    points = np.zeros((68, 2), np.float32)
    turn = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([left + width / 2 * (1 + np.cos(turn)), top + height * np.sin(turn)], 1)
    points[17:27] = np.stack([np.linspace(left, left + width, 10), np.full(10, top)], 1)
    points[27:] = [left + width / 2, top + height / 2]
    return points


def test_a_face_has_a_forehead() -> None:
    mask = face_mask(landmarks(20, 40, 40, 30), None, (100, 80))
    assert mask is not None
    rows = np.flatnonzero(mask.any(1))
    assert (rows[0], rows[-1]) == (25, 70)  # half of brows to chin above the brows
    assert mask[50, 40]
    assert not mask[50, 10]
    assert face_mask(None, [10.2, 20, 30, 200], (100, 80)).sum() == 20 * 80  # type: ignore[union-attr]
    assert face_mask(None, None, (100, 80)) is None


def test_only_paint_that_reaches_the_border_is_background() -> None:
    picture = np.full((256, 256, 3), GREY, np.uint8)
    cv2.circle(picture, (128, 128), 80, (200, 150, 120), -1)
    cv2.rectangle(picture, (120, 150), (136, 190), GREY, -1)  # a grey tie
    saved = cv2.imdecode(np.frombuffer(encode(picture, ".jpg"), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    mask = painted_mask(saved, GREY)
    assert mask[2, 2]
    assert not mask[170, 128]
    assert mask.mean() == pytest.approx(1 - np.pi * 80**2 / 256**2, abs=0.03)  # JPEG blurs the edge by two pixels
    assert not painted_mask(np.full((20, 20, 3), 90, np.uint8), GREY).any()


def row_of(store: Store, picture: np.ndarray, name: str, **more: object) -> dict:
    saved = save_rgb(picture, store.workspace, f"images/{name}.png")
    size = {"width_px": saved.width_px, "height_px": saved.height_px}
    geometry = {"landmarks_xy": None, "box_xyxy": None, "faces": None}
    return {"sample_id": name, "root": "workspace", "path": saved.path, **size, **geometry, **more}


def test_regions_are_told_apart_and_follow_the_crop(store: Store) -> None:
    picture = np.full((100, 80, 3), GREY, np.uint8)
    picture[10:, 10:70] = (180, 140, 110)  # the person
    row = row_of(store, picture, "one", landmarks_xy=landmarks(20, 40, 40, 30).ravel().tolist())
    settings = DataSettings.model_validate({"size": [100, 80], "prepare": {"clahe": 2}})
    found = RegionFinder(store, settings, GREY, {"one": row}).of(row)
    assert found is not None
    assert found.background_known
    assert (found.shares.astype(int).sum(-1) == 255).all()
    at = {"face": (50, 40), "hair": (12, 15), "clothes": (90, 40), "background": (50, 3)}
    for index, region in enumerate(REGIONS):
        assert found.shares[at[region]].tolist() == [255 * (place == index) for place in range(4)], region
    cut = settings.model_copy(update={"size": (50, 30), "prepare": {"box": [10.0, 0.0, 70.0, 100.0]}})
    seen = RegionFinder(store, cut, GREY, {"one": row}).of(row)
    assert seen is not None
    assert seen.shares.shape == (50, 30, 4)
    assert seen.shares[6:, :, 3].sum() == 0  # the background at the sides is cut away
    assert seen.shares[..., 0].mean() == pytest.approx(found.shares[..., 0].mean() * 80 / 60, rel=0.05)


def test_what_is_not_known_is_not_guessed(store: Store) -> None:
    settings = DataSettings(size=(32, 32))
    picture = np.zeros((32, 32, 3), np.uint8)
    row = row_of(store, picture, "one", box_xyxy=BOX, faces=1)
    unpainted = RegionFinder(store, settings).of(row)
    assert unpainted is not None
    assert not unpainted.background_known
    assert unpainted.shares[..., 1:3].sum() == 0
    assert RegionFinder(store, settings).of(row | {"faces": 0}) is None  # the box stands in for a face not found
    kept = RegionFinder(store, settings, GREY, {"one": row}).of(row)  # the painter left this picture as it was
    assert kept is not None
    assert not kept.background_known
    other = row_of(store, np.zeros((16, 32, 3), np.uint8), "other")
    with pytest.raises(ManifestError, match="is 32×16 px, but its source 32×32"):
        RegionFinder(store, settings, GREY, {"one": other}).of(row)


# -- photos whose background gives the gender away ---------------------------------------------------------------------
def leak(image: np.ndarray, gender: str, seed: int) -> np.ndarray:
    """A drawn person on a background of its gender's colour, with a face whose colour tells nothing."""
    rng = np.random.default_rng(seed)
    out = np.full_like(image, (150, 60, 60) if gender == "male" else (60, 60, 150))
    x0, y0, x1, y1 = map(int, BOX)
    out[y0:y1, x0:x1] = image[y0:y1, x0:x1].mean(-1, keepdims=True)
    return (out + rng.integers(-15, 15, out.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """leaky@1: photos with a leak; leaky@2: the same before a painted background; leaky-0001: a run on @1."""
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
    said: list[str] = []
    page = audit_shortcuts(leaking, "leaky-0001", "leaky@1", painted_ref="leaky@2", echo=said.append)
    about = find_run(leaking, "leaky-0001").read_json("shortcuts/shortcuts.json")
    lines = {line["view"]: line for line in about["lines"]}
    assert list(lines) == ["as it is", FACE_ONLY, NO_FACE, BACKGROUND_ONLY]
    assert lines["as it is"]["gender"]["accuracy"] > 0.9
    assert lines[BACKGROUND_ONLY]["gender"]["accuracy"] > 0.9
    assert lines[FACE_ONLY]["gender"]["accuracy"] < 0.8
    assert any(line.strip().startswith("Gender is predicted from the background alone: balanced") for line in said)
    assert not any("Age is predicted" in line for line in said)
    assert page.read_text("utf8").count("<img") == 4 * 5
    table = pd.read_parquet(page.with_name("shortcuts.parquet"))
    assert len(table) == 36
    scores = find_run(leaking, "leaky-0001").read_json("scores.json")["scores"]
    assert (table["target"] == table["as it is"]).mean() == pytest.approx(scores["accuracy"])


def test_without_known_backgrounds_none_is_shown_alone(leaking: Store) -> None:
    result = command(leaking, "shortcuts", "leaky-0001")
    assert result.exit_code == 0, result.output
    assert "background only" not in result.output
    assert "Gender is predicted without the face" in result.output
    painted = command(leaking, "shortcuts", "leaky-0001", "leaky@2")  # painted ones have nothing behind the person
    assert painted.exit_code == 0, painted.output
    assert "background only" not in painted.output
    wrong = command(leaking, "shortcuts", "leaky-0001", "leaky@1", "--regions", "leaky@1").exception
    assert isinstance(wrong, ManifestError)
    assert "leaky@1 has no painted background. Make one with: python -m preprocess background" in str(wrong)
    with pytest.raises(ManifestError, match="no picture of leaky@2 was made from one of leaky@2"):
        find_regions(leaking, leaking.read("leaky@2"), DataSettings(), leaking.read("leaky@2"))


def test_sheets_and_shares_of_every_class(leaking: Store) -> None:
    said: list[str] = []
    page = show_attention(
        leaking, "leaky-0001", "leaky@1", painted_ref="leaky@2", per_class=2, measured=4, echo=said.append
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
    assert "Attention: face" in said[0]


def test_photos_without_a_known_face_are_counted_not_measured(leaking: Store) -> None:
    manifest = leaking.read("leaky@1")
    rows = manifest.table.to_pylist()
    for row in rows:
        row |= {"box_xyxy": None}
    write_rows(leaking, [{k: v for k, v in row.items() if k not in ("age_class", "class_id")} for row in rows], "blind")
    said: list[str] = []
    show_attention(leaking, "leaky-0001", "blind", per_class=1, measured=1, echo=said.append)
    group = find_run(leaking, "leaky-0001").read_json("attention/attention.json")["groups"][0]
    assert (group["photos"], group["with_face"], group["face"]["share"]) == (18, 0, None)
    assert "no face is known" in said[0]
    with pytest.raises(StageError, match=r"no face is known in blind@1.*Run: python -m preprocess run blind@1"):
        audit_shortcuts(leaking, "leaky-0001", "blind", echo=print)


def test_photos_are_chosen_evenly_and_of_many_people(leaking: Store) -> None:
    table = leaking.read("leaky@1").table
    chosen = choose_rows(table, 3, np.random.default_rng(0)).to_pandas()
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


def test_a_constant_answer_is_no_shortcut_however_common() -> None:
    frame = pd.DataFrame({"target": [0] * 90 + [3] * 10, "person_id": [str(index // 2) for index in range(100)]})
    frame[NO_FACE] = 0
    line = score_view(NO_FACE, frame)
    assert (line["gender"]["accuracy"], line["gender"]["constant"]) == (0.9, 0.9)
    assert (line["gender"]["balanced"], line["gender"]["chance"]) == (0.5, 0.5)
    assert shortcuts_in([line]) == []
    frame[NO_FACE] = frame["target"]
    told = shortcuts_in([score_view(NO_FACE, frame)])
    assert any(line.startswith("Gender is predicted without the face: balanced accuracy 1.000") for line in told)
    assert shortcuts_in([score_view(NO_FACE, frame) | {"view": FACE_ONLY}]) == []  # from the face it may be told


def test_groups_of_attention() -> None:
    table = pd.DataFrame({"target": [0, 0, 13], "predicted": [0, 3, 13], "background_known": [True, False, True]})
    for place, region in enumerate(REGIONS):
        table[region] = [0.4, 0.6, 0.2] if place == 0 else [0.2, 0.1, 0.3]
        table[f"{region}_area"] = 0.25
    groups = {group["name"]: group for group in summarise_attention(table, [str(index) for index in range(18)])}
    assert set(groups) == {"all", "right", "wrong", "mask worn", "mask none", "0", "13"}
    assert groups["all"]["face"]["share"] == pytest.approx(0.4)
    assert groups["all"]["background"]["share"] == pytest.approx(0.25)  # of the two whose background is known
    assert groups["wrong"]["background"]["share"] is None
    assert groups["all"]["face"]["times"] == pytest.approx(1.6)
