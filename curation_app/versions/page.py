"""The Versions page: the log and its tags, what changed between two, corrections applied, exports."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import streamlit as st

from curation_app import shell
from curation_app.shell import run_command
from curation_app.versions.apply_form import application
from curation_app.versions.comparing import comparison
from data_manifests.errors import ManifestError
from data_manifests.export import FORMATS
from data_manifests.schema import STATUSES
from data_manifests.versions import Store, Version

_PARTS = {"Log": "history", "Compare": "difference", "Apply": "rule_settings", "Export": "output"}
_FOLDER = re.compile(r"\w[\w .-]*")


def page() -> None:
    store = shell.current_store()
    version = store.version(shell.chosen_ref())
    versions, _ = store.readable(version.name)  # what cannot be read is told in the sidebar
    st.header(f"Versions of {shell.escape_markdown(version.name)}")
    part = st.segmented_control(
        "Part", list(_PARTS), default="Log", required=True, label_visibility="collapsed", key="versions part",
        format_func=lambda name: f":material/{_PARTS[name]}: {name}",
    )  # fmt: skip
    if part == "Compare":
        comparison(store, version, versions)
    elif part == "Apply":
        _told()
        application(store, version)
    elif part == "Export":
        _export(store, version)
    else:
        _log(store, version, versions)


# -- log --------------------------------------------------------------------------------------------------------


def _log(store: Store, version: Version, versions: Sequence[Version]) -> None:
    """All versions, newest first; the chosen one's settings and tags."""
    tags = store.tags(version.name)
    rows = [
        {
            "version": f"{one.number}", "tags": ", ".join(name for name, at in tags.items() if at == one.number),
            "made by": one.operation, "from": ", ".join(parent.split("#")[0] for parent in one.parents),
            "when (UTC)": one.created[:16].replace("T", " "), "rows": one.rows,
            **{name: one.ledger.get(name, 0) for name in STATUSES}, "content": one.content_hash[:12],
        }
        for one in reversed(versions)
    ]  # fmt: skip
    number = st.column_config.NumberColumn(format="localized")
    columns = dict.fromkeys(("rows", *STATUSES), number) | {"tags": st.column_config.TextColumn(width="medium")}
    st.dataframe(rows, hide_index=True, width="stretch", column_config=columns)
    left, right = st.columns(2)
    with left.container(border=True):
        st.markdown(f"**How {shell.escape_markdown(version.ref)} was made**")
        made = {"operation": version.operation, "seed": version.seed, "parents": list(version.parents)}
        st.code(
            json.dumps(made | {"parameters": dict(version.parameters)}, indent=2, ensure_ascii=False),
            "json",
            height=300,
        )
    with right.container(border=True):
        st.markdown(f"**Tag {shell.escape_markdown(version.ref)}**")
        st.caption("A tag names a version, such as curated. It may move to another one; versions never change.")
        with st.form("tag", border=False, clear_on_submit=True):
            name = st.text_input("Tag", placeholder="curated").strip()
            asked = st.form_submit_button("Set the tag", icon=":material/sell:")
        if asked:
            with shell.show_errors():
                before = tags.get(name)
                store.tag(version.ref, name)
                st.session_state["versions told"] = f"Tag {name} → {version.ref}" + (
                    f" (it was at {version.name}@{before})" if before not in (None, version.number) else ""
                )
                st.rerun()
    _told()


def _told() -> None:
    """What the last click did, after the page was drawn anew."""
    if told := st.session_state.pop("versions told", ""):
        st.success(shell.escape_markdown(told), icon=":material/check:")


# -- export -----------------------------------------------------------------------------------------------------


def _export(store: Store, version: Version) -> None:
    """Write a version for other programs, into the workspace's exports."""
    st.markdown(
        f"Writes **{shell.escape_markdown(version.ref)}** for other programs, to a new folder in the workspace."
    )
    format_ = st.segmented_control("Format", FORMATS, default=FORMATS[0], required=True) or FORMATS[0]
    st.caption(
        "labels.csv: all rows and columns as one flat table."
        if format_ == "csv"
        else "train.csv and images/ as in the competition, and a ledger of what was written or left out, and why."
    )
    link = format_ != "csv" and st.toggle(
        "Links instead of copies", help="Saves room; a change to one is a change to the photo."
    )
    name = st.text_input("Folder", value=f"{version.name}-{version.number}-{format_}", width=340).strip()
    if st.button("Export", type="primary", icon=":material/output:"):
        with shell.show_errors():
            if not _FOLDER.fullmatch(name):
                raise ManifestError(
                    f"a folder's name is letters, digits, spaces, '.', '_' and '-'. Got {name!r} instead."
                )
            out = store.workspace / "exports" / name
            with st.spinner("Writing …"):
                words = ["data_manifests", "export", version.ref, "--format", format_, "--out", str(out.absolute())]
                told = run_command(store, *words, *(["--link"] if link else []))
            st.success(shell.escape_markdown(f"{out}: {told.strip().splitlines()[-1]}"), icon=":material/check:")
            st.code(told, None)
