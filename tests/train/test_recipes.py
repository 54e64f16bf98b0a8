"""The published training recipes: each file and variant loads and trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest
import timm
import torch
import yaml

from data_manifests.errors import ConfigError
from data_manifests.versions.store import Store
from pipeline.photos.images import load_rgb, save_rgb
from tests.support.train_drawn import rows_of, write_rows
from train.data.feature_cache import uses_cached_features
from train.engine.auto_settings import choose_auto
from train.engine.loop import fit
from train.engine.new_run import new_run
from train.models.backbones import freeze
from train.settings import TrainSettings, load_train_settings

FOLDER = Path(__file__).parents[2] / "configs" / "train" / "recipes"
FILES = sorted(FOLDER.glob("*.yaml"))
NAMES = [
    f"{file.stem}{variant}"
    for file in FILES
    for variant in ("", *(f"#{name}" for name in yaml.safe_load(file.read_text("utf8")).get("variants", {})))
]


def recipe(name: str) -> TrainSettings:
    stem, _, variant = name.partition("#")
    return load_train_settings(FOLDER / (f"{stem}.yaml" + (f"#{variant}" if variant else "")))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Write drawn people as photos of 384×512, the size of the fixed crops."""
    store = Store(tmp_path_factory.mktemp("recipes") / "workspace")
    rows = rows_of(store, 12, split="train") + rows_of(store, 6, split="val", first=12)
    for row in rows:
        image = cv2.resize(load_rgb(store.workspace / row["path"]), (384, 512), interpolation=cv2.INTER_NEAREST)
        saved = save_rgb(image, store.workspace, row["path"])
        row |= {"sha256": saved.sha256, "width_px": 384, "height_px": 512}
    write_rows(store, rows)
    return store


@pytest.mark.parametrize("file", sorted(FOLDER.parent.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_other_settings_files_load(file: Path) -> None:
    settings = load_train_settings(file)
    assert settings.data.sampler == "none"  # these compare versions of a manifest
    assert timm.is_model(settings.model.backbone)
    assert uses_cached_features(settings) == (file.stem == "frozen")


def test_the_five_recipes_state_their_published_score() -> None:
    assert [file.stem for file in FILES] == [
        "effnet_b2_f1", "effnet_b3_four", "effnet_b5_clahe_vote", "tiny_vit_mtl", "vit384_crop"
    ]  # fmt: skip
    scores = ["0.7346", "0.708", "0.7660", "0.7558", "0.7417"]
    assert all(score in file.read_text("utf8") for file, score in zip(FILES, scores, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_has_a_network_with_weights_and_trains(store: Store, name: str) -> None:
    torch.set_num_threads(1)
    settings = recipe(name)
    about = timm.get_pretrained_cfg(settings.model.backbone)
    assert timm.is_model(settings.model.backbone)
    assert about is not None
    assert about.hf_hub_id
    manifest = store.read("drawn")
    tiny = choose_auto(in_small(settings), manifest, lambda line: None)
    progress = fit(manifest, tiny, store, new_run(store, manifest.version, tiny))
    assert progress.epoch == 1
    assert 0 <= progress.history[0][f"val_{tiny.optim.metric}"] <= 1


def in_small(settings: TrainSettings) -> TrainSettings:
    """Return the recipe with a tiny network of the same kind, on tiny pictures, for one epoch."""
    backbone = settings.model.backbone
    small = next((f"test_{kind}" for kind in ("vit", "efficientnet") if kind in backbone), "test_resnet")
    values: dict[str, Any] = settings.model_dump(mode="json") | {"device": "cpu", "threads": 1}
    values["model"] |= {"backbone": small, "pretrained": False}
    if isinstance(values["model"]["freeze"], int):
        values["model"]["freeze"] = 2
    values["data"] |= {"size": [32, 32], "batch_size": min(settings.data.batch_size, 18)}
    values["optim"] |= {"epochs": 1}
    return TrainSettings.model_validate(values)


@pytest.mark.parametrize(
    ("variant", "last"),
    [
        ("", {"head.norm", "head.fc"}),
        ("#caformer_b36", {"head.norm", "head.fc"}),
        ("#resnet34", {"fc.weight", "fc.bias"}),
    ],
)
def test_the_frozen_stages_are_those_of_the_recipe(variant: str, last: set[str]) -> None:
    settings = recipe(f"tiny_vit_mtl{variant}").model.model_copy(update={"pretrained": False})
    with torch.device("meta"):  # structure only: no weights are initialised
        backbone = timm.create_model(settings.backbone, num_classes=8)
    freeze(backbone, settings.freeze)
    moving = {".".join(name.split(".")[:2]) for name, weight in backbone.named_parameters() if weight.requires_grad}
    stages = {"stages.2", "stages.3"} if variant != "#resnet34" else {"layer3.0"}
    assert stages | last <= moving
    assert not any(
        name.startswith(("stem", "patch_embed", "conv1", "stages.0", "stages.1", "layer2")) for name in moving
    )


def test_a_variant_overrides_the_base() -> None:
    base, twin, small = (recipe(f"effnet_b5_clahe_vote{name}") for name in ("", "#twin", "#efficientnet_b6"))
    assert (base.optim.lr, twin.optim.lr) == (5e-4, 1e-5)
    assert twin.model_copy(update={"optim": base.optim}) == base
    assert small.data.size == (128, 96)
    assert small.loss.terms == {"focal": 1}  # a key is replaced as a whole: the F1 loss is gone
    with pytest.raises(ConfigError, match=r"the variant of .*vote\.yaml must be one of \{twin, resnext50, .*Got 'x'"):
        recipe("effnet_b5_clahe_vote#x")
