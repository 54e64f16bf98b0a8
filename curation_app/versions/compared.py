"""Two versions compared, as the page needs it; remembered, for versions do not change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from curation_app.shell import run_command
from data_manifests.versions import Store, Version


@dataclass(frozen=True)
class Change:
    """One kind of change: `count` rows, the most frequent old → new, and the first rows (see `changes.py`)."""

    count: int
    transitions: list[tuple[str, str, int]]
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Compared:
    """`changes` by field; rows that came and went under `added` and `removed`."""

    rows: tuple[int, int]
    changes: Mapping[str, Change]


def compare(store: Store, a: Version, b: Version) -> Compared:
    """What changed from `a` to `b`. Raises StageError if one of them cannot be read."""
    return _compare(str(store.workspace), (a.ref, a.content_hash), (b.ref, b.content_hash))


@st.cache_resource(max_entries=8, show_spinner="Comparing …")
def _compare(workspace: str, a: tuple[str, str], b: tuple[str, str]) -> Compared:
    found = json.loads(run_command(Store(Path(workspace)), "curation_app.versions.changes", a[0], b[0]))
    return Compared(tuple(found["rows"]), {name: Change(**change) for name, change in found["changes"].items()})


def filtered(change: Change, old: str, new: str) -> list[dict[str, Any]]:
    """The rows that are kept of one transition."""
    return [row for row in change.rows if (row["old"], row["new"]) == (old, new)]
