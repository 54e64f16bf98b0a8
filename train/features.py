"""Vectors of a frozen network, taken once per picture and kept: a head on them is trained in seconds."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import fields

import numpy as np
import pyarrow as pa

from data_manifests.errors import ConfigError, StageError, must_be_one_of
from data_manifests.store import Store
from pipeline.backends import load_backend
from pipeline.stage import IDENTITY, run_records
from pipeline.step import Outcome, Record, Step, StepFunction

VERSION = "1"

# name → the describer (pipeline/backends.py) that looks at a picture and its landmarks
EMBEDDINGS: Mapping[str, str] = {"dlib": "dlib_layers"}


def embed_rows(table: pa.Table, store: Store, embedding: str, ref: str) -> np.ndarray:
    """float32 (N, D): all that the describer says of each row's face, one after the other.

    A row in which no face was found is looked at where the faces of the other rows lie; the report counts such rows.
    Raises ConfigError for an unknown name; StageError when no row has landmarks or a picture cannot be read.
    """
    if embedding not in EMBEDDINGS:
        raise ConfigError(must_be_one_of("model.embedding", EMBEDDINGS, embedding))
    table = fill_landmarks(table, ref)
    describer = load_backend("describer", EMBEDDINGS[embedding])
    step = Step(
        "embed", make_embed, f"{VERSION}+{describer.version}", {"describer": EMBEDDINGS[embedding]},
        requires=("landmarks_xy",), check=describer.check,
    )  # fmt: skip
    known = [name for name in (*IDENTITY, "landmarks_xy") if name in table.column_names]
    # starting worker processes takes seconds: not worth it for a few pictures
    jobs = min(os.cpu_count() or 1, 1 + table.num_rows // 100)
    results, _ = run_records("embed", [step], table.select(known), store, jobs=jobs)
    failed = [result["reason"] for result in results if result["status"] == "failed"]
    if failed:
        raise StageError(f"{len(failed)} of {len(results)} pictures of {ref} give no embedding, first: {failed[0]}.")
    return np.stack([_unpack(result["columns"]["embedding"]) for result in results])


def fill_landmarks(table: pa.Table, ref: str) -> pa.Table:
    """The table with the median landmarks of its rows, relative to the picture's size, where a row has none."""
    column = table.column("landmarks_xy").combine_chunks()
    known = column.is_valid().to_numpy(zero_copy_only=False)
    if not known.any():
        raise StageError(f"an embedding needs landmarks, and {ref} has none. Run: python -m preprocess run {ref}")
    size = np.stack([table.column(name).to_numpy() for name in ("width_px", "height_px")], 1).astype(np.float32)
    points = np.empty((len(known), column.type.list_size), np.float32)
    points[known] = column.drop_null().flatten().to_numpy().reshape(-1, column.type.list_size)
    per_point = np.tile(size, column.type.list_size // 2)  # (N, 136): width, height, width, …
    points[~known] = np.median(points[known] / per_point[known], axis=0) * per_point[~known]
    filled = pa.FixedSizeListArray.from_arrays(pa.array(points.ravel()), column.type.list_size)
    return table.set_column(table.column_names.index("landmarks_xy"), "landmarks_xy", filled)


def make_embed(describer: str) -> StepFunction:
    """A step that keeps the vectors of one picture."""
    describe = load_backend("describer", describer).make()

    def step(record: Record, picture: np.ndarray) -> Outcome:
        seen = describe(picture, np.array(record["landmarks_xy"], np.float32).reshape(-1, 2))
        vector = np.concatenate([getattr(seen, part.name) for part in fields(seen)])
        return Outcome({"embedding": _pack(vector)})

    return step


def _pack(vector: np.ndarray) -> str:
    """As text for JSON: half floats in base64."""
    return base64.b64encode(vector.astype(np.float16).tobytes()).decode("ascii")


def _unpack(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.float16).astype(np.float32)
