"""Realism of synthetic masks: how well a small classifier separates them from real ones by texture.

Lower is better: AUC 0.5 is chance, 1 perfect separation. Both kinds of images go through the same detector and
landmarker, so the source of the landmarks does not separate them. The features are the fine texture (local amplitude of
wavelet bands) of the lower face, which shows the fabric, its border and straps. Folds keep people apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import StageError
from data_manifests.schema import USABLE
from data_manifests.versions import Store
from pipeline.faces import make_locator, require_landmarks
from pipeline.photos import load_rgb
from pipeline.progress import show_progress
from pipeline.step import Record
from synth.ages import F64, mean_shape, texture_features

MIN_IMAGES = 30  # of each kind; with fewer the AUC is meaningless
_FOLDS = 5
_ROWS_ABOVE = 5  # of 11 rows of cells: eyes and brows show no mask


@dataclass(frozen=True)
class Realism:
    """Cross-validated `auc` over `real` and `synthetic` images of worn masks, with folds by person."""

    auc: float
    real: int
    synthetic: int

    def line(self) -> str:
        """Return one line for a terminal."""
        return (
            f"realism: a classifier separates {self.synthetic} synthetic from {self.real} real worn masks with AUC "
            f"{self.auc:.2f} (0.5: chance, 1: perfect separation)"
        )


def measure_realism(store: Store, table: pa.Table, *, max_images: int = 200, seed: int = 0) -> Realism:
    """Measure on up to `max_images` of each kind, at about 0.1 s per image.

    Raises StageError if a face is found in fewer than MIN_IMAGES worn masks of either kind.
    """
    usable = pc.is_in(table["status"], pa.array(USABLE))
    worn = table.filter(pc.and_kleene(usable, pc.equal(table["mask"], "worn")))
    kinds = [worn.filter(pc.equal(worn["is_synthetic"], kind)) for kind in (False, True)]
    _require_enough([rows.num_rows for rows in kinds])
    rng = np.random.default_rng(seed)
    found: list[tuple[np.ndarray, np.ndarray, bool, str]] = []
    locate = make_locator()
    for kind, rows in zip((False, True), kinds, strict=True):
        chosen = rows.take(np.sort(rng.permutation(rows.num_rows)[:max_images]))
        name = f"{'synthetic' if kind else 'real'} masks"
        for row in show_progress(chosen.to_pylist(), name, chosen.num_rows):
            picture = _load(store, row)
            try:
                found.append((picture, require_landmarks(locate(picture)).landmarks_xy, kind, row["person_id"]))
            except StageError:
                continue  # the mask hides the face from the detector; this happens in both kinds
    is_synthetic = np.array([kind for _, _, kind, _ in found], bool)
    counts = [int((~is_synthetic).sum()), int(is_synthetic.sum())]
    _require_enough(counts)
    mean_xy = mean_shape([landmarks for _, landmarks, _, _ in found])
    features = np.stack([_lower_face_texture(picture, landmarks, mean_xy) for picture, landmarks, _, _ in found])
    person_ids = np.array([person for *_, person in found])
    return Realism(separability(features, is_synthetic, person_ids), counts[0], counts[1])


def _require_enough(counts: list[int]) -> None:
    if min(counts) < MIN_IMAGES:
        raise StageError(
            f"realism needs {MIN_IMAGES} images of worn masks of each kind in which a face is found. "
            f"Got {counts[0]} real and {counts[1]} synthetic ones."
        )


def separability(features: np.ndarray, kind: np.ndarray, people: np.ndarray) -> float:
    """Return the AUC of a logistic regression of `kind` (N,) bool on features (N, D), cross-validated by person."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000, class_weight="balanced"))
    score = cross_val_predict(
        model, features, kind, groups=people, cv=GroupKFold(_FOLDS), method="decision_function"
    )  # fmt: skip
    return float(roc_auc_score(kind, score))


def _load(store: Store, row: Record) -> np.ndarray:
    return load_rgb(store.photo(row["root"], row["path"]), row["sha256"])


def _lower_face_texture(picture: np.ndarray, landmarks_xy: np.ndarray, mean_xy: F64) -> np.ndarray:
    cells = texture_features(picture, landmarks_xy, mean_xy).reshape(-1, 11, 9)
    return np.asarray(cells[:, _ROWS_ABOVE:].ravel())
