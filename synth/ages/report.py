"""Report on age moves: the shift measured by age predictors that are independent of person and prototypes.

People are divided into folds. Of the folds that are not being moved, half train the prototypes and half the predictors,
so no predictor has seen the wrinkles that are transferred to a face it evaluates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_manifests.errors import StageError
from data_manifests.versions import Store
from pipeline.faces import SAME_PERSON_DISTANCE, Embedder
from pipeline.photos import load_rgb
from pipeline.progress import announce, show_progress
from synth.ages.frame import F32, F64, mean_shape, to_frame
from synth.ages.learn import MIN_PEOPLE, Picture, learn_prototypes
from synth.ages.move import move_age
from synth.ages.prototype_store import unmasked_faces
from synth.ages.prototypes import Prototypes
from synth.ages.texture import LOG_FLOOR, amplitudes, split_bands
from synth.ages.zones import U8, to_lab

Predictor = Callable[[NDArray[np.floating]], NDArray[np.floating]]
KINDS = ("embedding", "texture")


@dataclass(frozen=True)
class LabelledFace:
    """A real, unmasked face of a person of known age. `load` reads the image (H, W, 3) uint8 RGB when it is needed."""

    load: Callable[[], U8]
    landmarks_xy: NDArray[np.float32]
    gender: str
    age: int
    person_id: str


def labelled_faces(table: pa.Table, store: Store) -> list[LabelledFace]:
    """Return one unmasked face of known age per train person and age class. Raises StageError if there is none."""
    rows = unmasked_faces(table, needs_years=True).to_pylist()
    return [
        LabelledFace(
            partial(load_rgb, store.photo(row["root"], row["path"]), row["sha256"]),
            np.asarray(row["landmarks_xy"], np.float32).reshape(68, 2), row["gender"], row["age"], row["person_id"],
        )
        for row in rows
    ]  # fmt: skip


class _FaceImages:
    """Faces as `learn_prototypes` iterates them."""

    def __init__(self, faces: Sequence[LabelledFace]) -> None:
        self.faces = faces

    def __iter__(self) -> Iterator[Picture]:
        for face in self.faces:
            yield face.load(), face.landmarks_xy, face.gender, face.age


@dataclass(frozen=True)
class MoveReport:
    """Result of one direction. Years are means over people, per kind of predictor (KINDS).

    `shift_years` is the predicted age after minus before the move, `gap_years` the predicted age of real people of the
    target band minus that of the source band: the shift of a perfect move.
    """

    direction: str
    moved: int
    failed: int
    shift_years: dict[str, float]
    gap_years: dict[str, float]
    same_person: int
    distance_median: float
    distance_p95: float


@dataclass(frozen=True)
class AgeReport:
    """Results of every direction, and the mean absolute error of the predictors on unseen real people."""

    moves: list[MoveReport]
    error_years: dict[str, float]
    people: int

    def lines(self) -> list[str]:
        """Return text for a terminal."""
        errors = ", ".join(f"{kind} {years:.1f}" for kind, years in self.error_years.items())
        lines = [f"{self.people} people; mean absolute error of the predictors on real faces, years: {errors}"]
        for move in self.moves:
            kinds = "; ".join(
                f"by {kind} {move.shift_years[kind]:+.1f} of {move.gap_years[kind]:+.1f} years" for kind in KINDS
            )
            same = f"{move.same_person} of {move.moved} keep their identity"
            lines.append(
                f"{move.direction}: {kinds}; {same} (distance median {move.distance_median:.2f}, "
                f"95th percentile {move.distance_p95:.2f}); {move.failed} could not be moved"
            )
        return lines


def age_report(
    faces: Sequence[LabelledFace],
    band_starts: Sequence[int],
    embed: Embedder,
    *,
    strength: float = 1.0,
    folds: int = 4,
    min_people: int = MIN_PEOPLE,
    seed: int = 0,
) -> AgeReport:
    """Move every face to every other age band and predict ages by ridge regression on embeddings and on texture.

    `faces` should have one photo per person; several of one person stay in one fold. Takes about 0.3 s per face and
    band. Raises StageError if there are too few people to learn from.
    """
    fold = _folds([face.person_id for face in faces], folds, seed)
    mean_xy = mean_shape([face.landmarks_xy for face in faces])
    known = {
        "embedding": np.array([embed(face.load(), face.landmarks_xy) for face in _each(faces, "embeddings")]),
        "texture": np.array(
            [texture_features(face.load(), face.landmarks_xy, mean_xy) for face in _each(faces, "textures")]
        ),
    }
    ages = np.array([face.age for face in faces], np.float64)
    predicted = {kind: np.zeros(len(faces)) for kind in KINDS}
    rows: list[_Moved] = []
    for test_fold in range(folds):
        announce(f"fold {test_fold + 1} of {folds}: prototypes and predictors are learned, then faces are moved")
        others = [(test_fold + step) % folds for step in range(1, folds)]
        for_prototypes = np.isin(fold, others[: folds // 2])
        for_predictors = np.isin(fold, others[folds // 2 :])
        training_faces = _FaceImages([face for face, use in zip(faces, for_prototypes, strict=True) if use])
        prototypes = learn_prototypes(training_faces, band_starts, min_people=min_people)
        predictors = {kind: _ridge(known[kind][for_predictors], ages[for_predictors]) for kind in KINDS}
        moved = np.flatnonzero(fold == test_fold).tolist()
        for index in show_progress(moved, f"fold {test_fold + 1} of {folds}", len(moved), "people"):
            before = {kind: float(predictors[kind](known[kind][[index]])[0]) for kind in KINDS}
            for kind in KINDS:
                predicted[kind][index] = before[kind]
            rows += _moves(
                faces[index], prototypes, predictors, before, known["embedding"][index], embed, mean_xy, strength
            )
    bands = np.searchsorted(list(band_starts), ages, side="right")
    errors = {kind: float(np.abs(predicted[kind] - ages).mean()) for kind in KINDS}
    return AgeReport(_summaries(rows, bands, predicted), errors, len({face.person_id for face in faces}))


@dataclass(frozen=True)
class _Moved:
    """A face moved to an age band; `distance` is NaN if it could not be moved."""

    source: int
    target: int
    names: tuple[str, str]
    shift: dict[str, float]
    distance: float


def _moves(
    face: LabelledFace,
    prototypes: Prototypes,
    predictors: dict[str, Predictor],
    before: dict[str, float],
    embedding: F32,
    embed: Embedder,
    mean_xy: F64,
    strength: float,
) -> Iterator[_Moved]:
    source, image = prototypes.band_index(face.age), face.load()
    for target, start in enumerate(prototypes.starts.tolist()):
        if target == source:
            continue
        names = prototypes.band_name(source), prototypes.band_name(target)
        try:
            moved = move_age(image, face.landmarks_xy, face.gender, face.age, start, prototypes, strength=strength)
        except StageError:
            yield _Moved(source, target, names, {}, float("nan"))
            continue
        vector = embed(moved.image, moved.landmarks_xy)
        features = {"embedding": vector, "texture": texture_features(moved.image, moved.landmarks_xy, mean_xy)}
        shift = {kind: float(predictors[kind](features[kind][None])[0]) - before[kind] for kind in KINDS}
        yield _Moved(source, target, names, shift, float(np.linalg.norm(vector - embedding)))


def texture_features(image: U8, landmarks_xy: NDArray[np.floating], mean_xy: F64) -> F32:
    """Return (792,) log amplitudes of the lightness bands, dark and bright side, on 9 × 11 cells over the face."""
    lightness = to_lab(to_frame(image, landmarks_xy, mean_xy))[..., 0]
    maps = amplitudes(split_bands(lightness)[0]).reshape(-1, *(size // 4 for size in lightness.shape))
    cells = [cv2.resize(one, (9, 11), interpolation=cv2.INTER_AREA) for one in maps]
    return np.log(np.stack(cells) + LOG_FLOOR).ravel().astype(np.float32)


def _each(faces: Sequence[LabelledFace], name: str) -> Iterator[LabelledFace]:
    return show_progress(faces, name, len(faces), "faces")


def _folds(people: list[str], folds: int, seed: int) -> NDArray[np.int64]:
    """Return a fold per face, the same for all faces of a person."""
    names = sorted(set(people))
    order = np.random.default_rng(seed).permutation(len(names))
    of_person = {names[index]: place % folds for place, index in enumerate(order)}
    return np.array([of_person[person] for person in people])


def _ridge(features: NDArray[np.floating], ages: F64) -> Predictor:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 5, 16)))
    return model.fit(features, ages).predict


def _summaries(rows: list[_Moved], bands: NDArray[np.int64], predicted: dict[str, F64]) -> list[MoveReport]:
    out = []
    for source, target in sorted({(row.source, row.target) for row in rows}):
        tried = [row for row in rows if (row.source, row.target) == (source, target)]
        done = [row for row in tried if np.isfinite(row.distance)]
        if not done:
            continue
        distance = np.array([row.distance for row in done])
        out.append(
            MoveReport(
                direction=" → ".join(tried[0].names),
                moved=len(done),
                failed=len(tried) - len(done),
                shift_years={kind: float(np.mean([row.shift[kind] for row in done])) for kind in KINDS},
                gap_years={
                    kind: float(values[bands == target].mean() - values[bands == source].mean())
                    for kind, values in predicted.items()
                },
                same_person=int((distance < SAME_PERSON_DISTANCE).sum()),
                distance_median=float(np.median(distance)),
                distance_p95=float(np.percentile(distance, 95)),
            )
        )
    return out
