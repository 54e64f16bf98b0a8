"""How far moved faces move: what age predictors that know neither the person nor the prototypes make of them.

People are dealt into folds. Of the folds that are not being moved, half teach the prototypes and half the predictors,
so no predictor has seen a wrinkle that was lent to a face it judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from tqdm import tqdm

from data_manifests.errors import StageError
from data_manifests.versions import Store
from pipeline.faces import SAME_PERSON_DISTANCE, Embedder
from pipeline.photos import load_rgb
from synth.ages.frame import F32, F64, mean_shape, to_frame
from synth.ages.learn import LOG_FLOOR, MIN_PEOPLE, Picture, learn_prototypes
from synth.ages.move import move_age
from synth.ages.prototypes import Prototypes
from synth.ages.settings import bare_faces
from synth.ages.wavelets import amplitudes, split
from synth.ages.zones import U8, to_lab

Predictor = Callable[[NDArray[np.floating]], NDArray[np.floating]]
KINDS = ("embedding", "texture")


@dataclass(frozen=True)
class KnownFace:
    """A real, unmasked face of one person. `load` reads the picture, (H, W, 3) uint8 RGB, when it is needed."""

    load: Callable[[], U8]
    landmarks_xy: NDArray[np.float32]
    gender: str
    age: int
    person_id: str


def known_faces(table: pa.Table, store: Store) -> list[KnownFace]:
    """One unmasked face with a known age per train person and age class. Raises StageError if there is none."""
    rows = bare_faces(table.filter(pc.is_valid(table["age"]))).to_pylist()
    return [
        KnownFace(
            partial(load_rgb, store.file_of(row["root"], row["path"]), row["sha256"]),
            np.asarray(row["landmarks_xy"], np.float32).reshape(68, 2), row["gender"], row["age"], row["person_id"],
        )
        for row in rows
    ]  # fmt: skip


class _Pictures:
    """Faces as `learn_prototypes` walks them."""

    def __init__(self, faces: Sequence[KnownFace]) -> None:
        self.faces = faces

    def __iter__(self) -> Iterator[Picture]:
        for face in self.faces:
            yield face.load(), face.landmarks_xy, face.gender, face.age


@dataclass(frozen=True)
class MoveReport:
    """One direction. Years are means over people; per kind of predictor (KINDS).

    `shift_years` is predicted after less predicted before, `gap_years` what real people of the target band are
    predicted above real people of the source band: what a perfect move would give.
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
    """Every direction, and how good the predictors are on real people they have not seen (mean absolute error)."""

    moves: list[MoveReport]
    error_years: dict[str, float]
    people: int

    def lines(self) -> list[str]:
        """For people."""
        errors = ", ".join(f"{kind} {years:.1f}" for kind, years in self.error_years.items())
        lines = [f"{self.people} people; mean absolute error of the predictors on real faces, years: {errors}"]
        for move in self.moves:
            kinds = "; ".join(
                f"by {kind} {move.shift_years[kind]:+.1f} of {move.gap_years[kind]:+.1f} years" for kind in KINDS
            )
            same = f"{move.same_person} of {move.moved} keep their identity"
            lines.append(
                f"{move.direction}: {kinds}; {same} (distance median {move.distance_median:.2f}, "
                f"95 in 100 under {move.distance_p95:.2f}); {move.failed} could not be moved"
            )
        return lines


def age_report(
    faces: Sequence[KnownFace],
    band_starts: Sequence[int],
    embed: Embedder,
    *,
    strength: float = 1.0,
    folds: int = 4,
    min_people: int = MIN_PEOPLE,
    seed: int = 0,
) -> AgeReport:
    """Move every face to every other band and let ridge regressions judge: on embeddings, and on texture amplitudes.

    `faces` should have one photo per person; several of one person stay in one fold. Needs about 0.3 s a face and band.
    Raises StageError if the people are too few to learn from.
    """
    fold = _folds([face.person_id for face in faces], folds, seed)
    mean_xy = mean_shape([face.landmarks_xy for face in faces])
    known = {
        "embedding": np.array([embed(face.load(), face.landmarks_xy) for face in tqdm(faces, desc="real faces")]),
        "texture": np.array([texture_features(face.load(), face.landmarks_xy, mean_xy) for face in faces]),
    }
    ages = np.array([face.age for face in faces], np.float64)
    predicted = {kind: np.zeros(len(faces)) for kind in KINDS}
    rows: list[_Moved] = []
    for held in tqdm(range(folds), desc="folds"):
        others = [(held + step) % folds for step in range(1, folds)]
        teach = np.isin(fold, others[: folds // 2])
        judge = np.isin(fold, others[folds // 2 :])
        teachers = _Pictures([face for face, use in zip(faces, teach, strict=True) if use])
        prototypes = learn_prototypes(teachers, band_starts, min_people=min_people)
        predictors = {kind: _ridge(known[kind][judge], ages[judge]) for kind in KINDS}
        for index in np.flatnonzero(fold == held).tolist():
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
    """One face moved to one band; `distance` is NaN if it could not be."""

    source: int
    target: int
    names: tuple[str, str]
    shift: dict[str, float]
    distance: float


def _moves(
    face: KnownFace,
    prototypes: Prototypes,
    predictors: dict[str, Predictor],
    before: dict[str, float],
    embedding: F32,
    embed: Embedder,
    mean_xy: F64,
    strength: float,
) -> Iterator[_Moved]:
    source, image = prototypes.band_of(face.age), face.load()
    for target, start in enumerate(prototypes.starts.tolist()):
        if target == source:
            continue
        names = prototypes.name_of(source), prototypes.name_of(target)
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
    """(792,) log amplitude of the bands of lightness, dark and bright side, on a grid of 9 × 11 cells over the face."""
    lightness = to_lab(to_frame(image, landmarks_xy, mean_xy))[..., 0]
    maps = amplitudes(split(lightness)[0]).reshape(-1, *(size // 4 for size in lightness.shape))
    cells = [cv2.resize(one, (9, 11), interpolation=cv2.INTER_AREA) for one in maps]
    return np.log(np.stack(cells) + LOG_FLOOR).ravel().astype(np.float32)


def _folds(people: list[str], folds: int, seed: int) -> NDArray[np.int64]:
    """A fold per face; a person's faces share it."""
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
