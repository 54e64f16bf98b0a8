"""The Synthetic page: pictures made by `synth`, filtered by mask, placement and change of age; accepted or rejected."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from curation_app import shell, tiles
from curation_app.images import load_thumbnails
from curation_app.shell import ACTION_KEYS, AppContext
from curation_app.synthetic.mask_parameters import COVERED, SAME_AGE, UNREADABLE, MaskParameters, read_mask_parameters
from curation_app.tiles import Action, Labels, Row, Tile, without_annotations
from data_manifests.corrections import AnnotatorLog
from data_manifests.taxonomy import N_AGE_CLASSES, AgeCuts
from data_manifests.versions import Store, Version

KEY = "synthetic"
ACCEPT = Action("exclude", "false", "Accept", ACTION_KEYS["accept"])
REJECT = Action("exclude", "true", "Reject", ACTION_KEYS["exclude"])
_VIEWS = {"current": "In this version", "rejected": "Rejected earlier"}
_ORDERS = {"person": "By person", **{part: f"Least covered {part} first" for part in COVERED}}
_PAGE_SIZES = (48, 96, 192)
_ALL = -2  # the value of a filter that selects everything


@dataclass(frozen=True)
class _Filter:
    """A property to filter pictures by: values (S,) and the name of each value."""

    key: str
    title: str
    values: np.ndarray
    names: dict[int, str]


def page() -> None:
    """Draw the page in one fragment, so that marking and paging do not run the sidebar again."""
    _page()


def warm(ref: str) -> None:
    """Fill the caches of the page: read the mask parameters of a version."""
    _mask_parameters(AppContext(shell.current_store(), shell.load_rows(ref), ""))


@st.fragment
def _page() -> None:
    with shell.show_errors():
        context = shell.app_context()
        results = tiles.handle_saves(KEY, lambda asked: tiles.save(context, asked, [ACCEPT, REJECT]))
        parameters = _mask_parameters(context)
        if not len(parameters.rows):
            _explain_empty(context.store, context.manifest.version)
            return
        if parameters.unreadable:
            st.warning(
                f"The recipes of {parameters.unreadable:,} pictures cannot be read; see “{UNREADABLE}” below. "
                f"Run: `facecurate synth verify {context.manifest.version.ref}`",
                icon=":material/warning:",
            )
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            view = st.segmented_control(
                "Show", list(_VIEWS), format_func=_VIEWS.__getitem__, default="current", required=True,
                key="synthetic show", label_visibility="collapsed",
            )  # fmt: skip
            with_origin = st.toggle("Show the original photo", key="synthetic origin")
            hide = st.toggle("Hide my finished pictures", key="synthetic hide")
        _draw_pictures(context, parameters, view, with_origin=with_origin, hide=hide, results=results)
        st.caption(
            "N, M, C: share of nose, mouth and chin under fabric, in %. Rejected pictures are excluded from the next "
            "version: apply the corrections on the Versions page."
        )


def _draw_pictures(
    context: AppContext,
    parameters: MaskParameters,
    view: str,
    *,
    with_origin: bool,
    hide: bool,
    results: dict[str, object],
) -> None:
    """Draw the filters and a page of the pictures that they select."""
    version, annotations = context.manifest.version, tiles.annotator_log(context)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name, chosen = _choose(parameters, tiles.labels(context), context.manifest.cuts, view)
        size = st.selectbox("Per page", _PAGE_SIZES, key="synthetic size", width=90)
    rows = parameters.rows[chosen]
    if hide:
        is_open = np.isin(rows, without_annotations(context.manifest, rows, annotations, ()))
        rows, chosen = rows[is_open], chosen[is_open]
    selection = json.dumps([version.pinned, context.annotator, *name, size, hide])
    page = tiles.current_page(KEY, selection, len(rows), size, "pictures")
    shown = slice(page.first, page.first + size)
    records, pictures = tiles.thumbnails(context, rows[shown], rows[shown.stop :][:size])
    drawn = [
        _tile(record, tiles.tile_of(record, picture, annotations, context), parameters, index, annotations)
        for record, picture, index in zip(records, pictures, chosen[shown].tolist(), strict=True)
    ]
    is_current = view == "current"
    tiles.show_tiles(
        KEY,
        selection=selection,
        page=page,
        tiles=_add_origins(context, records, drawn) if with_origin else drawn,
        manifest=version.pinned,
        empty="No synthetic picture matches the filters." if is_current else "No picture has been rejected yet.",
        actions=[ACCEPT, REJECT] if is_current else [ACCEPT],
        results=results,
        undo=tiles.undo_of(annotations, KEY),
        enlarged=tiles.enlarged_picture(context, tiles.enlarged_sample(KEY)),
        why_not=tiles.why_not(context),
    )


def _explain_empty(store: Store, version: Version) -> None:
    """For a version without synthetic pictures, name the newest one with some, or the command that makes one."""
    ref = shell.escape_markdown(version.ref)
    versions = [one.number for one in store.readable(version.name)[0] if one.operation == "synth"]
    advice = (
        f"Version {versions[-1]} has some: choose it in the sidebar."
        if versions
        else f"Run: `facecurate synth run {version.ref}`"
    )
    st.info(f"{ref} has no synthetic pictures. {advice}", icon=":material/info:")


def _mask_parameters(context: AppContext) -> MaskParameters:
    manifest, workspace = context.manifest, str(context.store.workspace)
    return _read(context.store, manifest.cuts, workspace, manifest.version.ref, manifest.version.content_hash)


@st.cache_resource(max_entries=2, show_spinner="Reading the mask parameters …")
def _read(_store: Store, _cuts: AgeCuts, workspace: str, ref: str, content_hash: str) -> MaskParameters:
    return read_mask_parameters(_store, ref, _cuts)


# -- filters ----------------------------------------------------------------------------------------------------------
def _choose(parameters: MaskParameters, labels: Labels, cuts: AgeCuts, view: str) -> tuple[list[str], np.ndarray]:
    """Draw the filters and the order. Return the name of the choice and indices (K,) into the parameters."""
    usable = labels.usable[parameters.rows] if view == "current" else labels.rejected[parameters.rows]
    keep, name = usable.copy(), [view]
    for one in _filters(parameters, cuts):
        counts = {value: int((usable & (one.values == value)).sum()) for value in one.names}
        options = {_ALL: f"All  ({int(usable.sum()):,})"}
        options |= {value: f"{one.names[value]}  ({count:,})" for value, count in counts.items() if count}
        value = st.selectbox(
            one.title, list(options), format_func=options.__getitem__, key=f"synthetic {one.key} {view}", width=165
        )
        keep &= (one.values == value) | (value == _ALL)
        name.append(str(value))
    order = st.selectbox("Order", list(_ORDERS), format_func=_ORDERS.__getitem__, key="synthetic order", width=215)
    chosen = np.flatnonzero(keep)
    if order in COVERED:
        chosen = chosen[np.argsort(parameters.covered[chosen, COVERED.index(order)], kind="stable")]  # NaN last
    return [*name, order], chosen


def _filters(parameters: MaskParameters, cuts: AgeCuts) -> list[_Filter]:
    names = cuts.display_names
    changes = {
        source * N_AGE_CLASSES + target: f"{names[source]} → {names[target]}"
        for source in range(N_AGE_CLASSES)
        for target in range(N_AGE_CLASSES)
    }
    return [
        _Filter("type", "Mask", parameters.types, _named(parameters.type_names)),
        _Filter("placement", "Placement", parameters.placements, _named(parameters.placement_names)),
        _Filter("age", "Age", parameters.age_changes, {SAME_AGE: "unchanged", **changes}),
    ]


def _named(names: list[str]) -> dict[int, str]:
    return {index: _spaced(name) or "no mask" for index, name in enumerate(names)}


def _spaced(name: str) -> str:
    return name.replace("_", " ")


# -- pictures ---------------------------------------------------------------------------------------------------------
def _tile(row: Row, tile: Tile, parameters: MaskParameters, index: int, annotations: AnnotatorLog) -> Tile:
    """Return a tile with mask type, placement, change of age and coverage instead of the labels."""
    mask_type = parameters.type_names[parameters.types[index]]
    placement = parameters.placement_names[parameters.placements[index]]
    source, target = parameters.ages[index].tolist()
    shares = [
        f"{part[0].upper()} {100 * share:.0f}"
        for part, share in zip(COVERED, parameters.covered[index].tolist(), strict=True)
        if share == share
    ]
    return tile | {
        "label": f"{_spaced(placement)} · {_spaced(mask_type)}" if mask_type else "no mask",
        "hint": f"age {source} → {target}" if target >= 0 else "",
        "more": " · ".join(shares),
        "more_title": "Share of nose, mouth and chin under fabric, in %",
        "verdict": {"true": "rejected", "false": "✓ accepted"}.get(annotations.latest_of(row, "exclude") or "", ""),
    }


def _add_origins(context: AppContext, rows: Sequence[Row], drawn: list[Tile]) -> list[Tile]:
    """Return tiles with the photo that each picture was made from, where the version still has it."""
    found = tiles.origins(context.manifest, rows)
    known = [origin for origin in found if origin is not None]
    pictures = load_thumbnails(context.store, known, tiles.THUMBNAIL_PX)
    by_id = {origin["sample_id"]: picture.src for origin, picture in zip(known, pictures, strict=True)}
    sources = [by_id[origin["sample_id"]] if origin else "" for origin in found]
    return [tile | {"origin": src} if src else tile for tile, src in zip(drawn, sources, strict=True)]
