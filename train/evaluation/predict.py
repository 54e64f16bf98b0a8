"""Predictions: from a trained network and pictures to a table of classes and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from data_manifests.errors import StageError
from data_manifests.versions import Store, file_sha256
from pipeline.photos import find_pictures
from pipeline.runs import PROBABILITIES
from train.data import Batch, make_loader, open_pixels, picture_loader, to_device
from train.evaluation.tta import check_views, views_of
from train.models import Trained, log_probability

_GEOMETRY = ["landmarks_xy", "width_px", "height_px"]


def predict_rows(
    trained: Trained, table: pa.Table, store: Store, ref: str, title: str, tta: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the rows (with COLUMNS) with `target`, `predicted`, `confidence` and the probabilities p_00 … p_17.

    `tta` names the views of train/evaluation/tta.py whose probabilities are averaged.
    """
    check_views(tta, trained)
    network = None if tta else trained.model  # cached features are those of the unchanged picture only
    loader = make_loader(table, store, trained.settings, train=False, ref=ref, network=network)
    frame = table.drop_columns(_GEOMETRY).to_pandas().rename(columns={"class_id": "target"})
    return pd.concat([frame, as_frame(probabilities_of(trained, loader, title, tta))], axis=1)


def predict_folder(
    trained: Trained, folder: Path, store: Store, tta: Sequence[str] = ()
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return predictions for every picture below a folder by `path`, and the reasons of unreadable pictures.

    Raises StageError when there is no picture, or none that can be read.
    """
    if trained.settings.model.embedding:
        raise StageError(
            f"the embedding {trained.settings.model.embedding!r} needs landmarks, which a plain folder does not have. "
            "Ingest it, run: facecurate preprocess run REF, and predict that version."
        )
    check_views(tta, trained)
    names = find_pictures(folder)
    settings = trained.settings.data
    pictures = [(folder / name, file_sha256(folder / name)) for name in names]
    pixels, failed = open_pixels(pictures, store.workspace, size=settings.size, prepare=settings.prepare)
    readable = [index for index in range(len(names)) if index not in failed]
    names_read = [names[index] for index in readable]
    reasons = {names[index]: reason for index, reason in failed.items()}
    if not readable:
        raise StageError(f"none of the {len(names)} pictures in {folder} can be read: {next(iter(reasons.values()))}")
    pixels.location = pixels.location[readable]
    probability = probabilities_of(trained, picture_loader(pixels, names_read, trained.settings), "predict", tta)
    return pd.concat([pd.DataFrame({"path": names_read}), as_frame(probability)], axis=1), reasons


@torch.inference_mode()
def probabilities_of(trained: Trained, loader: DataLoader[Batch], title: str, tta: Sequence[str] = ()) -> np.ndarray:
    """Return probabilities float64 (N, 18) of all rows of a loader in order, averaged over the views of `tta`."""
    model = trained.model.eval()
    device = next(model.parameters()).device
    out = []
    for batch in tqdm(loader, desc=title, unit="batch", leave=False, disable=not title or None):
        image, *_ = to_device(batch, device)
        views = [log_probability(model(view).float().cpu().double(), model.head).exp() for view in views_of(image, tta)]
        out.append(torch.stack(views).mean(0))
    return torch.cat(out).numpy()


def as_frame(probability: np.ndarray) -> pd.DataFrame:
    """Return a table of `predicted`, `confidence` and p_00 … p_17 from probabilities (N, 18)."""
    frame = pd.DataFrame(probability.astype(np.float32), columns=PROBABILITIES)
    frame.insert(0, "predicted", probability.argmax(1).astype(np.int8))
    frame.insert(1, "confidence", probability.max(1).astype(np.float32))
    return frame
