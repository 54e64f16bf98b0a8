"""Look at each picture once: face, vectors, quality, fingerprint. Kept by the picture's hash, so a second audit of the
same photos, or one after corrections, looks at none of them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from audit.features import fingerprint, quality
from audit.features.description import pack, unpack
from audit.settings import AuditSettings
from data_manifests.schema import USABLE
from data_manifests.versions import Store
from pipeline.backends import Backend, load_backend
from pipeline.faces import Locator, LocatorSettings, fit_mean_shape, make_locator
from pipeline.stage import IDENTITY, run_records
from pipeline.step import Outcome, Record, Result, Step, StepFunction

STEP_VERSION = "2"
CORES_EACH = 2  # a worker with torch, MTCNN and dlib holds 0.8 GB; on two cores a whole audit shall fit into 1 GB
VECTORS = ("identity", "appearance", "lower_face")
NUMBERS = ("blur_score", "exposure_score", "face_size_score")


@dataclass(frozen=True)
class Features:
    """What was seen in the rows (R,) of a table: positions, and arrays with one entry per position.

    Vectors are NaN, and the numbers of the face too, where no face was found.
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
    copies: np.ndarray
    problems: Mapping[int, str]  # table row → why its picture could not be looked at
    reused: int

    @property
    def has_face(self) -> np.ndarray:
        return np.isfinite(self.identity[:, 0]) if self.identity.shape[1] else np.zeros(len(self.rows), bool)


def describe_step(settings: AuditSettings) -> Step:
    """The one step of an audit. Backends are checked before a worker starts."""
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
    """The hash of a file of one's own, for backends that take one."""
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
    """Load the models; detector and landmarker only when the first row without landmarks comes."""
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
        columns = quality.measure(picture, landmarks) | {
            "faces": faces,
            "hash": f"{fingerprint.phash(picture):016x}",
            "copy": fingerprint.small_copy(picture),
        }
        if landmarks is not None:
            seen = describe(picture, landmarks)
            columns |= {name: pack(getattr(seen, name)) for name in VECTORS}
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
    """Features of every usable row; computed where no earlier run has."""
    rows = np.flatnonzero(np.isin(table.column("status").to_numpy(zero_copy_only=False), USABLE))
    todo = table.select([*IDENTITY, "landmarks_xy"]).take(pa.array(rows))
    results, reused = run_records(
        "audit",
        [describe_step(settings)],
        todo,
        store,
        jobs=settings.jobs,
        executor=settings.executor,
        cores_each=CORES_EACH,
    )
    return read_features(rows, results, reused)


def read_features(rows: np.ndarray, results: Sequence[Result], reused: int) -> Features:
    """Results of the step → arrays. Rows whose picture could not be read are left out and named in `problems`."""
    problems = {int(row): r["reason"] for row, r in zip(rows, results, strict=True) if r["status"] == "failed"}
    seen = [result["columns"] for result in results if result["status"] != "failed"]
    kept = np.array([row for row in rows.tolist() if row not in problems], np.int64)

    def numbers(name: str) -> np.ndarray:
        return np.array([np.nan if c[name] is None else c[name] for c in seen], np.float32)

    return Features(
        rows=kept,
        identity=_vectors(seen, "identity"),
        appearance=_vectors(seen, "appearance"),
        lower_face=_vectors(seen, "lower_face"),
        blur_score=numbers("blur_score"),
        exposure_score=numbers("exposure_score"),
        face_size_score=numbers("face_size_score"),
        faces=np.array([c["faces"] for c in seen], np.int32),
        grey=np.array([c["grey"] for c in seen], bool),
        border=np.array([c["border"] for c in seen], bool),
        hashes=np.array([int(c["hash"], 16) for c in seen], np.uint64),
        copies=np.array([fingerprint.read_copy(c["copy"]) for c in seen], np.uint8).reshape(len(seen), -1),
        problems=problems,
        reused=reused,
    )


def _vectors(seen: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    width = next((len(unpack(columns[name])) for columns in seen if name in columns), 0)
    vectors = np.full((len(seen), width), np.nan, np.float32)
    for place, columns in enumerate(seen):
        if name in columns:
            vectors[place] = unpack(columns[name])
    return vectors
