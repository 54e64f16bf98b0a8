"""A head on the vectors of a frozen network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from data_manifests.errors import ConfigError, StageError
from data_manifests.versions.atomic_io import write_atomic
from data_manifests.versions.store import Store
from pipeline.backends import load_backend
from pipeline.photos.images import load_rgb
from tests.support.train_drawn import SIDE, rows_of, tiny_settings, write_rows
from train.data.feature_cache import embed_rows, fill_landmarks, uses_cached_features
from train.data.loader import make_loader
from train.engine.loop import fit, forward
from train.engine.new_run import new_run
from train.evaluation.predict import PROBABILITIES, predict_rows
from train.models.checkpoint import load_trained
from train.models.heads import log_probability
from train.models.network import Network, build_model
from train.rows.row_selection import rows_with_targets
from train.settings import TrainSettings

# two rows of eyes and a jaw, enough for an upright crop around the middle of the picture
RING = np.stack([np.cos(np.linspace(0, 6.2, 68)), np.sin(np.linspace(0, 6.2, 68))], 1)
LANDMARKS = (SIDE / 2 + RING * SIDE / 3).astype(np.float32).ravel().tolist()
SETTINGS = tiny_settings(model={"embedding": "dlib", "drop_rate": 0.2}, optim={"lr": 0.01, "epochs": 12})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("features") / "workspace")
    rows = rows_of(store, 30, split="train") + rows_of(store, 12, split="val", first=30)
    write_rows(store, [row | {"landmarks_xy": LANDMARKS} for row in rows])
    return store


def test_vectors_are_those_of_the_describer_and_are_cached(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    table = rows_with_targets(store.read("drawn").table).slice(0, 4)
    vectors = embed_rows(table, store, "dlib", "drawn@1")
    describe = load_backend("describer", "dlib_layers").make()
    picture = load_rgb(store.file_of("workspace", table["path"][2].as_py()))
    seen = describe(picture, np.array(LANDMARKS, np.float32).reshape(-1, 2))
    expected = np.concatenate([seen.identity, seen.appearance, seen.lower_face])
    assert vectors.shape == (4, len(expected))
    np.testing.assert_allclose(vectors[2], expected, rtol=2e-3, atol=1e-3)  # half floats
    monkeypatch.setattr("train.data.feature_cache.make_embed", None)  # a second call would fail
    np.testing.assert_array_equal(embed_rows(table, store, "dlib", "drawn@1"), vectors)


@pytest.mark.slow
def test_a_head_on_vectors_learns_and_loads_from_disk(store: Store) -> None:
    torch.set_num_threads(1)
    manifest = store.read("drawn")
    run = new_run(store, manifest.version, SETTINGS)
    progress = fit(manifest, SETTINGS, store, run)
    assert progress.best > 0.3  # chance is 1/18; the pictures are no faces
    trained = load_trained(run.path / "best.pt", torch.device("cpu"))
    val = rows_with_targets(manifest.table.slice(90))
    predictions = predict_rows(trained, val, store, "drawn@1", "")
    accuracy = (predictions["predicted"] == predictions["target"]).mean()
    assert accuracy == pytest.approx(progress.history[progress.best_epoch - 1]["val_accuracy"])


def frozen(**sections: Any) -> TrainSettings:
    model = {"backbone": "test_vit", "freeze": "backbone", "drop_rate": 0.3}
    sections["data"] = {"augment": {}, "batch_size": 16} | sections.get("data", {})
    return tiny_settings(model=model, optim={"lr": 0.01, "epochs": 4}, **sections)


def test_features_of_a_frozen_backbone_are_computed_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    assert uses_cached_features(frozen())
    for other in (frozen(data={"augment": {"flip": 0.5}}), frozen(data={"mix": {"mixup": 1.0}}), tiny_settings()):
        assert not uses_cached_features(other)
    manifest = store.read("drawn")
    computed: list[int] = []
    features = Network.features

    def counted(self: Network, image: torch.Tensor) -> torch.Tensor:
        computed.append(len(image))
        return features(self, image)

    monkeypatch.setattr(Network, "features", counted)
    run = new_run(store, manifest.version, frozen())
    progress = fit(manifest, frozen(), store, run)
    assert sum(computed) == 42 * 3  # each picture of train and val, once in four epochs
    assert progress.history[-1]["train_loss"] < progress.history[0]["train_loss"]
    trained = load_trained(run.path / "best.pt", torch.device("cpu"))
    val = rows_with_targets(manifest.table.slice(90))
    kept = predict_rows(trained, val, store, "drawn@1", "")
    assert sum(computed) == 42 * 3  # the checkpoint has the same backbone, so nothing is computed again
    whole = make_loader(val, store, trained.settings, train=False)  # without a network: pictures
    outputs, *_ = forward(trained.model, whole)
    np.testing.assert_allclose(
        kept[PROBABILITIES], log_probability(outputs, trained.model.head).exp().numpy(), atol=1e-5
    )
    again = new_run(store, manifest.version, frozen(seed=0))
    assert fit(manifest, frozen(), store, again).history[-1]["val_loss"] == progress.history[-1]["val_loss"]


def test_features_depend_on_weights_and_preparation(store: Store) -> None:
    table = rows_with_targets(store.read("drawn").table).slice(0, 3)

    def folders() -> int:
        return len(list((store.workspace / "cache" / "features").glob("*")))

    def ask(seed: int, **data: Any) -> np.ndarray:
        torch.manual_seed(seed)
        settings = frozen(data=data)
        network = build_model(settings.model, settings.data.size)
        return make_loader(table, store, settings, train=False, network=network).dataset.vectors.numpy()  # type: ignore[attr-defined]

    before, first = folders(), ask(11)
    np.testing.assert_array_equal(ask(11), first)
    assert folders() == before + 1
    assert not np.array_equal(ask(12), first)
    assert not np.array_equal(ask(11, prepare={"clahe": 4.0}), first)
    assert folders() == before + 3


def test_a_full_disk_leaves_no_partial_features(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    table = rows_with_targets(store.read("drawn").table).slice(0, 3)
    torch.manual_seed(99)
    network = build_model(frozen().model, frozen().data.size)
    before = set((store.workspace / "cache" / "features").rglob("*.npy"))
    write = write_atomic

    def full(path: Path, data: bytes) -> None:
        if path.suffix == ".txt":
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr("train.data.feature_cache.write_atomic", full)
    with pytest.raises(StageError, match=r"features do not fit into .*No space left on device\. Free some space"):
        make_loader(table, store, frozen(), train=False, network=network)
    assert set((store.workspace / "cache" / "features").rglob("*.npy")) == before


def test_a_row_without_landmarks_takes_the_median_of_the_others(store: Store) -> None:
    table = rows_with_targets(store.read("drawn").table).slice(0, 3)
    points = np.array([LANDMARKS, np.array(LANDMARKS) + 2, LANDMARKS], np.float32)
    column = pa.array([points[0].tolist(), None, points[1].tolist()], table["landmarks_xy"].type)
    sizes = pa.array([SIDE, 2 * SIDE, SIDE], pa.int32())  # the row without landmarks is twice as large
    for name, values in (("landmarks_xy", column), ("width_px", sizes), ("height_px", sizes)):
        table = table.set_column(table.column_names.index(name), name, values)
    filled = np.array(fill_landmarks(table, table, "drawn@1")["landmarks_xy"].to_pylist())
    np.testing.assert_allclose(filled[[0, 2]], points[:2])
    np.testing.assert_allclose(filled[1], 2 * (points[0] + 1), rtol=1e-5)


def test_missing_landmarks_and_unknown_names_are_reported(store: Store) -> None:
    write_rows(store, rows_of(store, 1, split="train"), "bare")
    table = rows_with_targets(store.read("bare").table)
    with pytest.raises(StageError, match=r"an embedding needs landmarks, and bare@1 has none\. Run: facecurate pre"):
        embed_rows(table, store, "dlib", "bare@1")
    with pytest.raises(ConfigError, match=r"model\.embedding must be one of \{dlib\}\. Got 'arc' instead"):
        embed_rows(table, store, "arc", "bare@1")
