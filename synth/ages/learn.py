"""Learning of age prototypes from real, unmasked faces: three passes over the images in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import StageError
from data_manifests.taxonomy import GENDERS, MAX_AGE, MIN_AGE
from synth.ages.frame import F32, F64, FRAME_WH, mean_shape, mirrored, similarity, to_frame, transform_points
from synth.ages.prototypes import DETAIL_STEP, Prototypes, gender_index
from synth.ages.texture import LOG_FLOOR, N_DETAIL, amplitudes, split_bands
from synth.ages.zones import U8, Zones, face_zones, skin_color_score, skin_tone, to_lab

Picture = tuple[U8, NDArray[np.float32], str, int]

MIN_PEOPLE = 8  # a mean of fewer people still resembles one of them
N_DETAIL_FACES = 6
MAX_LINE_GAIN = 3.0  # times the mean absolute value of a band at a pixel
_CREASE_PX = 6.0  # shorter lines across the forehead do not count as creases
_MAX_BRIDGE = 1.3  # times the mean of the age band: above it the person wears glasses
_MIN_BARE_SCORE = 0.7  # minimum share of each quarter of the skin without fringe, frames, beard and deep shadow


@dataclass(frozen=True)
class _Face:
    """Measurements of one image in the frame.

    `detail` (N_DETAIL, H, W) holds the fine bands on bare skin, `bridge` the darkness of lines between the eyes, L*,
    and `bare_score` the smallest share of bare skin in any quarter of the face.
    """

    cell: tuple[int, int]
    age: float
    shape: F64
    colour: F32
    weight: F32
    texture: F32
    detail: F32
    bridge: float
    bare_score: float


def learn_prototypes(
    pictures: Iterable[Picture], band_starts: Sequence[int], *, min_people: int = MIN_PEOPLE
) -> Prototypes:
    """Average the faces of real, unmasked people.

    `pictures` holds (image (H, W, 3) uint8 RGB, landmarks_xy (68, 2), gender, age in years), one per person and age
    band. It is iterated three times (shapes, averages, typical details), so it must not be a generator. `band_starts`
    are the first ages of the second and later bands, such as (45, 60). Each face also counts as its mirror image, which
    removes the direction of the light; hair, glasses and beards over the skin have low weight. Raises StageError for a
    generator, invalid bands, or a band with fewer than `min_people` people.
    """
    if iter(pictures) is pictures:
        raise StageError("pictures are iterated three times. Pass a list, or an object that can be iterated again.")
    starts = np.array([MIN_AGE, *band_starts])
    if len(starts) < 2 or (np.diff(starts) <= 0).any() or starts[-1] > MAX_AGE:
        raise StageError(f"age bands must start at rising ages up to {MAX_AGE}. Got {list(band_starts)} instead.")
    known = [(np.asarray(landmarks, np.float64), age) for _, landmarks, _, age in pictures]
    people = np.bincount(np.searchsorted(starts, [age for _, age in known], side="right") - 1, minlength=len(starts))
    if people.min() < min_people:
        few = int(people.argmin())
        raise StageError(
            f"the age band from {starts[few]} has {people[few]} people with an unmasked face; at least {min_people} "
            "are needed. Choose other bands or add people."
        )
    mean_xy = mean_shape([shape for shape, _ in known])
    sums = _Sums(len(starts))
    for picture in pictures:
        sums.add(_measure(picture, mean_xy, starts))
    textures = sums.mean(sums.textures)
    typical = _TypicalFaces(
        sums.mean(sums.details), np.exp(textures).sum(axis=3) - 2 * LOG_FLOOR, sums.mean(sums.bridges)
    )
    for picture in pictures:
        typical.add(_measure(picture, mean_xy, starts))
    details, detail_shapes = typical.arrays()
    return Prototypes(
        starts=starts,
        min_people=np.array(min_people),
        mean_xy=mean_xy,
        counts=sums.counts,
        ages=sums.mean(sums.ages),
        shapes=sums.mean(sums.shapes).astype(np.float32),
        colours=(sums.colours / np.maximum(sums.weights, 1e-3)[..., None]).astype(np.float32),
        textures=textures.astype(np.float32),
        details=details,
        detail_shapes=detail_shapes,
    )


def _measure(picture: Picture, mean_xy: F64, starts: NDArray[np.int64]) -> _Face:
    image, landmarks_xy, gender, age = picture
    zones = face_zones(mean_xy)
    lab = to_lab(to_frame(image, landmarks_xy, mean_xy))
    tone = skin_tone(lab, zones)
    bands, _ = split_bands(lab[..., 0])
    bare = skin_color_score(lab, tone)
    on_skin = bare * zones.lines
    return _Face(
        cell=(gender_index(gender), int(np.searchsorted(starts, age, side="right") - 1)),
        age=age,
        shape=transform_points(similarity(landmarks_xy, mean_xy), np.asarray(landmarks_xy, np.float64)),
        colour=lab - tone,
        weight=np.asarray(zones.features + (1 - zones.features) * (bare + 0.02), np.float32),
        texture=np.log(amplitudes(bands) + LOG_FLOOR),
        detail=np.stack([_across_forehead(band * on_skin, zones) for band in bands[:N_DETAIL]]),
        bridge=float((np.maximum(-bands[1] - bands[2], 0) * zones.bridge).sum() / zones.bridge.sum()),
        bare_score=min(float((bare * part).sum() / part.sum()) for part in zones.quarters),
    )


def _across_forehead(detail: F32, zones: Zones) -> F32:
    """Keep only horizontal lines on the forehead: creases. Vertical lines are hair, often as fair as skin."""
    across = cv2.GaussianBlur(detail, (0, 0), sigmaX=_CREASE_PX, sigmaY=0.5)
    return np.asarray(detail + (across - detail) * zones.forehead, np.float32)


class _Sums:
    """Running sums per gender and age band."""

    def __init__(self, n_bands: int) -> None:
        cells = (len(GENDERS), n_bands)
        hw = FRAME_WH[::-1]
        self.counts = np.zeros(cells, np.int64)
        self.ages = np.zeros(cells)
        self.bridges = np.zeros(cells)
        self.shapes = np.zeros((*cells, 68, 2))
        self.weights = np.zeros((*cells, *hw))
        self.colours = np.zeros((*cells, *hw, 3))
        self.details = np.zeros((*cells, N_DETAIL, *hw))
        texture = amplitudes(split_bands(np.zeros(hw, np.float32))[0])
        self.textures = np.zeros((*cells, *texture.shape))

    def add(self, face: _Face) -> None:
        self.counts[face.cell] += 1
        self.ages[face.cell] += face.age
        self.bridges[face.cell] += face.bridge
        self.shapes[face.cell] += (face.shape + mirrored(face.shape)) / 2
        weighted = face.colour * face.weight[..., None]
        self.weights[face.cell] += (face.weight + face.weight[:, ::-1]) / 2
        self.colours[face.cell] += (weighted + weighted[:, ::-1]) / 2
        self.details[face.cell] += (face.detail + face.detail[..., ::-1]) / 2
        self.textures[face.cell] += (face.texture + face.texture[..., ::-1]) / 2

    def mean(self, total: F64) -> F64:
        people = np.maximum(self.counts, 1).reshape(self.counts.shape + (1,) * (total.ndim - 2))
        return np.asarray(total / people, np.float64)


class _TypicalFaces:
    """The faces of each gender and age band whose fine detail agrees best with the band's mean.

    Lines far above the mean amplitude of a pixel are not skin: a strand of hair, the frame of glasses. They count
    against a face, and are clipped to MAX_LINE_GAIN times the mean.
    """

    def __init__(self, mean_details: F64, mean_amplitude: F64, bridges: F64) -> None:
        """Take mean detail (G, B, N_DETAIL, H, W), mean |band| (G, B, N_BANDS, h, w) and mean bridge (G, B)."""
        self.mean_details, self.bridges = mean_details, bridges
        self.mean_amplitude = mean_amplitude[:, :, :N_DETAIL].astype(np.float32)
        self.best: dict[tuple[int, int], list[tuple[float, NDArray[np.int8], F64]]] = {
            cell: [] for cell in np.ndindex(*mean_amplitude.shape[:2])
        }

    def add(self, face: _Face) -> None:
        if face.bare_score < _MIN_BARE_SCORE or face.bridge > _MAX_BRIDGE * self.bridges[face.cell]:
            return
        mean = self.mean_details[face.cell]
        limit = MAX_LINE_GAIN * np.stack([cv2.resize(level, FRAME_WH) for level in self.mean_amplitude[face.cell]])
        detail = np.clip(face.detail, -limit, limit)
        agreement = float((detail * mean).sum() / (np.linalg.norm(detail) * np.linalg.norm(mean) + 1e-9))
        cut = float(np.linalg.norm(face.detail - detail) / (np.linalg.norm(face.detail) + 1e-9))
        levels = np.clip(np.rint(detail / DETAIL_STEP), -127, 127).astype(np.int8)
        kept = [*self.best[face.cell], (agreement - cut + face.bare_score, levels, face.shape)]
        self.best[face.cell] = sorted(kept, key=lambda entry: -entry[0])[:N_DETAIL_FACES]

    def arrays(self) -> tuple[NDArray[np.int8], F32]:
        cells = self.mean_amplitude.shape[:2]
        details = np.zeros((*cells, N_DETAIL_FACES, N_DETAIL, *FRAME_WH[::-1]), np.int8)
        shapes = np.full((*cells, N_DETAIL_FACES, 68, 2), np.nan, np.float32)
        for cell, kept in self.best.items():
            for place, (_, levels, shape) in enumerate(kept):
                details[*cell, place], shapes[*cell, place] = levels, shape
        return details, shapes
