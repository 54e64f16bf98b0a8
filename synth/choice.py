"""Which masks each photo of a folder gets, by the words of `--mask` and `--wear`.

A word is a type or wear by name, or a group of which each photo gets one by its seed.
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

from data_manifests.errors import ConfigError, StageError, must_be_one_of
from data_manifests.versions import file_sha256
from pipeline.faces import locator_version
from pipeline.photos import output_names
from synth.masks import MASK_TYPES, TYPES, WEARS, UserTemplate, draw_wear
from synth.masks import VERSION as MASKS_VERSION
from synth.seeds import seed_of

UNMASKED = "none"
"""The word for the photo without a mask, through the same reader, face finder and encoder as the masked ones."""
INCORRECT = tuple(wear for wear in WEARS if wear != "worn")


def mask_choices(templates: Iterable[str] = ()) -> dict[str, tuple[str, ...]]:
    """Word → the types that it stands for: every type and template itself, the groups by shape, and `any`."""
    names = (*TYPES, *templates)
    groups: dict[str, tuple[str, ...]] = {}
    for name, kind in MASK_TYPES.items():
        groups[kind.shape] = (*groups.get(kind.shape, ()), name)
    return groups | {name: (name,) for name in names} | {"any": names}


def wear_choices() -> dict[str, tuple[str, ...]]:
    """Word → the wears that it stands for: each wear itself, `incorrect` and `any`."""
    return {wear: (wear,) for wear in WEARS} | {"incorrect": INCORRECT, "any": WEARS}


def parse_words(what: str, text: str, choices: dict[str, tuple[str, ...]]) -> list[str]:
    """ "a, b" → ["a", "b"], each once. Raises ConfigError for an empty list or an unknown word."""
    words = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    for word in words:
        if word not in choices:
            raise ConfigError(must_be_one_of(what, choices, word))
    if not words:
        raise ConfigError(f"{what} must name at least one of {{{', '.join(choices)}}}.")
    return words


def draw_mask(masks: Sequence[str], rng: np.random.Generator) -> str:
    """One of the types, the common ones more often; a mask of the user's own as often as an average one."""
    shares = np.array([MASK_TYPES[mask].share if mask in MASK_TYPES else 1.0 for mask in masks])
    return masks[int(rng.choice(len(masks), p=shares / shares.sum()))]


def _draw(masks: tuple[str, ...], wears: tuple[str, ...], seed: int) -> tuple[str, str]:
    """One type and one wear, by the seed."""
    rng = np.random.default_rng(seed)
    return draw_mask(masks, rng), draw_wear(wears, rng)


@dataclass(frozen=True)
class Order:
    """One picture to make of a photo: under which name, which mask (or UNMASKED), which wear, from which seed."""

    output: str
    mask: str
    wear: str
    seed: int
    key: str  # of the result


class Orders:
    """What is wanted of each file. Seeds depend on the file's path and the words, not on the other files."""

    def __init__(
        self,
        src: Path,
        files: list[str],
        masks: list[str],
        wears: list[str],
        seed: int,
        own: Mapping[str, UserTemplate],
    ) -> None:
        self._pairs = [(mask, wear) for mask in masks if mask != UNMASKED for wear in wears]
        self._pairs += [(UNMASKED, "")] * (UNMASKED in masks)
        self.files, self.per_photo = files, len(self._pairs)
        self._src, self._seed, self._own = src, seed, own
        self._masks, self._wears = mask_choices(own), wear_choices()
        self._stems = {file: name[: -len(".jpg")] for file, name in zip(files, output_names(files), strict=True)}
        self._version = f"{MASKS_VERSION};{locator_version()}"
        self._sha256: dict[str, str] = {}
        meets = Counter(name.lower() for file in files for name in self._names(file))
        twice = [name for name, count in meets.items() if count > 1]
        if twice:
            raise StageError(f"two outputs would be called {twice[0]!r}. Rename the photo or the template.")

    def _names(self, file: str) -> list[str]:
        words = ("-".join([re.sub(r"[^\w.]+", "_", mask), *([wear] if wear else [])]) for mask, wear in self._pairs)
        return [f"{self._stems[file]}-{word}.jpg" for word in words]

    def of(self, file: str) -> tuple[Order, ...]:
        """One order per pair of words."""
        if file not in self._sha256:
            self._sha256[file] = file_sha256(self._src / file)
        sha256, orders = self._sha256[file], []
        for name, (mask_word, wear_word) in zip(self._names(file), self._pairs, strict=True):
            seed = seed_of(self._seed, file, mask_word, wear_word)
            mask, wear = mask_word, wear_word
            if mask_word != UNMASKED:
                mask, wear = _draw(self._masks[mask_word], self._wears[wear_word], seed)
            drawn = self._own[mask].sha256 if mask in self._own else ""
            parts = [sha256, self._version, mask, drawn, wear, seed, name]
            orders.append(Order(name, mask, wear, seed, hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]))
        return tuple(orders)
