"""From a trained network to a table of predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from data_manifests.errors import StageError
from data_manifests.hashing import file_sha256
from data_manifests.store import Store
from data_manifests.taxonomy import N_CLASSES
from pipeline.images import SUFFIXES
from train.checkpoint import Trained
from train.data import make_loader, picture_loader
from train.heads import log_probability
from train.loop import forward
from train.pixels import open_pixels

PROBABILITIES = [f"p_{class_id:02d}" for class_id in range(N_CLASSES)]


def predict_rows(trained: Trained, table: pa.Table, store: Store, ref: str, title: str) -> pd.DataFrame:
    """The rows (train/select.COLUMNS) with `target`, `predicted`, `confidence` and the probabilities p_00 … p_17."""
    loader = make_loader(table, store, trained.settings, train=False, ref=ref, network=trained.model)
    outputs, *_ = forward(trained.model, loader, title)
    frame = (
        table.drop_columns(["landmarks_xy", "width_px", "height_px"]).to_pandas().rename(columns={"class_id": "target"})
    )
    return pd.concat([frame, _as_frame(trained, outputs)], axis=1)


def predict_folder(trained: Trained, folder: Path, store: Store) -> tuple[pd.DataFrame, dict[str, str]]:
    """Predictions for every picture below a folder, by `path`; and why some pictures could not be read.

    Raises StageError when there is no picture at all.
    """
    if trained.settings.model.embedding:
        raise StageError(
            f"the embedding {trained.settings.model.embedding!r} needs landmarks, which a plain folder does not have. "
            "Ingest it, run: python -m preprocess run REF, and predict that."
        )
    names = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.name.startswith("._"))
    files = sorted(path for path in names if path.is_file())
    if not files:
        raise StageError(f"{folder} holds no picture ({', '.join(SUFFIXES)}).")
    settings = trained.settings.data
    pictures = [(file, file_sha256(file)) for file in files]
    pixels, failed = open_pixels(pictures, store.workspace, size=settings.size, prepare=settings.prepare)
    readable = [index for index in range(len(files)) if index not in failed]
    names_read = [files[index].relative_to(folder).as_posix() for index in readable]
    reasons = {files[index].relative_to(folder).as_posix(): reason for index, reason in failed.items()}
    if not readable:
        raise StageError(f"none of the {len(files)} pictures in {folder} can be read: {next(iter(reasons.values()))}")
    pixels.place = pixels.place[readable]
    outputs, *_ = forward(trained.model, picture_loader(pixels, names_read, trained.settings), "predict")
    return pd.concat([pd.DataFrame({"path": names_read}), _as_frame(trained, outputs)], axis=1), reasons


def _as_frame(trained: Trained, outputs: torch.Tensor) -> pd.DataFrame:
    probability = log_probability(outputs.cpu().double(), trained.model.head).exp().numpy()
    frame = pd.DataFrame(probability.astype(np.float32), columns=PROBABILITIES)
    frame.insert(0, "predicted", probability.argmax(1).astype(np.int8))
    frame.insert(1, "confidence", probability.max(1).astype(np.float32))
    return frame
