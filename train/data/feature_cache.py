"""Feature vectors of a frozen network, computed once per picture and cached: a head on them trains in seconds.

`model.embedding` names a face descriptor, which takes a picture and its landmarks. `model.freeze=backbone` without
augmentation takes the features of a timm backbone:

    workspace/cache/features/<hash of preparation and weights>/<part>.npy    float32 (N, D)
                                                              /<part>.txt    sha256 of each picture, one per line
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from tqdm import tqdm

from data_manifests.errors import ConfigError, StageError, must_be_one_of
from data_manifests.versions import Store, write_atomic
from pipeline.backends import load_backend
from pipeline.stage import IDENTITY, run_records
from pipeline.step import Outcome, Record, Step, StepFunction
from train.data.pixel_cache import Pixels, cache_spec, list_parts
from train.models import Network
from train.rows import missing_landmarks_message
from train.settings import DataSettings, TrainSettings

VERSION = "1"
BATCH, PART = 64, 2048  # pictures per forward pass and per file; an interruption loses at most one file

# name → the describer (pipeline/backends.py) of a picture and its landmarks
EMBEDDINGS: Mapping[str, str] = {"dlib": "dlib_layers"}


def embed_rows(table: pa.Table, store: Store, embedding: str, ref: str) -> np.ndarray:
    """Return the concatenated vectors of the describer for each row, float32 (N, D).

    A row without a detected face is described at the median landmarks of the photos of `ref`, a version; the report
    counts such rows. Raises ConfigError for an unknown name, StageError when no photo has landmarks or a picture
    cannot be read.
    """
    if embedding not in EMBEDDINGS:
        raise ConfigError(must_be_one_of("model.embedding", EMBEDDINGS, embedding))
    if table.column("landmarks_xy").null_count:
        columns = ["landmarks_xy", "width_px", "height_px", "is_synthetic"]
        rows = store.read(ref, columns).table
        # photos of any status: all versions with one detection then share the median, and cached vectors are reused
        table = fill_landmarks(table, rows.filter(pc.invert(rows["is_synthetic"])), ref)
    describer = load_backend("describer", EMBEDDINGS[embedding])
    step = Step(
        "embed", make_embed, f"{VERSION}+{describer.version}", {"describer": EMBEDDINGS[embedding]},
        requires=("landmarks_xy",), check=describer.check,
    )  # fmt: skip
    known = [name for name in (*IDENTITY, "landmarks_xy") if name in table.column_names]
    results, _ = run_records("embed", [step], table.select(known), store)
    failed = [result["reason"] for result in results if result["status"] == "failed"]
    if failed:
        raise StageError(
            f"{len(failed)} of {len(results)} pictures of {ref} have no embedding, the first: {failed[0]}."
        )
    return np.stack([_unpack(result["columns"]["embedding"]) for result in results])


def fill_landmarks(table: pa.Table, photos: pa.Table, ref: str) -> pa.Table:
    """Fill missing landmarks with the median of `photos`, relative to the size of the picture. Raises StageError."""
    photos = photos.filter(photos["landmarks_xy"].is_valid())
    if photos.num_rows == 0:
        raise StageError(f"{missing_landmarks_message(ref, has_boxes=False)}.")
    median = np.median(_points(photos) / _sizes(photos), axis=0)  # (68, 2)
    known = table["landmarks_xy"].is_valid().to_numpy(zero_copy_only=False)
    points = median * _sizes(table)
    points[known] = _points(table.filter(pa.array(known)))
    place, numbers = table.column_names.index("landmarks_xy"), pa.array(points.astype(np.float32).ravel())
    filled = pa.FixedSizeListArray.from_arrays(numbers, 2 * points.shape[1])
    return table.set_column(place, "landmarks_xy", filled)


def _points(table: pa.Table) -> np.ndarray:
    """Return landmarks (N, 68, 2) in pixels of rows that all have them."""
    return np.stack([*table["landmarks_xy"].combine_chunks().to_numpy(zero_copy_only=False)]).reshape(len(table), -1, 2)


def _sizes(table: pa.Table) -> np.ndarray:
    """Return width and height of the pictures (N, 1, 2)."""
    return np.stack([table[name].to_numpy() for name in ("width_px", "height_px")], 1)[:, None].astype(np.float64)


def make_embed(describer: str) -> StepFunction:
    """Return a step that computes the vector of one picture."""
    describe = load_backend("describer", describer).make()

    def step(record: Record, picture: np.ndarray) -> Outcome:
        description = describe(picture, np.array(record["landmarks_xy"], np.float32).reshape(-1, 2))
        vector = np.concatenate([getattr(description, part.name) for part in fields(description)])
        return Outcome({"embedding": _pack(vector)})

    return step


def _pack(vector: np.ndarray) -> str:
    """Encode a vector as text for JSON: half floats in base64."""
    return base64.b64encode(vector.astype(np.float16).tobytes()).decode("ascii")


def _unpack(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.float16).astype(np.float32)


def uses_cached_features(settings: TrainSettings) -> bool:
    """Return whether features are the same in every epoch: the backbone is frozen, and pictures are not augmented."""
    frozen = settings.model.freeze == "backbone" and not settings.model.embedding
    varied = any(settings.data.augment.values()) or bool(settings.data.mix)
    return frozen and not varied and settings.model.networks == "shared"


@torch.inference_mode()
def backbone_features(
    network: Network, pixels: Pixels, hashes: Sequence[str], store: Store, settings: DataSettings
) -> np.ndarray:
    """Return the features of a frozen backbone, float32 (N, D), computing those not cached yet.

    The cache key is the pictures' sha256 (`hashes`), their preparation, and the backbone's weights. Raises StageError
    when the disk is full.
    """
    spec = json.dumps([VERSION, cache_spec(settings.size, settings.prepare), network.frozen_sha256()])
    folder = store.workspace / "cache" / "features" / hashlib.sha256(spec.encode()).hexdigest()[:16]
    _, known = list_parts(folder)
    missing = {sha: row for row, sha in enumerate(hashes) if sha not in known}
    device = next(network.parameters()).device
    network.eval()
    with tqdm(total=len(missing), desc="features", unit="img", disable=not missing) as bar:
        for first in range(0, len(missing), PART):
            names, found = list(missing)[first : first + PART], []
            for start in range(0, len(names), BATCH):
                rows = [missing[sha] for sha in names[start : start + BATCH]]
                image = torch.from_numpy(pixels.take(rows)).to(device).permute(0, 3, 1, 2).float().div_(255)
                found.append(network.features(image).float().cpu().numpy())
                bar.update(len(rows))
            _write_part(folder, names, np.concatenate(found))
    parts, known = list_parts(folder)
    vectors = [np.load(part) for part in parts]
    return np.stack([vectors[part][row] for part, row in (known[sha] for sha in hashes)])


def _write_part(folder: Path, names: Sequence[str], vectors: np.ndarray) -> None:
    """Write one more part, its .txt last, so that readers see complete parts only."""
    data, part = io.BytesIO(), folder / uuid.uuid4().hex
    np.save(data, vectors)
    try:
        write_atomic(part.with_suffix(".npy"), data.getvalue())
        write_atomic(part.with_suffix(".txt"), "\n".join(names).encode())
    except OSError as error:
        part.with_suffix(".npy").unlink(missing_ok=True)
        raise StageError(f"features do not fit into {folder}: {error.strerror}. Free some space.") from None
