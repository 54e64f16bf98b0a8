"""The charts of the Overview page as Vega-Lite, made once for a version: building and checking them takes 0.3 s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from curation_app import shell
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store, Version
from reporting.charts import Figure
from reporting.dataset import COLUMNS, Census, census_figures, take_census, version_figure
from reporting.theme import DARK, LIGHT

# Vega-Lite's default fits the axes into the height as well, which leaves nothing of a chart of one bar.
_AUTOSIZE = {"type": "fit-x", "contains": "padding"}


@dataclass(frozen=True)
class Drawing:
    """A chart as a Vega-Lite specification, with its title and note."""

    title: str
    spec: dict[str, Any]
    note: str = ""


def drawing_of(figure: Figure) -> Drawing:
    """Return a figure with its chart as Vega-Lite."""
    spec = figure.chart.to_dict(validate=False)  # built by our own code and tested
    return Drawing(figure.title, {"autosize": _AUTOSIZE, **spec}, figure.note)


def draw(drawing: Drawing) -> None:
    """Draw a chart in a frame, with its title above and its note below."""
    with st.container(border=True):
        st.markdown(f"**{shell.escape_markdown(drawing.title)}**")
        st.vega_lite_chart(drawing.spec, theme=None, width="stretch")
        if drawing.note:
            st.caption(shell.escape_markdown(drawing.note))


@st.cache_resource(max_entries=8, show_spinner="Counting …")
def census_of(workspace: str, ref: str, content_hash: str) -> dict[str, Census]:
    """Return the counts of a version, by split."""
    return take_census(Store(Path(workspace)).read(ref, COLUMNS).table)


def census_drawings(store: Store, version: Version, split: str, *, is_dark: bool) -> dict[str, Drawing]:
    """Return the charts of a split of a version, by key."""
    return _census_drawings(str(store.workspace), version.ref, version.content_hash, version.age_cuts, split, is_dark)


@st.cache_resource(max_entries=32, show_spinner="Drawing …")
def _census_drawings(
    workspace: str, ref: str, content_hash: str, age_cuts: tuple[int, int], split: str, is_dark: bool
) -> dict[str, Drawing]:
    census = census_of(workspace, ref, content_hash)
    figures = census_figures(census, split, AgeCuts(*age_cuts), DARK if is_dark else LIGHT)
    return {figure.key: drawing_of(figure) for figure in figures}


def version_drawing(versions: Sequence[Version], *, is_dark: bool) -> Drawing | None:
    """Return the chart of all versions of a manifest; None for a single version."""
    return _version_drawing(tuple(version.pinned for version in versions), is_dark, versions)


@st.cache_resource(max_entries=8, show_spinner=False)
def _version_drawing(pinned: tuple[str, ...], is_dark: bool, _versions: Sequence[Version]) -> Drawing | None:
    figure = version_figure(_versions, DARK if is_dark else LIGHT)
    return drawing_of(figure) if figure else None


def drawings_in(drawings: Mapping[str, Drawing], *columns: list[str]) -> None:
    """Draw columns of charts, without those that are missing."""
    wanted = [[drawings[key] for key in keys if key in drawings] for keys in columns]
    wanted = [shown for shown in wanted if shown]
    for column, shown in zip(st.columns(len(wanted)) if wanted else [], wanted, strict=True):
        with column:
            for drawing in shown:
                draw(drawing)
