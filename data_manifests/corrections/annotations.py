"""Latest annotations: of all that an annotator stated about one thing, the latest counts.

Events are ordered by time, then by file and line. What the annotations are about is the caller's choice: a row and
field of a manifest for `apply`, a label for agreement and consensus. An event with an empty value withdraws what the
annotator stated before and stands for no annotation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np


@dataclass(frozen=True, slots=True)
class Annotation:
    """A value that an annotator gave to a label; empty where it was withdrawn."""

    value: str
    old: str  # the value that the annotator saw
    time: datetime
    file: str
    line: int
    save: str = ""  # `save_key` of the save that it belongs to; a restated value belongs to the save it comes from
    undo: str = ""  # `save_key` of the undo that stated the value again

    @property
    def order(self) -> tuple[datetime, str, int]:
        """The position among all events."""
        return self.time, self.file, self.line


@dataclass(frozen=True)
class GroupedClaims:
    """Claims (M,) sorted by group, annotator and position.

    `order` (M,) gives each claim's place in the arrays that were sorted, `group` (M,) its group as a number from 0 to
    `groups` - 1. `is_latest` (M,) marks an annotator's last claim in a group, `is_repeat` (M,) all but the first.
    """

    order: np.ndarray
    group: np.ndarray
    groups: int
    is_latest: np.ndarray
    is_repeat: np.ndarray

    def has_active(self, active: np.ndarray) -> np.ndarray:
        """Return for each group (G,) whether any of its claims is active (M,)."""
        return np.bincount(self.group, active, self.groups) > 0


def claims_by_group(key: np.ndarray, annotator: np.ndarray, position: np.ndarray) -> GroupedClaims:
    """Group claims (M,) by `key`, and within a group by annotator.

    `key` and `annotator` (M,) are integers; `position` (M,) is the rank of the claim's event in the order of events.
    """
    keys, group = np.unique(key, return_inverse=True)
    order = np.lexsort((position, annotator, group))
    group, annotator = group[order], annotator[order]
    follows = (group[1:] == group[:-1]) & (annotator[1:] == annotator[:-1])
    is_repeat, is_latest = np.zeros(len(order), bool), np.ones(len(order), bool)
    is_repeat[1:], is_latest[:-1] = follows, ~follows
    return GroupedClaims(order, group, len(keys), is_latest, is_repeat)
