"""What changed between two versions, drawn: numbers by field, and the pictures with their old and new labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import streamlit as st

from curation_app import shell
from curation_app.images import load_thumbnails
from curation_app.versions.changes import MOST
from curation_app.versions.compared import Change, compare, filtered
from data_manifests.versions import Store, Version

THUMBNAIL_PX = 150
_A_PAGE = 24


def comparison(store: Store, version: Version, versions: Sequence[Version]) -> None:
    """What changed from one version to another, in numbers and in pictures."""
    by_ref = {one.ref: one for one in reversed(versions)}
    if len(by_ref) < 2:
        st.info("There is one version so far: nothing to compare.")
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
        st.markdown(
            f"{found.rows[0]:,} → {found.rows[1]:,} rows"
            + ("" if found.changes else ": **no row, label, split or picture differs**")
        )
        if found.changes:
            _changes(store, found.changes)


def _changes(store: Store, changes: Mapping[str, Change]) -> None:
    def title(name: str) -> str:
        return f"{'bytes' if name == 'sha256' else name} · {changes[name].count:,}"

    kind = st.segmented_control("Changed", list(changes), default=next(iter(changes)), required=True, format_func=title)
    change = changes[str(kind)]
    rows = change.rows
    if change.transitions:
        every = f"all {change.count:,}"
        options = [every, *(f"{old} → {new}  ({count:,})" for old, new, count in change.transitions)]
        picked = st.selectbox("Old → new", options, width=340)
        if picked != every:
            old, new, _ = change.transitions[options.index(picked) - 1]
            rows = filtered(change, old, new)
    pages = max(1, -(-len(rows) // _A_PAGE))
    at = st.pagination(pages, key=f"{kind} {len(rows)} pages") if pages > 1 else 1
    shown = rows[(at - 1) * _A_PAGE : at * _A_PAGE]
    st.html(_grid(store, shown, both=kind == "sha256"))
    if change.count > MOST:
        st.caption(f"Pictures of the first {MOST:,}; `python -m data_manifests export` writes all rows.")


def _grid(store: Store, rows: Sequence[Mapping[str, Any]], *, both: bool) -> str:
    """Pictures with old → new below, as HTML; `both` shows the old picture too."""
    drawn = load_thumbnails(store, rows, THUMBNAIL_PX)
    before = load_thumbnails(store, [row["before"] for row in rows], THUMBNAIL_PX) if both else [None] * len(rows)
    cells = []
    for row, new, old in zip(rows, drawn, before, strict=True):
        images = "".join(
            f"<img src='{one.src}' alt=''>" if one.src else f"<span class='gone'>{escape(one.problem)}</span>"
            for one in (old, new)
            if one
        )
        words = f"<b>{escape(row['old'])}</b> → <b>{escape(row['new'])}</b><br>" if "old" in row and not both else ""
        who = f"{row['shot'] or 'photo'} of {row['person_id']}"
        cells.append(f"<figure><div>{images}</div><figcaption>{words}<span>{escape(who)}</span></figcaption></figure>")
    return f"{_STYLE}<div class='changed'>{''.join(cells)}</div>"


_STYLE = f"""<style>
.changed {{ display: flex; flex-wrap: wrap; gap: 14px; font-size: 13.5px; align-items: flex-start; }}
.changed figure {{ margin: 0; display: table; }} .changed figure div {{ display: flex; gap: 4px; }}
.changed img, .changed .gone {{ height: {THUMBNAIL_PX}px; border-radius: 6px; display: block; }}
.changed .gone {{ width: 113px; border: 1px dashed; opacity: 0.6; font-size: 11.5px; line-height: 1.3; padding: 8px;
  overflow: hidden; overflow-wrap: anywhere; }}
.changed figcaption {{ display: table-caption; caption-side: bottom; padding-top: 4px; line-height: 1.4; }}
.changed figcaption span {{ opacity: 0.7; font-size: 12.5px; overflow-wrap: anywhere; }}
</style>"""
