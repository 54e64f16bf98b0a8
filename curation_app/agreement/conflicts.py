"""Labels on which annotators differ: each with its picture, and a button for whoever settles it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pyarrow.compute as pc
import streamlit as st

from curation_app import shell
from curation_app.annotations import Judged, log
from curation_app.images import ManifestRows
from data_manifests.agreement import ADJUDICATION, Unit, conflicts
from data_manifests.corrections import CHOICES, FIELDS, Correction, append_correction
from data_manifests.errors import ToolkitError
from data_manifests.versions import Store, Version
from reporting.thumbnails import thumbnail

THUMBNAIL_PX = 168
_A_PAGE = 10
_STRIP = 3  # photos of a person
_WIDTH_PX, _STRIP_WIDTH_PX = 136, 100


@st.fragment
def conflict_list(store: Store, version: Version, said: Judged) -> None:
    """The list, each with its picture and the choices. A click saves and redraws the list alone."""
    ruled = _clicked(said)
    found = conflicts(said.units, said.cuts)
    settled = [unit for unit in found if _ruling(unit, ruled)]
    st.subheader("Where they differ")
    if not found:
        st.success("Nowhere: no two annotators gave a label different values.", icon=":material/check:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        fields = [name for name in FIELDS if any(unit.field == name for unit in found)]
        field = st.segmented_control("Field", ["all", *fields], default="all", required=True, key="conflict field")
        all_of_them = st.toggle(f"Show settled ones ({len(settled)})", key="conflict settled")
    shown = [unit for unit in found if field in ("all", unit.field)]
    if not all_of_them:
        just_now = st.session_state.get("just ruled", "")  # it stays until the next one, so that it can be undone
        shown = [unit for unit in shown if not _ruling(unit, ruled) or _key(unit) == just_now]
    st.caption(f"{len(found)} label{'s' if len(found) != 1 else ''} in conflict, {len(settled)} settled.")
    if not shell.current_annotator():
        st.info("To settle one, write your name in the sidebar.", icon=":material/edit:")
    pages = max(1, -(-len(shown) // _A_PAGE))
    at = st.pagination(pages, key=f"conflict page {pages}") if pages > 1 else 1
    columns = st.columns(2)
    for i, unit in enumerate(shown[(at - 1) * _A_PAGE : at * _A_PAGE]):
        with columns[i % 2]:
            _card(store, version, unit, ruled)
    if not shown:
        st.success("All of them are settled.", icon=":material/check:")


def _card(store: Store, version: Version, unit: Unit, ruled: dict[str, str]) -> None:
    manifest = shell.load_rows(version.ref)
    rows = rows_of(manifest, unit)
    with st.container(border=True):
        several = len(rows) > 1
        if several:
            _strip(store, rows)
        pictures, words = (None, st.container()) if several else st.columns([2, 5])
        if pictures:
            with pictures:
                _strip(store, rows)
        with words:
            st.markdown(f"**{unit.field.capitalize()}** · {shell.escape_markdown(_whose(unit, rows))}")
            st.html(_words(unit, log.value_of(rows[0], unit.field) if rows else ""))
            ruling = _ruling(unit, ruled)
            choices = _choices(unit)
            with st.container(horizontal=True, gap="small"):
                for choice in choices:
                    st.button(
                        choice,
                        key=f"rule {_key(unit)} {choice}",
                        type="primary" if choice == ruling else "secondary",
                        disabled=not shell.current_annotator(),
                        on_click=_rule,
                        args=(store, version, unit, rows[0] if rows else None, choice, ruled),
                    )
                if ruling and _own_ruling(unit, ruled):
                    st.button(
                        "Undo", key=f"undo {_key(unit)}", icon=":material/undo:", type="tertiary",
                        on_click=_rule, args=(store, version, unit, rows[0] if rows else None, "", ruled),
                    )  # fmt: skip
            if failed := st.session_state.pop(f"failed {_key(unit)}", ""):
                st.error(shell.escape_markdown(failed), icon=":material/error:")


def _clicked(said: Judged) -> dict[str, str]:
    """What was clicked since these logs were read: rulings by unit, an empty one where it was taken back."""
    files, ruled = st.session_state.get("ruled", (None, {}))
    if files != said.files:
        ruled = {}
        st.session_state["ruled"] = said.files, ruled
    return ruled


def _whose(unit: Unit, rows: Sequence[Mapping[str, Any]]) -> str:
    if unit.scope == "person" or not rows:
        return unit.person_id if unit.scope == "person" else unit.sample_id
    return f"{rows[0]['shot'] or 'photo'} of {rows[0]['person_id']}"


def _words(unit: Unit, filed: str) -> str:
    """Who said what, as HTML."""
    said = [("in this version", filed or "–"), *((name, word.value) for name, word in unit.words.items())]
    said += [(f"{name} settles it", word.value) for name, word in unit.decisions.items()]
    lines = (f"<span>{escape(name)}</span><b>{escape(value)}</b>" for name, value in said)
    return f"{_STYLE}<div class='said'>{''.join(lines)}</div>"


_STYLE = """<style>
.said { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; font-size: 14px; line-height: 1.45; }
.said span { opacity: 0.7; } .said b { font-weight: 600; }
</style>"""


def rows_of(manifest: ManifestRows, unit: Unit) -> list[dict[str, Any]]:
    """The photos that a unit speaks about in a version: one, or a person's first few; none if it has none of them."""
    if unit.scope == "person":
        place = manifest.people.searchsorted(unit.person_id)
        if place < len(manifest.people) and manifest.people[place] == unit.person_id:
            return manifest.records(manifest.rows_of(int(place))[:_STRIP])
        return []
    for name in ("sample_id", "source_id"):  # itself, or what was made from it
        at = pc.index(manifest.column(name), unit.sample_id).as_py()
        if at >= 0:
            return manifest.records([at])  # type: ignore[arg-type]
    return []


def _strip(store: Store, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        st.caption("This version has no such photo.")
        return
    files, troubles = [], []
    for row in rows:
        try:
            files.append(str(thumbnail(store, row, THUMBNAIL_PX)))
        except ToolkitError as error:
            troubles.append(str(error))
    with st.container(horizontal=True, gap="small"):
        for file in files:
            st.image(file, width=_WIDTH_PX if len(files) == 1 else _STRIP_WIDTH_PX)
    for trouble in troubles:
        st.caption(f":material/broken_image: {shell.escape_markdown(trouble)}")


def _choices(unit: Unit) -> list[str]:
    """What can be chosen: what was said, then the other values of the field."""
    said = list(dict.fromkeys(word.value for word in unit.words.values()))
    return sorted(said) if unit.field == "age" else list(CHOICES[unit.field])


def _key(unit: Unit) -> str:
    return f"{unit.field} {unit.scope} {unit.person_id if unit.scope == 'person' else unit.sample_id}"


def _ruling(unit: Unit, ruled: Mapping[str, str]) -> str:
    """What a unit was adjudicated to, empty if it is open; what was clicked since the logs were read comes first."""
    if _key(unit) in ruled:
        return ruled[_key(unit)]
    latest = max(unit.decisions.values(), key=lambda word: word.time, default=None)
    return latest.value if latest else ""


def _own_ruling(unit: Unit, ruled: Mapping[str, str]) -> bool:
    return _key(unit) in ruled or shell.current_annotator() in unit.decisions


def _rule(
    store: Store, version: Version, unit: Unit, row: Mapping[str, Any] | None, choice: str, ruled: dict[str, str]
) -> None:
    """Write one record to the annotator's own log: a ruling, or with no choice what takes it back."""
    annotator = shell.current_annotator()
    try:
        record = ruling_record(version, unit, row, choice, annotator)
        append_correction(log.path_of(store, version, annotator), record)
    except ToolkitError as error:
        st.session_state[f"failed {_key(unit)}"] = str(error)
        return
    ruled[_key(unit)] = choice
    st.session_state["just ruled"] = _key(unit)


def ruling_record(
    version: Version, unit: Unit, row: Mapping[str, Any] | None, choice: str, annotator: str
) -> Correction:
    """An adjudication. An empty choice takes it back: what the same person had said as an annotator is said again."""
    note = f"{ADJUDICATION} {unit.said()}"
    if not choice:
        own = unit.words.get(annotator)
        choice, note = (own.value if own else ""), "adjudication taken back"
    if row is not None:
        return log.correction(version, row, unit.field, choice, annotator, person=unit.scope == "person", note=note)
    last = unit.records[-1]  # the version at hand lacks the photo: it is named as it was named before
    return Correction(
        manifest=last["manifest"], sample_id=last["sample_id"], person_id=unit.person_id, scope=unit.scope,
        field=unit.field, old=last["old"], new=choice, annotator=annotator, note=note,
        image_sha256=last["image_sha256"],
    )  # fmt: skip
