"""The Synthetic page: pictures that `synth` made, by type, wear and age move; accepted or rejected."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from curation_app import shell
from curation_app.annotations import Words
from curation_app.images import load_thumbnails
from curation_app.shell import AppContext
from curation_app.synthetic.mask_parameters import COVERED, NO_MOVE, UNREADABLE, Recipes, read_recipes
from curation_app.tiles import Action, Labels, Row, Tile, age_names, component, not_judged, photos
from data_manifests.taxonomy import N_AGE_CLASSES, AgeCuts
from data_manifests.versions import Store, Version

KEY = "synthetic"
ACCEPT = Action("exclude", "false", "Accept", "Enter")
REJECT = Action("exclude", "true", "Reject", "e")
_SHOWS = {"here": "In this version", "rejected": "Rejected before"}
_ORDERS = {"person": "By person", **{part: f"Least covered {part} first" for part in COVERED}}
_SIZES = (48, 96, 192)
_ALL = -2  # of a facet: every value


@dataclass(frozen=True)
class _Facet:
    """Something to choose pictures by: values (S,) and what they are called."""

    name: str
    title: str
    values: np.ndarray
    names: dict[int, str]


def page() -> None:
    """Everything is in one fragment: marking and paging leave the rest of the page alone."""
    _page()


def warm(ref: str) -> None:
    """Read the recipes, for whoever comes first."""
    _recipes_of(AppContext(shell.current_store(), shell.load_rows(ref), ""))


@st.fragment
def _page() -> None:
    with shell.show_errors():
        context = shell.app_context()
        done = component.settle(KEY, lambda asked: photos.save(context, asked, [ACCEPT, REJECT]))
        version, labels = context.manifest.version, photos.labels(context)
        recipes = _recipes_of(context)
        if not len(recipes.rows):
            _say_where_there_are_some(context.store, version)
            return
        if recipes.broken:
            st.warning(
                f"{recipes.broken:,} recipes cannot be read; their pictures are under “{UNREADABLE}”. "
                f"Run: `python -m synth verify {version.ref}`",
                icon=":material/warning:",
            )
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            show = st.segmented_control(
                "Show", list(_SHOWS), format_func=_SHOWS.__getitem__, default="here", required=True,
                key="synthetic show", label_visibility="collapsed",
            )  # fmt: skip
            beside = st.toggle("Beside their photos", key="synthetic beside")
            hide = st.toggle("Hide what I have judged", key="synthetic hide")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name, at = _choose(recipes, labels, context.manifest.cuts, show)
            size = st.selectbox("On a page", _SIZES, key="synthetic size", width=90)
        said = photos.words(context)
        rows = recipes.rows[at]
        if hide:
            kept = np.isin(rows, not_judged(context.manifest, rows, said, ()))
            rows, at = rows[kept], at[kept]
        choice = json.dumps([version.pinned, context.annotator, *name, size, hide])
        page = component.page_of(KEY, choice, len(rows), size, "pictures")
        here = slice(page.first, page.first + size)
        shown, made = photos.thumbnails(context, rows[here], rows[here.stop :][:size])
        drawn = [
            _tile(row, photos.tile_of(row, picture, said, context), recipes, place, said)
            for row, picture, place in zip(shown, made, at[here].tolist(), strict=True)
        ]
        component.show(
            KEY,
            choice=choice,
            page=page,
            tiles=_beside(context, shown, drawn) if beside else drawn,
            manifest=version.pinned,
            empty="No synthetic picture is made like this." if show == "here" else "No picture has been rejected yet.",
            actions=[ACCEPT, REJECT] if show == "here" else [ACCEPT],
            done=done,
            undo=photos.undo_of(said, KEY),
            look=photos.look(context, component.looked_at(KEY)),
            why_not=photos.why_not(context),
        )
        st.caption(
            "N, M, C: how much of nose, mouth and chin is under fabric, in %. "
            "Rejected pictures leave the next version: apply the corrections on the Versions page."
        )


def _say_where_there_are_some(store: Store, version: Version) -> None:
    """In a version without synthetic pictures: the newest one that `synth` wrote, or how to make one."""
    ref = shell.escape_markdown(version.ref)
    made = [one.number for one in store.readable(version.name)[0] if one.operation == "synth"]
    there = (
        f"Version {made[-1]} has some: choose it in the sidebar."
        if made
        else f"Run: `python -m synth run {version.ref}`"
    )
    st.info(f"{ref} has no synthetic pictures. {there}", icon=":material/info:")


def _recipes_of(context: AppContext) -> Recipes:
    version = context.manifest.version
    return _recipes(
        context.store, context.manifest.cuts, str(context.store.workspace), version.ref, version.content_hash
    )


@st.cache_resource(max_entries=2, show_spinner="Reading the recipes …")
def _recipes(_store: Store, _cuts: AgeCuts, workspace: str, ref: str, content_hash: str) -> Recipes:
    return read_recipes(_store, ref, _cuts)


# -- choosing ---------------------------------------------------------------------------------------------------------
def _choose(recipes: Recipes, labels: Labels, cuts: AgeCuts, show: str) -> tuple[list[str], np.ndarray]:
    """The facets and the order: the name of the choice, and places (K,) in the recipes."""
    usable = labels.usable[recipes.rows] if show == "here" else labels.rejected[recipes.rows]
    keep, name = usable.copy(), [show]
    for facet in _facets(recipes, cuts):
        counts = {value: int((usable & (facet.values == value)).sum()) for value in facet.names}
        options = {_ALL: f"All  ({int(usable.sum()):,})"}
        options |= {value: f"{facet.names[value]}  ({count:,})" for value, count in counts.items() if count}
        value = st.selectbox(
            facet.title, list(options), format_func=options.__getitem__, key=f"synthetic {facet.name} {show}", width=165
        )
        keep &= (facet.values == value) | (value == _ALL)
        name.append(str(value))
    order = st.selectbox("Order", list(_ORDERS), format_func=_ORDERS.__getitem__, key="synthetic order", width=215)
    at = np.flatnonzero(keep)
    if order in COVERED:
        at = at[np.argsort(recipes.covered[at, COVERED.index(order)], kind="stable")]  # NaN last
    return [*name, order], at


def _facets(recipes: Recipes, cuts: AgeCuts) -> list[_Facet]:
    ages = age_names(cuts)
    moves = {
        source * N_AGE_CLASSES + target: f"{ages[source]} → {ages[target]}"
        for source in range(N_AGE_CLASSES)
        for target in range(N_AGE_CLASSES)
    }
    return [
        _Facet("type", "Mask", recipes.types, _named(recipes.type_names)),
        _Facet("wear", "Worn", recipes.wears, _named(recipes.wear_names)),
        _Facet("move", "Age", recipes.moves, {NO_MOVE: "not moved", **moves}),
    ]


def _named(names: list[str]) -> dict[int, str]:
    return {place: _words(name) or "no mask" for place, name in enumerate(names)}


def _words(name: str) -> str:
    return name.replace("_", " ")


# -- what is shown ----------------------------------------------------------------------------------------------------
def _tile(row: Row, tile: Tile, recipes: Recipes, place: int, said: Words) -> Tile:
    """A synthetic picture says how it was made, and how much of the face its mask covers."""
    kind, wear = recipes.type_names[recipes.types[place]], recipes.wear_names[recipes.wears[place]]
    source, target = recipes.ages[place].tolist()
    covered = recipes.covered[place]
    shares = [
        f"{part[0].upper()} {100 * share:.0f}"
        for part, share in zip(COVERED, covered.tolist(), strict=True)
        if share == share
    ]
    verdict = said.of(row, "exclude")
    return tile | {
        "label": f"{_words(wear)} · {_words(kind)}" if kind else "no mask",
        "hint": f"age {source} → {target}" if target >= 0 else "",
        "more": " · ".join(shares),
        "more_title": "Share of nose, mouth and chin under fabric, in %",
        "said": {"true": "rejected", "false": "✓ accepted"}.get(verdict or "", ""),
    }


def _beside(context: AppContext, rows: Sequence[Row], drawn: list[Tile]) -> list[Tile]:
    """Tiles with the photo that each was made from at their left; alone where the version has it no more."""
    found = photos.origins(context.manifest, rows)
    known = [origin for origin in found if origin is not None]
    made = dict(
        zip(
            (origin["sample_id"] for origin in known),
            load_thumbnails(context.store, known, photos.THUMBNAIL_PX),
            strict=True,
        )
    )
    before = [made[origin["sample_id"]].src if origin else "" for origin in found]
    return [tile | {"before": src} if src else tile for tile, src in zip(drawn, before, strict=True)]
