"""Labels with conflicting annotations: each with its pictures, and buttons that adjudicate it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import streamlit as st

from curation_app import shell
from curation_app.annotations import AnnotationSet, correction, log_path, value_of
from curation_app.images import ManifestRows, photo_title
from data_manifests.agreement import ADJUDICATION, AnnotatedLabel, conflicts
from data_manifests.corrections import CHOICES, FIELDS, Correction, LogReader, append_correction
from data_manifests.errors import ToolkitError
from data_manifests.versions import Store, Version
from reporting.thumbnails import thumbnail

THUMBNAIL_PX = 168
_PAGE_SIZE = 10
_MAX_PHOTOS = 3  # of a person
_WIDTH_PX, _SEVERAL_WIDTH_PX = 136, 100


@st.fragment
def conflict_list(store: Store, version: Version, annotations: AnnotationSet) -> None:
    """Draw the conflicts, each with its pictures and values. A click saves and redraws the list alone."""
    clicked = _clicked(annotations)
    found = conflicts(annotations.labels, annotations.cuts)
    adjudicated = [label for label in found if _adjudication(label, clicked)]
    st.subheader("Conflicts")
    if not found:
        st.success("No two annotators gave a label different values.", icon=":material/check:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        fields = [name for name in FIELDS if any(label.field == name for label in found)]
        field = st.segmented_control("Field", ["all", *fields], default="all", required=True, key="conflict field")
        show_all = st.toggle(f"Show adjudicated labels ({len(adjudicated)})", key="conflict settled")
    shown = [label for label in found if field in ("all", label.field)]
    if not show_all:
        latest = st.session_state.get("latest adjudication", "")  # stays on the page, so that it can be undone
        shown = [label for label in shown if not _adjudication(label, clicked) or _key(label) == latest]
    st.caption(f"{len(found)} label{'s' if len(found) != 1 else ''} in conflict, {len(adjudicated)} adjudicated.")
    if not shell.current_annotator():
        st.info("Enter your name in the sidebar to adjudicate.", icon=":material/edit:")
    pages = max(1, -(-len(shown) // _PAGE_SIZE))
    at = st.pagination(pages, key=f"conflict page {pages}") if pages > 1 else 1
    columns = st.columns(2)
    for i, label in enumerate(shown[(at - 1) * _PAGE_SIZE : at * _PAGE_SIZE]):
        with columns[i % 2]:
            _card(store, version, label, clicked)
    if not shown:
        st.success("All conflicts are adjudicated.", icon=":material/check:")


def _card(store: Store, version: Version, label: AnnotatedLabel, clicked: dict[str, str]) -> None:
    manifest = shell.load_rows(version.ref)
    rows = rows_of(manifest, label)
    row = rows[0] if rows else None
    with st.container(border=True):
        if len(rows) > 1:
            _photos(store, rows)
            text = st.container()
        else:
            pictures, text = st.columns([2, 5])
            with pictures:
                _photos(store, rows)
        with text:
            st.markdown(f"**{label.field.capitalize()}** · {shell.escape_markdown(_owner(label, rows))}")
            st.html(_values(label, value_of(row, label.field) if row else ""))
            chosen = _adjudication(label, clicked)
            with st.container(horizontal=True, gap="small"):
                for choice in _choices(label):
                    st.button(
                        choice,
                        key=f"rule {_key(label)} {choice}",
                        type="primary" if choice == chosen else "secondary",
                        disabled=not shell.current_annotator(),
                        on_click=_adjudicate,
                        args=(store, version, label, row, choice, clicked),
                    )
                if chosen and _is_own_adjudication(label, clicked):
                    st.button(
                        "Undo", key=f"undo {_key(label)}", icon=":material/undo:", type="tertiary",
                        on_click=_adjudicate, args=(store, version, label, row, "", clicked),
                    )  # fmt: skip
            if failed := st.session_state.pop(f"failed {_key(label)}", ""):
                st.error(shell.escape_markdown(failed), icon=":material/error:")


def _clicked(annotations: AnnotationSet) -> dict[str, str]:
    """Return the adjudications made since these logs were read, by label; an empty value was undone."""
    files, clicked = st.session_state.get("adjudications", (None, {}))
    if files != annotations.files:
        clicked = {}
        st.session_state["adjudications"] = annotations.files, clicked
    return clicked


def _owner(label: AnnotatedLabel, rows: Sequence[Mapping[str, Any]]) -> str:
    if label.scope == "person" or not rows:
        return label.person_id if label.scope == "person" else label.sample_id
    return photo_title(rows[0])


def _values(label: AnnotatedLabel, given: str) -> str:
    """Return the value in this version and each annotator's as HTML."""
    values = [("in this version", given or "unknown"), *((name, one.value) for name, one in label.annotations.items())]
    values += [(f"adjudicated by {name}", one.value) for name, one in label.adjudications.items()]
    lines = (f"<span>{escape(name)}</span><b>{escape(value)}</b>" for name, value in values)
    return f"{_STYLE}<div class='values'>{''.join(lines)}</div>"


_STYLE = """<style>
.values { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; font-size: 14px; line-height: 1.45; }
.values span { opacity: 0.7; } .values b { font-weight: 600; }
</style>"""


def rows_of(manifest: ManifestRows, label: AnnotatedLabel) -> list[dict[str, Any]]:
    """Return the photos of a label in a version: one, or a person's first few; none if it has none of them."""
    if label.scope == "person":
        number = manifest.people.searchsorted(label.person_id)
        if number < len(manifest.people) and manifest.people[number] == label.person_id:
            return manifest.records(manifest.rows_of(int(number))[:_MAX_PHOTOS])
        return []
    for name in ("sample_id", "source_id"):  # itself, or what was made from it
        at = pc.index(manifest.column(name), label.sample_id).as_py()
        if at >= 0:
            return manifest.records([at])  # type: ignore[arg-type]
    return []


def _photos(store: Store, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        st.caption("This version has no such photo.")
        return
    files, problems = [], []
    for row in rows:
        try:
            files.append(str(thumbnail(store, row, THUMBNAIL_PX)))
        except ToolkitError as error:
            problems.append(str(error))
    with st.container(horizontal=True, gap="small"):
        for file in files:
            st.image(file, width=_WIDTH_PX if len(files) == 1 else _SEVERAL_WIDTH_PX)
    for problem in problems:
        st.caption(f":material/broken_image: {shell.escape_markdown(problem)}")


def _choices(label: AnnotatedLabel) -> list[str]:
    """Return the values to choose from: all of the field, or of an age those given."""
    given = {one.value for one in label.annotations.values()}
    return sorted(given) if label.field == "age" else list(CHOICES[label.field])


def _key(label: AnnotatedLabel) -> str:
    return f"{label.field} {label.scope} {label.person_id if label.scope == 'person' else label.sample_id}"


def _adjudication(label: AnnotatedLabel, clicked: Mapping[str, str]) -> str:
    """Return the value that a label was adjudicated to, empty if it is open; what was clicked since comes first."""
    if _key(label) in clicked:
        return clicked[_key(label)]
    latest = max(label.adjudications.values(), key=lambda one: one.order, default=None)
    return latest.value if latest else ""


def _is_own_adjudication(label: AnnotatedLabel, clicked: Mapping[str, str]) -> bool:
    return _key(label) in clicked or shell.current_annotator() in label.adjudications


def _adjudicate(
    store: Store,
    version: Version,
    label: AnnotatedLabel,
    row: Mapping[str, Any] | None,
    choice: str,
    clicked: dict[str, str],
) -> None:
    """Write one record to the annotator's own log: an adjudication, or with no choice its undoing."""
    annotator = shell.current_annotator()
    path = log_path(store, version, annotator)
    try:
        record = adjudication_record(version, label, row, choice, annotator)
        if not choice:
            record = replace(record, undoes=_latest_adjudication(path, record))
        append_correction(path, record)
    except ToolkitError as error:
        st.session_state[f"failed {_key(label)}"] = str(error)
        return
    clicked[_key(label)] = choice
    st.session_state["latest adjudication"] = _key(label)


def _latest_adjudication(path: Path, record: Correction) -> str:
    """Return the value for `undoes` of the latest adjudication of a record's label in a log; empty if there is none."""
    if not path.exists():
        return ""
    records = (one for _, one in LogReader(path).read_new([]))
    found = [one for one in records if one.label == record.label and one.note.startswith(ADJUDICATION)]
    return found[-1].undo_key if found else ""


def adjudication_record(
    version: Version, label: AnnotatedLabel, row: Mapping[str, Any] | None, choice: str, annotator: str
) -> Correction:
    """Return the record of an adjudication; an empty choice states the adjudicator's own annotation again."""
    note = f"{ADJUDICATION} {label.summary()}"
    if not choice:
        own = label.annotations.get(annotator)
        choice, note = (own.value if own else ""), ""
    if row is not None:
        return correction(version, row, label.field, choice, annotator, person=label.scope == "person", note=note)
    last = label.records[-1]  # this version lacks the photo: name it as the latest record does
    return Correction(
        manifest=last.manifest, sample_id=last.sample_id, person_id=label.person_id, scope=label.scope,
        field=label.field, old=last.old, new=choice, annotator=annotator, note=note, image_sha256=last.image_sha256,
    )  # fmt: skip
