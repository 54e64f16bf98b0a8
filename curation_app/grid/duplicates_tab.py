"""Duplicates on the Grid page: photos that are the same picture side by side, and in what their labels differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st

from curation_app.grid.duplicate_groups import DuplicateGroups, find_duplicate_groups
from curation_app.images import ManifestRows
from curation_app.shell import AppContext
from curation_app.tiles import EXCLUDE, KEEP, SAME, component, labels_of, not_judged, photos

ACTIONS = (SAME, KEEP, EXCLUDE)
_GROUPS_A_PAGE = 24


def show(context: AppContext, key: str, *, hide: bool, done: Mapping[str, Any]) -> None:
    """Draw the groups with the component `key`; `hide` those that were judged."""
    twins = _twins(context.manifest, context.manifest.version.pinned, str(context.store.workspace))
    differs = twins.any_differs
    kinds = {
        "all": f"All  ({len(twins):,})",
        "differ": f"Labels or people differ  ({int(differs.sum()):,})",
        "same": f"Nothing differs  ({int((~differs).sum()):,})",
    }
    kind = st.selectbox("Which", list(kinds), format_func=kinds.__getitem__, key="grid twins", width=260)
    numbers = np.flatnonzero({"all": np.ones_like(differs), "differ": differs, "same": ~differs}[kind])
    said = photos.words(context)
    if hide:
        spoken = {int(row) for row in not_judged(context.manifest, twins.rows, said, ())}
        numbers = np.array([at for at in numbers.tolist() if spoken.issuperset(twins.group(at).tolist())], int)
    name = json.dumps([context.manifest.version.pinned, context.annotator, "duplicates", kind, hide])
    page = component.page_of(key, name, len(numbers), _GROUPS_A_PAGE, "groups")
    here, ahead = (
        [twins.group(at) for at in numbers[page.first + start :][:_GROUPS_A_PAGE].tolist()]
        for start in (0, _GROUPS_A_PAGE)
    )
    rows, made = photos.thumbnails(context, _joined(here), _joined(ahead))
    group = np.repeat(np.arange(len(here)), [len(part) for part in here]).tolist()
    shown = [
        photos.tile_of(row, picture, said, context) | {"group": at}
        for row, picture, at in zip(rows, made, group, strict=True)
    ]
    component.show(
        key,
        choice=name,
        page=page,
        tiles=shown,
        groups=[
            component.Group(f"{len(twins.group(at))} times the same picture", twins.flags(at))
            for at in numbers[page.first :][: page.shown].tolist()
        ],
        manifest=context.manifest.version.pinned,
        empty="The audit found no two photos that are the same picture.",
        actions=ACTIONS,
        done=done,
        undo=photos.undo_of(said, key),
        look=photos.look(context, component.looked_at(key)),
        why_not=photos.why_not(context),
    )


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


@st.cache_resource(max_entries=2, show_spinner="Reading the duplicates …")
def _twins(_manifest: ManifestRows, pinned: str, workspace: str) -> DuplicateGroups:
    return find_duplicate_groups(_manifest, labels_of(_manifest))
