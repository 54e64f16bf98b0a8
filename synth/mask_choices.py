"""Mask types and placements that each photo of a folder gets, from the names given to `--mask` and `--placement`.

A name is a type or placement, or a group, of which each photo gets one member drawn by its seed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_manifests.errors import ConfigError, PhotoError, StageError, must_be_one_of
from pipeline.faces import locator_version
from pipeline.photos import PhotoFile, output_names, photo_sha256
from synth.masks import INCORRECT_PLACEMENTS, MASK_TYPES, PLACEMENTS, TYPES, UserTemplate, order_placements
from synth.masks import VERSION as MASKS_VERSION
from synth.seeds import derive_seed

UNMASKED = "none"
"""The name for a photo without a mask, which is still read, located and encoded like the masked ones."""
_NO_PLACEMENT: tuple[str, ...] = ("",)


def mask_type_choices(templates: Iterable[str] = ()) -> dict[str, tuple[str, ...]]:
    """Return the types of each name: every type and template itself, the groups by shape, and `any`."""
    names = (*TYPES, *templates)
    groups: dict[str, tuple[str, ...]] = {}
    for name, kind in MASK_TYPES.items():
        groups[kind.shape] = (*groups.get(kind.shape, ()), name)
    return groups | {name: (name,) for name in names} | {"any": names}


def placement_choices() -> dict[str, tuple[str, ...]]:
    """Return the placements of each name: each placement itself, `incorrect` and `any`."""
    return {name: (name,) for name in PLACEMENTS} | {"incorrect": INCORRECT_PLACEMENTS, "any": PLACEMENTS}


def parse_choices(option: str, text: str, choices: dict[str, tuple[str, ...]]) -> list[str]:
    """Split "a, b" into ["a", "b"] without repeats. Raises ConfigError for an empty list or an unknown name."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in choices:
            raise ConfigError(must_be_one_of(option, choices, name))
    if not names:
        raise ConfigError(f"{option} must name at least one of {{{', '.join(choices)}}}.")
    return names


def sample_mask_type(types: Sequence[str], rng: np.random.Generator) -> str:
    """Draw one of the types, common ones more often; a template of the user as often as an average type."""
    shares = np.array([MASK_TYPES[name].share if name in MASK_TYPES else 1.0 for name in types])
    return types[int(rng.choice(len(types), p=shares / shares.sum()))]


def _sample(types: tuple[str, ...], placements: tuple[str, ...], seed: int) -> tuple[str, tuple[str, ...]]:
    """Draw one type and an order of placements by the seed."""
    rng = np.random.default_rng(seed)
    return sample_mask_type(types, rng), tuple(order_placements(placements, rng))


@dataclass(frozen=True)
class MaskRequest:
    """One output image of a photo: its name, mask type (or UNMASKED), placements and seed.

    The first of `placements` of which the photo shows enough is drawn; a tight crop shows little of a mask on the neck.
    """

    output: str
    mask: str
    placements: tuple[str, ...]
    seed: int
    key: str  # of the kept result


class MaskRequests:
    """The outputs requested of each file. Seeds depend on the file's path and the given names, not on other files."""

    def __init__(
        self,
        src: Path,
        files: list[str],
        masks: list[str],
        placements: list[str],
        seed: int,
        own: Mapping[str, UserTemplate],
    ) -> None:
        """Raise StageError if two outputs would get the same name."""
        self._pairs = [(mask, placement) for mask in masks if mask != UNMASKED for placement in placements]
        self._pairs += [(UNMASKED, "")] * (UNMASKED in masks)
        self.files, self.per_photo = files, len(self._pairs)
        self._src, self._seed, self._own = src, seed, own
        self._masks, self._placements = mask_type_choices(own), placement_choices()
        self._stems = {file: name[: -len(".jpg")] for file, name in zip(files, output_names(files), strict=True)}
        self._version = f"{MASKS_VERSION};{locator_version()}"
        self._sha256: dict[str, str] = {}
        self.unreadable: dict[str, str] = {}
        """Reasons of the files asked for that cannot be read; their requests have no result."""
        counts = Counter(name.lower() for file in files for name in self._names(file))
        repeated = [name for name, count in counts.items() if count > 1]
        if repeated:
            raise StageError(f"two outputs have the name {repeated[0]!r}. Rename the photo or the template.")

    def _names(self, file: str) -> list[str]:
        suffixes = (
            "-".join([re.sub(r"[^\w.]+", "_", mask), *([placement] if placement else [])])
            for mask, placement in self._pairs
        )
        return [f"{self._stems[file]}-{suffix}.jpg" for suffix in suffixes]

    def _hash_of(self, file: str) -> str:
        try:
            return photo_sha256(PhotoFile(self._src, file))
        except PhotoError as error:
            self.unreadable[file] = str(error)
            return ""

    def for_file(self, file: str) -> tuple[MaskRequest, ...]:
        """Return one request per pair of mask and placement names."""
        if file not in self._sha256:
            self._sha256[file] = self._hash_of(file)
        sha256, requests = self._sha256[file], []
        for name, (mask_name, placement_name) in zip(self._names(file), self._pairs, strict=True):
            seed = derive_seed(self._seed, file, mask_name, placement_name)
            if mask_name == UNMASKED:
                mask, placements = UNMASKED, _NO_PLACEMENT
            else:
                mask, placements = _sample(self._masks[mask_name], self._placements[placement_name], seed)
            template_sha256 = self._own[mask].sha256 if mask in self._own else ""
            parts = [sha256, self._version, mask, template_sha256, placements, seed, name]
            key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]
            requests.append(MaskRequest(name, mask, placements, seed, key))
        return tuple(requests)
