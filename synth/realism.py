"""How easily synthetic masks are told from real ones: a small classifier on the texture around the mask.

Lower is better: 0.5 means that it cannot tell, 1 that it always can. Both kinds of picture go through the same detector
and landmarker, so that where the points came from tells nothing; what is compared is the fine texture (local amplitude
of wavelet bands) of the lower face, where fabric, its border and straps are. People are never in both halves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from data_manifests.errors import StageError
from data_manifests.schema import USABLE
from data_manifests.versions import Store
from pipeline.faces import make_locator, require_landmarks
from pipeline.photos import load_rgb
from pipeline.step import Record
from synth.ages import F64, mean_shape, texture_features

LEAST = 30  # of each kind: with fewer the figure says nothing
_FOLDS = 5
_ROWS_ABOVE = 5  # of 11 rows of cells: eyes and brows tell nothing of a mask


@dataclass(frozen=True)
class Realism:
    """`auc` over `real` and `synthetic` pictures of worn masks, by cross-validation over people."""

    auc: float
    real: int
    synthetic: int

    def line(self) -> str:
        return (
            f"realism: a classifier tells {self.synthetic} synthetic from {self.real} real worn masks with AUC "
            f"{self.auc:.2f} (0.5: cannot tell, 1: always)"
        )


def realism(store: Store, table: pa.Table, *, most: int = 200, seed: int = 0) -> Realism:
    """Measure on up to `most` pictures of each kind; 0.1 s a picture.

    Raises StageError if fewer than LEAST worn masks of either kind have a face that is found.
    """
    usable = pc.is_in(table["status"], pa.array(USABLE))
    worn = table.filter(pc.and_kleene(usable, pc.equal(table["mask"], "worn")))
    kinds = [worn.filter(pc.equal(worn["is_synthetic"], kind)) for kind in (False, True)]
    _enough([rows.num_rows for rows in kinds])
    rng = np.random.default_rng(seed)
    found: list[tuple[np.ndarray, np.ndarray, bool, str]] = []
    locate = make_locator()
    for kind, rows in zip((False, True), kinds, strict=True):
        chosen = rows.take(np.sort(rng.permutation(rows.num_rows)[:most]))
        for row in tqdm(chosen.to_pylist(), desc="synthetic" if kind else "real", unit="img"):
            picture = _load(store, row)
            try:
                found.append((picture, require_landmarks(locate(picture)).landmarks_xy, kind, row["person_id"]))
            except StageError:
                continue  # a mask that hides the face from the detector; both kinds have them
    made = np.array([kind for _, _, kind, _ in found], bool)
    counts = [int((~made).sum()), int(made.sum())]
    _enough(counts)
    mean_xy = mean_shape([landmarks for _, landmarks, _, _ in found])
    features = np.stack([_around_the_mask(picture, landmarks, mean_xy) for picture, landmarks, _, _ in found])
    return Realism(separability(features, made, np.array([person for *_, person in found])), counts[0], counts[1])


def _enough(counts: list[int]) -> None:
    if min(counts) < LEAST:
        raise StageError(
            f"realism needs {LEAST} pictures of worn masks of each kind in which a face is found. Got {counts[0]} real "
            f"and {counts[1]} synthetic ones."
        )


def separability(features: np.ndarray, kind: np.ndarray, people: np.ndarray) -> float:
    """AUC of a logistic regression that tells kind (N,) bool from features (N, D), tested on people it has not seen."""
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
    return load_rgb(store.file_of(row["root"], row["path"]), row["sha256"])


def _around_the_mask(picture: np.ndarray, landmarks_xy: np.ndarray, mean_xy: F64) -> np.ndarray:
    cells = texture_features(picture, landmarks_xy, mean_xy).reshape(-1, 11, 9)
    return np.asarray(cells[:, _ROWS_ABOVE:].ravel())
