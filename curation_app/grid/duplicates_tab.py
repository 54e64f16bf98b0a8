"""The duplicates on the Grid page: photos that are the same picture side by side, with the labels that differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st

from curation_app import tiles
from curation_app.grid.duplicate_groups import DuplicateGroups, find_duplicate_groups
from curation_app.images import ManifestRows
from curation_app.shell import AppContext
from curation_app.tiles import EXCLUDE, KEEP, SAME, labels_of, without_annotations

ACTIONS = (SAME, KEEP, EXCLUDE)
_GROUPS_PER_PAGE = 24


def draw_duplicates(context: AppContext, key: str, *, hide: bool, results: Mapping[str, Any]) -> None:
    """Draw the groups with the component `key`. With `hide`, groups that the annotator has finished are left out."""
    version = context.manifest.version
    groups = _duplicate_groups(context.manifest, version.pinned, str(context.store.workspace))
    differs = groups.any_differs
    filters = {
        "all": f"All  ({len(groups):,})",
        "differ": f"Labels, people or splits differ  ({int(differs.sum()):,})",
        "same": f"Nothing differs  ({int((~differs).sum()):,})",
    }
    chosen = "all"
    if len(groups):
        chosen = st.selectbox(
            "Groups", list(filters), format_func=filters.__getitem__, key="grid duplicates", width=260
        )
    numbers = np.flatnonzero({"all": np.ones_like(differs), "differ": differs, "same": ~differs}[chosen])
    annotations = tiles.annotator_log(context)
    if hide:
        open_rows = {int(row) for row in without_annotations(context.manifest, groups.rows, annotations, ())}
        open_groups = [number for number in numbers.tolist() if open_rows.issuperset(groups.group(number).tolist())]
        numbers = np.array(open_groups, int)
    selection = json.dumps([version.pinned, context.annotator, "duplicates", chosen, hide])
    page = tiles.current_page(key, selection, len(numbers), _GROUPS_PER_PAGE, "groups")
    shown, following = (
        [groups.group(number) for number in numbers[page.first + start :][:_GROUPS_PER_PAGE].tolist()]
        for start in (0, _GROUPS_PER_PAGE)
    )
    rows, pictures = tiles.thumbnails(context, _joined(shown), _joined(following))
    group_of_row = np.repeat(np.arange(len(shown)), [len(group) for group in shown]).tolist()
    tiles.show_tiles(
        key,
        selection=selection,
        page=page,
        tiles=[
            tiles.tile_of(row, picture, annotations, context) | {"group": group}
            for row, picture, group in zip(rows, pictures, group_of_row, strict=True)
        ],
        groups=[
            tiles.Group(f"{len(groups.group(number))} photos of the same picture", groups.flags(number))
            for number in numbers[page.first :][: page.shown].tolist()
        ],
        manifest=version.pinned,
        empty="The audit found no duplicates.",
        actions=ACTIONS,
        results=results,
        undo=tiles.undo_of(annotations, key),
        enlarged=tiles.enlarged_picture(context, tiles.enlarged_sample(key)),
        why_not=tiles.why_not(context),
    )


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


@st.cache_resource(max_entries=2, show_spinner="Reading the duplicates …")
def _duplicate_groups(_manifest: ManifestRows, pinned: str, workspace: str) -> DuplicateGroups:
    return find_duplicate_groups(_manifest, labels_of(_manifest))
