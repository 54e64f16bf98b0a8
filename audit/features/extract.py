"""Extraction of the features of each picture: face, vectors, quality, fingerprint.

Results are kept by the picture's hash, so a second audit of the same photos, or one after corrections, reads no picture
again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from audit.features import fingerprint, quality_measures
from audit.features.face_vectors import pack, unpack
from audit.settings import AuditSettings
from data_manifests.schema import USABLE
from data_manifests.versions import Store
from pipeline.backends import Backend, load_backend
from pipeline.faces import Locator, LocatorSettings, fit_mean_shape, make_locator
from pipeline.stage import IDENTITY, run_records
from pipeline.step import Outcome, Record, Result, Step, StepFunction

STEP_VERSION = "2"
WORKER_GB = 0.8  # with torch, MTCNN and dlib; one worker and the main process fit into 1 GB
VECTORS = ("identity", "appearance", "lower_face")
NUMBERS = ("blur_score", "exposure_score", "face_size_score")


@dataclass(frozen=True)
class Features:
    """Features of P pictures of a table: row numbers, and arrays with one entry per picture.

    Vectors and the measures of the face are NaN where no face was found. `problems` maps the row number of an
    unreadable picture to the reason, `reused` counts results of earlier runs.
    """

    rows: np.ndarray
    identity: np.ndarray
    appearance: np.ndarray
    lower_face: np.ndarray
    blur_score: np.ndarray
    exposure_score: np.ndarray
    face_size_score: np.ndarray
    faces: np.ndarray
    grey: np.ndarray
    border: np.ndarray
    hashes: np.ndarray
    thumbnails: np.ndarray
    problems: Mapping[int, str]
    reused: int

    @property
    def has_face(self) -> np.ndarray:
        """Return the pictures (P,) bool in which a face was found."""
        return np.isfinite(self.identity[:, 0]) if self.identity.shape[1] else np.zeros(len(self.rows), bool)


def describe_step(settings: AuditSettings) -> Step:
    """Return the step of an audit. Backends are checked before a worker starts."""
    params = settings.describer_params
    describer = load_backend("describer", settings.describer)
    finders = [load_backend("detector", settings.detector), load_backend("landmarker", settings.landmarker)]
    describer.check(**params)
    versions = [describer.version, *(backend.version for backend in finders), _fingerprint(describer, params)]
    chosen = ("describer", "describer_params", "detector", "detector_params", "landmarker", "landmarker_params")
    return Step(
        "describe",
        make_describe,
        "+".join(filter(None, [STEP_VERSION, *versions])),
        {name: getattr(settings, name) for name in chosen},
        requires=("landmarks_xy",),
        check=partial(describer.check, **params),
    )


def _fingerprint(backend: Backend, params: Mapping[str, Any]) -> str:
    """Return the hash of the weights file, for backends that take one from the user."""
    from importlib import import_module

    from pipeline.backends import BACKENDS

    module = import_module(BACKENDS["describer"][backend.name])
    return str(module.fingerprint(**params)) if hasattr(module, "fingerprint") else ""


def make_describe(
    describer: str,
    describer_params: Mapping[str, Any],
    detector: str,
    detector_params: Mapping[str, Any],
    landmarker: str,
    landmarker_params: Mapping[str, Any],
) -> StepFunction:
    """Load the describer and return the step function.

    Detector and landmarker load with the first row that has no landmarks.
    """
    describe = load_backend("describer", describer).make(**describer_params)
    finder: list[Locator] = []

    def step(record: Record, picture: np.ndarray) -> Outcome:
        landmarks, faces = record["landmarks_xy"], 1
        if landmarks is not None:
            landmarks = np.array(landmarks, np.float32).reshape(-1, 2)
        else:
            if not finder:
                chosen = LocatorSettings(detector, landmarker, detector_params, landmarker_params)
                finder.append(make_locator(chosen))
            landmarks, faces = find_face(finder[0], picture)
        columns = quality_measures.measure(picture, landmarks) | {
            "faces": faces,
            "hash": f"{fingerprint.perceptual_hash(picture):016x}",
            "copy": fingerprint.encode_thumbnail(picture),
        }
        if landmarks is not None:
            vectors = describe(picture, landmarks)
            columns |= {name: pack(getattr(vectors, name)) for name in VECTORS}
        return Outcome(columns)

    return step


def find_face(locate: Locator, picture: np.ndarray) -> tuple[np.ndarray | None, int]:
    """Return the landmarks (68, 2) of the person's face and the number of large faces; None and 0 without a face.

    Landmarks that disagree with the detector's five points are replaced by the mean shape fitted to these points.
    """
    located = locate(picture)
    if located is None:
        return None, 0
    landmarks = located.landmarks_xy
    if not located.is_consistent and located.face.points_xy is not None:
        landmarks = fit_mean_shape(located.face.points_xy)
    return landmarks, located.face.n_large_faces


def describe_rows(table: pa.Table, settings: AuditSettings, store: Store) -> Features:
    """Return the features of every usable row, computed where no earlier run has."""
    rows = np.flatnonzero(np.isin(table.column("status").to_numpy(zero_copy_only=False), USABLE))
    todo = table.select([*IDENTITY, "landmarks_xy"]).take(pa.array(rows))
    results, reused = run_records(
        "audit",
        [describe_step(settings)],
        todo,
        store,
        jobs=settings.jobs,
        executor=settings.executor,
        worker_gb=WORKER_GB,
    )
    return read_features(rows, results, reused)


def read_features(rows: np.ndarray, results: Sequence[Result], reused: int) -> Features:
    """Return results of the step as arrays. Rows with an unreadable picture are left out and listed in `problems`."""
    problems = {int(row): r["reason"] for row, r in zip(rows, results, strict=True) if r["status"] == "failed"}
    described = [result["columns"] for result in results if result["status"] != "failed"]
    kept = np.array([row for row in rows.tolist() if row not in problems], np.int64)

    def numbers(name: str) -> np.ndarray:
        return np.array([np.nan if c[name] is None else c[name] for c in described], np.float32)

    thumbnails = [fingerprint.decode_thumbnail(c["copy"]) for c in described]
    return Features(
        rows=kept,
        identity=_vectors(described, "identity"),
        appearance=_vectors(described, "appearance"),
        lower_face=_vectors(described, "lower_face"),
        blur_score=numbers("blur_score"),
        exposure_score=numbers("exposure_score"),
        face_size_score=numbers("face_size_score"),
        faces=np.array([c["faces"] for c in described], np.int32),
        grey=np.array([c["grey"] for c in described], bool),
        border=np.array([c["border"] for c in described], bool),
        hashes=np.array([int(c["hash"], 16) for c in described], np.uint64),
        thumbnails=np.array(thumbnails, np.uint8).reshape(len(described), -1),
        problems=problems,
        reused=reused,
    )


def _vectors(described: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """Return one vector per picture (P, D) float32, NaN without a face."""
    width = next((len(unpack(columns[name])) for columns in described if name in columns), 0)
    vectors = np.full((len(described), width), np.nan, np.float32)
    for position, columns in enumerate(described):
        if name in columns:
            vectors[position] = unpack(columns[name])
    return vectors
