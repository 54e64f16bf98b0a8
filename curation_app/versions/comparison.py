"""The comparison of two versions: numbers by field, and pictures with their old and new labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import streamlit as st

from curation_app import shell
from curation_app.images import load_thumbnails, photo_title
from data_manifests.schema import LABELS
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store, Version

THUMBNAIL_PX = 150
_TITLES = {"sha256": "file", "age_class": "age class", "class_id": "class"}
_MAX_PICTURES = 600  # of one field
_PICTURES_PER_PAGE = 24


@dataclass(frozen=True)
class Change:
    """The changes of one field: `count` rows, the most frequent transitions, and the first rows.

    Each row has what identifies its picture, `old` and `new`, and `before`, the row of the older version.
    """

    count: int
    transitions: list[tuple[str, str, int]]
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Comparison:
    """The numbers of rows of two versions, and the changes by field, `added` and `removed` rows among them."""

    rows: tuple[int, int]
    changes: Mapping[str, Change]


def compare(store: Store, a: Version, b: Version) -> Comparison:
    """Compare two versions in a process of its own, as a million rows of each need much memory.

    Raises StageError if a version cannot be read.
    """
    return _compare(str(store.workspace), (a.ref, a.content_hash), (b.ref, b.content_hash))


@st.cache_resource(max_entries=8, show_spinner="Comparing …")
def _compare(workspace: str, a: tuple[str, str], b: tuple[str, str]) -> Comparison:
    arguments = ("data_manifests", "diff", a[0], b[0], "--limit", str(_MAX_PICTURES))
    found = shell.run_json_command(Store(Path(workspace)), *arguments)
    changes = {name: Change(**change) for name, change in found["changes"].items()}
    return Comparison(tuple(found["rows"]), changes)


def draw_comparison(store: Store, version: Version, versions: Sequence[Version]) -> None:
    """Draw the choice of two versions, `version` and its parent at first, and their differences."""
    by_ref = {one.ref: one for one in reversed(versions)}
    if len(by_ref) < 2:
        st.info("There is only one version so far: nothing to compare.")
        return
    refs = list(by_ref)

    def title(ref: str) -> str:
        return f"{ref} · {by_ref[ref].operation} · {by_ref[ref].rows:,} rows"

    parent = next((one.split("#")[0] for one in version.parents if one.split("#")[0] in by_ref), refs[-1])
    if parent == version.ref:
        parent = next(ref for ref in refs if ref != version.ref)
    left, right = st.columns(2)
    a = left.selectbox("From", refs, index=refs.index(parent), format_func=title)
    b = right.selectbox("To", refs, index=refs.index(version.ref), format_func=title)
    if a == b:
        st.info("Choose two different versions.")
        return
    with shell.show_errors():
        found = compare(store, by_ref[a], by_ref[b])
        difference = "" if found.changes else ": **no row, label, split or picture differs**"
        st.markdown(f"{found.rows[0]:,} → {found.rows[1]:,} rows{difference}")
        if found.changes:
            _draw_changes(store, found.changes, AgeCuts(*by_ref[b].age_cuts))


def _draw_changes(store: Store, changes: Mapping[str, Change], cuts: AgeCuts) -> None:
    def title(name: str) -> str:
        return f"{_TITLES.get(name, name)} · {changes[name].count:,}"

    def change_text(old: str, new: str) -> str:
        return " → ".join(_value_text(str(field), value, cuts) for value in (old, new))

    field = st.segmented_control(
        "Changed", list(changes), default=next(iter(changes)), required=True, format_func=title
    )
    change = changes[str(field)]
    rows = change.rows
    if change.transitions:
        all_ = f"all {change.count:,}"
        options = [all_, *(f"{change_text(old, new)}  ({count:,})" for old, new, count in change.transitions)]
        chosen = st.selectbox("Old → new", options, width=340)
        if chosen != all_:
            old, new, _ = change.transitions[options.index(chosen) - 1]
            rows = [row for row in change.rows if (row["old"], row["new"]) == (old, new)]
    pages = max(1, -(-len(rows) // _PICTURES_PER_PAGE))
    number = st.pagination(pages, key=f"{field} {len(rows)} pages") if pages > 1 else 1
    shown = rows[(number - 1) * _PICTURES_PER_PAGE : number * _PICTURES_PER_PAGE]
    texts = ["" if field == "sha256" or "old" not in row else change_text(row["old"], row["new"]) for row in shown]
    st.html(_pictures_html(store, shown, texts, with_old=field == "sha256"))
    if change.count > _MAX_PICTURES:
        st.caption(
            f"Only the first {_MAX_PICTURES:,} of {change.count:,} rows are shown. "
            "For all rows run: `facecurate export`"
        )


def _value_text(field: str, value: str, cuts: AgeCuts) -> str:
    """Return a value of the comparison as the page shows it: a label that is not known, an age class by its name."""
    if value == "empty" and field in (*LABELS, "age_class", "class_id"):
        return "unknown"
    return cuts.display_names[int(value)] if field == "age_class" else value


def _pictures_html(store: Store, rows: Sequence[Mapping[str, Any]], texts: Sequence[str], *, with_old: bool) -> str:
    """Return pictures as HTML, each with its text (old → new) below; `with_old` adds the old picture."""
    pictures = load_thumbnails(store, rows, THUMBNAIL_PX)
    olds = load_thumbnails(store, [row["before"] for row in rows], THUMBNAIL_PX) if with_old else [None] * len(rows)
    cells = []
    for row, new, old, text in zip(rows, pictures, olds, texts, strict=True):
        images = "".join(
            f"<img src='{one.src}' alt=''>" if one.src else f"<span class='missing'>{escape(one.problem)}</span>"
            for one in (old, new)
            if one
        )
        change = f"<b>{escape(text)}</b><br>" if text else ""
        name = escape(photo_title(row))
        cells.append(f"<figure><div>{images}</div><figcaption>{change}<span>{name}</span></figcaption></figure>")
    return f"{_STYLE}<div class='changed'>{''.join(cells)}</div>"


_STYLE = f"""<style>
.changed {{ display: flex; flex-wrap: wrap; gap: 14px; font-size: 13.5px; align-items: flex-start; }}
.changed figure {{ margin: 0; display: table; }} .changed figure div {{ display: flex; gap: 4px; }}
.changed img, .changed .missing {{ height: {THUMBNAIL_PX}px; border-radius: 6px; display: block; }}
.changed .missing {{ width: 113px; border: 1px dashed; opacity: 0.6; font-size: 11.5px; line-height: 1.3; padding: 8px;
  overflow: hidden; overflow-wrap: anywhere; }}
.changed figcaption {{ display: table-caption; caption-side: bottom; padding-top: 4px; line-height: 1.4; }}
.changed figcaption span {{ opacity: 0.7; font-size: 12.5px; overflow-wrap: anywhere; }}
</style>"""
