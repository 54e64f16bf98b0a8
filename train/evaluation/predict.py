"""Predictions: from a trained network and pictures to a table of classes and probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch.utils.data import DataLoader

from data_manifests.errors import StageError
from data_manifests.labels import TASKS, UNKNOWN, labels_of_class
from data_manifests.versions import Store
from pipeline.progress import show_progress
from pipeline.runs import PROBABILITIES
from reporting.mistakes import known_labels, probability_of
from train.data import Batch, embed_rows, make_loader, open_pixels, picture_loader, to_device
from train.evaluation.tta import check_views, views_of
from train.models import Trained, log_probability
from train.photo_folder import FolderPhotos

_GEOMETRY = ["landmarks_xy", "width_px", "height_px"]


def predict_rows(
    trained: Trained, table: pa.Table, store: Store, ref: str, title: str, tta: Sequence[str] = ()
) -> pd.DataFrame:
    """Return rows of `rows_with_targets` with `target`, `predicted`, `confidence` and the probabilities p_00 … p_17.

    `tta` names the views of train/evaluation/tta.py whose probabilities are averaged.
    """
    check_views(tta, trained)
    network = None if tta else trained.model  # cached features are those of the unchanged picture only
    loader = make_loader(table, store, trained.settings, train=False, ref=ref, network=network)
    frame = table.drop_columns(_GEOMETRY).to_pandas().rename(columns={"class_id": "target"})
    return pd.concat([frame, as_frame(probabilities_of(trained, loader, title, tta), trained.tasks)], axis=1)


def predict_photos(
    trained: Trained, photos: FolderPhotos, store: Store, tta: Sequence[str] = ()
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return predictions of a folder's pictures by `path`, and the reasons of those that cannot be read.

    Raises StageError when none can be read.
    """
    check_views(tta, trained)
    table, reasons = photos.table, {}
    names = table.column("sample_id").to_pylist()
    batches: DataLoader[Batch] | list[Batch]
    if embedding := trained.settings.model.embedding:
        batches = _vector_batches(embed_rows(table, store, embedding, str(photos.folder)), names, trained)
    else:
        data = trained.settings.data
        columns = (table.column(name).to_pylist() for name in ("root", "path", "sha256"))
        pictures = [(store.photo(root, path), sha256) for root, path, sha256 in zip(*columns, strict=True)]
        pixels, failed = open_pixels(pictures, store.workspace, size=data.size, prepare=data.prepare)
        reasons = {names[index]: reason for index, reason in failed.items()}
        readable = [index for index in range(len(names)) if index not in failed]
        if not readable:
            first = next(iter(reasons.values()))
            raise StageError(f"none of the {len(photos.names)} pictures in {photos.folder} can be read: {first}")
        pixels.location, names = pixels.location[readable], [names[index] for index in readable]
        batches = picture_loader(pixels, names, trained.settings)
    probability = probabilities_of(trained, batches, "predict", tta)
    return pd.concat([pd.DataFrame({"path": names}), as_frame(probability, trained.tasks)], axis=1), reasons


def _vector_batches(vectors: np.ndarray, names: Sequence[str], trained: Trained) -> list[Batch]:
    """Return batches of vectors (N, D) without labels."""
    size, batches = trained.settings.data.batch_size, []
    for start in range(0, len(names), size):
        image = torch.from_numpy(vectors[start : start + size])
        unknown = torch.full((len(image), len(TASKS)), UNKNOWN)
        batches.append(Batch(image, unknown, unknown[:, 0], list(names[start : start + size])))
    return batches


@torch.inference_mode()
def probabilities_of(
    trained: Trained, batches: DataLoader[Batch] | list[Batch], title: str, tta: Sequence[str] = ()
) -> np.ndarray:
    """Return probabilities float64 (N, 18) of all rows of batches in order, averaged over the views of `tta`."""
    model = trained.model.eval()
    device = next(model.parameters()).device
    out = []
    for batch in show_progress(batches, title, len(batches), "batches") if title else batches:
        image, *_ = to_device(batch, device)
        views = [log_probability(model(view).float().cpu().double(), model.head).exp() for view in views_of(image, tta)]
        out.append(torch.stack(views).mean(0))
    return torch.cat(out).numpy()


def as_frame(probability: np.ndarray, tasks: Sequence[str] = TASKS) -> pd.DataFrame:
    """Return a table of `predicted`, `confidence` and p_00 … p_17 from probabilities (N, 18).

    `confidence` is the probability of the predicted labels of `tasks`, those that the network predicts.
    """
    frame = pd.DataFrame(probability.astype(np.float32), columns=PROBABILITIES)
    predicted = probability.argmax(1)
    confidence = probability_of(probability, known_labels(labels_of_class(predicted), tasks))
    frame.insert(0, "predicted", predicted.astype(np.int8))
    frame.insert(1, "confidence", confidence.astype(np.float32))
    return frame
