"""Fixtures and settings of all tests, and small generated photo folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings

from data_manifests.schema import conform
from data_manifests.taxonomy import AgeCuts, age_class_of, class_id_of
from data_manifests.versions.content_hash import file_sha256, sample_id
from data_manifests.versions.metadata import Version
from data_manifests.versions.store import Store
from pipeline.photos.images import save_rgb

# In CI the examples are fixed, so that a failure is due to the change; elsewhere they are random, to find more.
settings.register_profile("ci", derandomize=True)
if "CI" in os.environ:
    settings.load_profile("ci")

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests share two cores with their own worker processes


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "workspace")


def draw_picture(seed: int, width: int = 48, height: int = 64) -> np.ndarray:
    """Return a small coloured image that is unique to the seed, (height, width, 3) uint8."""
    coarse = np.random.default_rng(seed).integers(0, 255, (4, 3, 3)).astype(np.float32)
    return np.kron(coarse, np.ones((height // 4, width // 3, 1))).astype(np.uint8)


def write_photos(store: Store, folder: Path, count: int, name: str = "drawn") -> Version:
    """Draw `count` images of as many people and write them as version 1 of a manifest."""
    rng = np.random.default_rng(count)
    saved = [save_rgb(draw_picture(i), folder, f"p{i:03d}.png") for i in range(count)]
    ids = [sample_id(image.path, file_sha256(folder / image.path)) for image in saved]
    gender = pa.array(rng.choice(["male", "female"], count).tolist())
    age = pa.array(rng.integers(18, 70, count), pa.int32())
    mask = pa.array(["none"] * count)
    age_class = age_class_of(age, AgeCuts())
    people = [f"p{i:03d}" for i in range(count)]
    columns = {
        "sample_id": ids, "source_id": ids, "root": [name] * count, "path": [image.path for image in saved],
        "sha256": [image.sha256 for image in saved], "width_px": [48] * count, "height_px": [64] * count,
        "person_id": people, "profile_id": people, "shot": ["normal"] * count,
        "mask": mask, "gender": gender, "age": age, "age_class": age_class,
        "class_id": class_id_of(mask, gender, age_class), "label_source": ["ingest"] * count,
        "status": ["ok"] * count, "is_synthetic": [False] * count,
    }  # fmt: skip
    store.set_root(name, folder)
    return store.write(name, conform(pa.table(columns)), "ingest")


@pytest.fixture(scope="module")
def one_torch_thread() -> Iterator[None]:
    """Let torch compute on one thread, as in a worker process, for the tests of a module."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
