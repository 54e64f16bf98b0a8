"""Loaders that turn manifest rows into batches.

rows ─ pixels (decoded once, memory-mapped) ─ augment (train only) ─ normalise ─▶ Batch
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from data_manifests.errors import StageError
from data_manifests.labels import UNKNOWN
from data_manifests.versions import Store
from pipeline.runs import TARGETS
from train.data.augment import make_augment
from train.data.feature_cache import backbone_features, embed_rows, uses_cached_features
from train.data.pixel_cache import Pixels, open_pixels
from train.data.sampling import Draw, EpochSampler
from train.models import UNKNOWN_AGE, Network
from train.process_group import SINGLE_PROCESS, ProcessGroup, ShardedBatches
from train.settings import DataSettings, TrainSettings


class Batch(NamedTuple):
    """One batch of a loader."""

    image: torch.Tensor  # float32 (B, 3, H, W) in [0, 1], or with an embedding float32 (B, D)
    labels: torch.Tensor  # int64 (B, 3), codes of mask, gender and age; -1 where unknown
    age: torch.Tensor  # int64 (B,), years; UNKNOWN_AGE where they are unknown
    sample_id: list[str]


class Labels(NamedTuple):
    """The labels of a loader's rows."""

    labels: np.ndarray  # (N, 3), codes of mask, gender and age; -1 where unknown
    age: np.ndarray  # (N,), years, or UNKNOWN_AGE
    person: np.ndarray  # (N,), text
    sample_id: list[str]

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return labels (N, 3) and age (N,), int64."""
        return torch.tensor(self.labels), torch.tensor(self.age)


def labels_of(table: pa.Table) -> Labels:
    """Return the labels of rows of `rows_with_targets`."""
    age = pc.fill_null(table.column("age").cast(pa.int64()), UNKNOWN_AGE).to_numpy()
    labels = np.stack([table.column(name).to_numpy().astype(np.int64) for name in TARGETS.values()], 1)
    return Labels(labels, age, np.array(table.column("person_id").to_pylist()), table.column("sample_id").to_pylist())


class Pictures(Dataset[Batch]):
    """A data set of prepared pictures with labels, fetched by the batch: one read and one stack for many pictures."""

    def __init__(self, pixels: Pixels, labels: Labels, augment: torch.nn.Module | None = None) -> None:
        self.pixels, self.augment, self.sample_id = pixels, augment, labels.sample_id
        self.labels, self.age = labels.tensors()

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitems__(self, draws: Sequence[Draw]) -> Batch:
        rows = [row for _, row in draws]
        image = torch.from_numpy(self.pixels.take(rows)).permute(0, 3, 1, 2)
        if self.augment is not None:
            with torch.random.fork_rng(devices=[]):
                image = torch.stack([self._augment(one, seed) for one, (seed, _) in zip(image, draws, strict=True)])
        names = [self.sample_id[row] for row in rows]
        return Batch(image.float().div_(255), self.labels[rows], self.age[rows], names)

    def _augment(self, image: torch.Tensor, seed: int) -> torch.Tensor:
        assert self.augment is not None
        torch.default_generator.manual_seed(seed)
        return self.augment(image)


class Vectors(Dataset[Batch]):
    """A data set of cached feature vectors, float32 (N, D), with labels."""

    def __init__(self, vectors: np.ndarray, labels: Labels) -> None:
        self.vectors, self.sample_id = torch.from_numpy(vectors), labels.sample_id
        self.labels, self.age = labels.tensors()

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitems__(self, draws: Sequence[Draw]) -> Batch:
        rows = [row for _, row in draws]
        names = [self.sample_id[row] for row in rows]
        return Batch(self.vectors[rows], self.labels[rows], self.age[rows], names)


class InOrder(Sampler[Draw]):
    """A sampler of every row once, in order."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Any:
        return ((0, row) for row in range(self.length))


def read_pixels(table: pa.Table, store: Store, settings: DataSettings, ref: str) -> Pixels:
    """Return the prepared pictures of rows with root, path and sha256. Raises StageError if any cannot be read."""
    columns = (table.column(name).to_pylist() for name in ("root", "path", "sha256"))
    pictures = [(store.photo(root, path), sha or "") for root, path, sha in zip(*columns, strict=True)]
    pixels, failed = open_pixels(pictures, store.workspace, size=settings.size, prepare=settings.prepare)
    if failed:
        first = next(iter(failed.values()))
        raise StageError(
            f"{len(failed)} of {len(pictures)} pictures of {ref} cannot be read, the first: {first}. "
            f"See: facecurate verify {ref}"
        )
    return pixels


def make_loader(
    table: pa.Table,
    store: Store,
    settings: TrainSettings,
    *,
    train: bool,
    ref: str = "the manifest",
    network: Network | None = None,
    processes: ProcessGroup = SINGLE_PROCESS,
) -> DataLoader[Batch]:
    """Return a loader of the rows of `table`: sampled and augmented for training, else each row once and in order.

    With a `network` whose frozen backbone gives the same features in every epoch, batches hold those features instead
    of pictures. In training, call `set_epoch` before each epoch. The last, smaller batch of a training epoch is dropped
    if it has a single picture, which batch normalisation cannot use, or no picture for one of the `processes`, each of
    which gets a share of every batch. Raises StageError for unreadable pictures.
    """
    labels = labels_of(table)
    sampler = EpochSampler(labels.labels, labels.person, settings) if train else None
    dataset: Dataset[Batch]
    if settings.model.embedding:
        dataset = Vectors(embed_rows(table, store, settings.model.embedding, ref), labels)
    elif network is not None and uses_cached_features(settings):
        pixels = read_pixels(table, store, settings.data, ref)
        hashes = [sha or "" for sha in table.column("sha256").to_pylist()]
        dataset = Vectors(backbone_features(network, pixels, hashes, store, settings.data), labels)
    else:
        augment = make_augment(settings.data.augment, settings.data.size) if train else None
        dataset = Pictures(read_pixels(table, store, settings.data, ref), labels, augment)
    return _loader(dataset, sampler or InOrder(table.num_rows), settings, train, processes)


def picture_loader(pixels: Pixels, names: Sequence[str], settings: TrainSettings) -> DataLoader[Batch]:
    """Return a loader of unlabelled pictures, each once and in order."""
    unknown = np.full((len(names), len(TARGETS)), UNKNOWN)
    dataset = Pictures(pixels, Labels(unknown, np.full(len(names), UNKNOWN_AGE), np.array(names), list(names)))
    return _loader(dataset, InOrder(len(names)), settings, False, SINGLE_PROCESS)


def _loader(
    dataset: Dataset[Batch],
    order: EpochSampler | InOrder,
    settings: TrainSettings,
    train: bool,
    processes: ProcessGroup,
) -> DataLoader[Batch]:
    size = settings.data.batch_size
    sampler: Any = order  # BatchSampler is typed for plain positions
    drop_last = train and 0 < len(order) % size < max(2, processes.size)
    return DataLoader(
        dataset,
        batch_sampler=ShardedBatches(sampler, size, drop_last, processes),
        num_workers=settings.data.workers,
        persistent_workers=settings.data.workers > 0,
        collate_fn=_identity,
    )


def set_epoch(loader: DataLoader[Any], epoch: int) -> None:
    """Set the epoch whose draws a training loader gives next."""
    batch_sampler: Any = loader.batch_sampler
    batch_sampler.sampler.epoch = epoch


def _identity(batch: Any) -> Any:
    """Return the batch unchanged: the data set has collated it."""
    return batch


def to_device(batch: Batch, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Move a batch to a device; return pictures (channels last) or vectors, labels and ages."""
    layout = torch.channels_last if batch.image.dim() == 4 else torch.contiguous_format
    image = batch.image.to(device, memory_format=layout, non_blocking=True)
    return image, batch.labels.to(device, non_blocking=True), batch.age.to(device, non_blocking=True)
