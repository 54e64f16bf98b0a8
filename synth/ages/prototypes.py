"""Average faces per gender and age band: shape, colour and fine texture.

Prototypes as in Rowland and Perrett (1995, "Manipulating facial appearance through shape and color"), with the local
amplitude of wavelet bands as in Tiddeman, Burt and Perrett (2001, "Prototyping and transforming facial textures"),
because averaging removes wrinkles. `learn.py` makes them, `move.py` uses the difference of two bands.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import StageError, must_be_one_of
from data_manifests.taxonomy import GENDERS, MAX_AGE, MIN_AGE
from data_manifests.versions import write_atomic
from synth.ages.frame import F32, F64

DETAIL_STEP = 0.1  # L* units of one level of the stored details


@dataclass(frozen=True, eq=False)
class Prototypes:
    """Average faces of G genders (in the order of GENDERS) × B age bands. Colour is Lab minus the person's skin tone.

    starts (B,) first age of each band, years · mean_xy (68, 2) shape of the frame · counts (G, B) people ·
    ages (G, B) their mean age · shapes (G, B, 68, 2) px of the frame · colours (G, B, H, W, 3) ·
    textures (G, B, N_BANDS, 2, H/4, W/4) mean log amplitude of the dark and bright side ·
    details (G, B, K, N_DETAIL, H, W) int8 DETAIL_STEP L*, fine bands of the K most typical faces of a band ·
    detail_shapes (G, B, K, 68, 2) their shapes, NaN if there are fewer than K.

    The details are skin of real people: protect a file of prototypes like the photos.
    """

    starts: NDArray[np.int64]
    min_people: NDArray[np.int64]
    mean_xy: F64
    counts: NDArray[np.int64]
    ages: F64
    shapes: F32
    colours: F32
    textures: F32
    details: NDArray[np.int8]
    detail_shapes: F32

    def band_index(self, age: float) -> int:
        """Return the index of the age band of an age in years. Raises StageError for an invalid age."""
        if not MIN_AGE <= age <= MAX_AGE:
            raise StageError(f"age must be within {MIN_AGE} to {MAX_AGE}. Got {age} instead.")
        return int(np.searchsorted(self.starts, age, side="right") - 1)

    def band_name(self, band: int) -> str:
        """Return the name of an age band, such as "45-59"."""
        last = self.starts[band + 1] - 1 if band + 1 < len(self.starts) else MAX_AGE
        return f"{self.starts[band]}-{last}"

    def is_pooled(self, gender: str, source: int, target: int) -> bool:
        """Return whether this gender has too few people in one of the two bands, so that both genders are used."""
        return bool(self.counts[gender_index(gender), [source, target]].min() < self.min_people)

    def weights(self, gender: str, source: int, target: int) -> F64:
        """Return (G,) weights of each gender's own difference between the bands; they sum to 1.

        Pooling averages differences within a gender, never faces across genders; otherwise a band with more men would
        add male features to the age. Raises StageError if both genders together are too few.
        """
        own = np.zeros(len(GENDERS))
        if not self.is_pooled(gender, source, target):
            own[gender_index(gender)] = 1.0
            return own
        pairs = self.counts[:, [source, target]].min(axis=1).astype(np.float64)
        if pairs.sum() < self.min_people:
            raise StageError(
                f"ages {self.band_name(source)} and {self.band_name(target)} have {int(pairs.sum())} pairs of people "
                f"of one gender; at least {int(self.min_people)} are needed. Choose wider bands or add people."
            )
        return np.asarray(pairs / pairs.sum(), np.float64)

    def notes(self) -> list[str]:
        """Return text for a terminal: people per gender and age band, and where both genders are pooled."""
        lines = []
        for gender, counts in zip(GENDERS, self.counts.tolist(), strict=True):
            named = ", ".join(f"{self.band_name(band)}: {count}" for band, count in enumerate(counts))
            few = [self.band_name(band) for band, count in enumerate(counts) if count < self.min_people]
            pooled = f"; too few of {', '.join(few)}: both genders' difference is used there" if few else ""
            lines.append(f"{gender} people {named}{pooled}")
        return lines

    def to_bytes(self) -> bytes:
        """Return the bytes of an .npz file; equal prototypes give equal bytes."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {field.name: _packed(getattr(self, field.name)) for field in fields(self)}
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    def save(self, path: Path) -> str:
        """Write the .npz atomically and return its sha256, which mask parameters refer to."""
        data = self.to_bytes()
        write_atomic(path, data)
        return hashlib.sha256(data).hexdigest()


def load_prototypes(path: Path, sha256: str | None = None) -> Prototypes:
    """Read a file written by `save`. Raises StageError if it is missing, damaged or has another hash."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StageError(f"age prototypes {path.name} cannot be read: {error.strerror}. Learn them again.") from None
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise StageError(f"age prototypes {path.name} have changed: their sha256 is no longer {sha256[:12]}…")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return Prototypes(**{field.name: _unpacked(arrays[field.name]) for field in fields(Prototypes)})
    except Exception as error:  # numpy and zipfile raise many types for a damaged file
        raise StageError(f"{path.name} is not a file of age prototypes: {' '.join(str(error).split())}") from None


def gender_index(gender: str) -> int:
    """Return the index of a gender in GENDERS. Raises StageError for an unknown one."""
    if gender not in GENDERS:
        raise StageError(must_be_one_of("gender", GENDERS, gender))
    return GENDERS.index(gender)


def _packed(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float16) if array.dtype == np.float32 else array  # steps of 1/50 L* are invisible


def _unpacked(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float16 else array
