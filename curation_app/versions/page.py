"""The Versions page: history and tags, a comparison of two versions, applying corrections, export."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import streamlit as st

from curation_app import shell
from curation_app.versions.apply_form import draw_apply_form
from curation_app.versions.comparison import draw_comparison
from data_manifests.errors import ManifestError
from data_manifests.export import FORMATS
from data_manifests.schema import STATUSES
from data_manifests.versions import Store, Version

_PARTS = {"History": "history", "Compare": "difference", "Apply": "rule_settings", "Export": "output"}  # name → icon
_FOLDER = re.compile(r"\w[\w .-]*")


def page() -> None:
    """Draw the page."""
    store = shell.current_store()
    version = store.version(shell.chosen_ref())
    versions, _ = store.readable(version.name)  # the sidebar reports those that cannot be read
    st.header(f"Versions of {shell.escape_markdown(version.name)}")
    part = st.segmented_control(
        "Part", list(_PARTS), default="History", required=True, label_visibility="collapsed", key="versions part",
        format_func=lambda name: f":material/{_PARTS[name]}: {name}",
    )  # fmt: skip
    if part == "Compare":
        draw_comparison(store, version, versions)
    elif part == "Apply":
        _draw_message()
        draw_apply_form(store, version)
    elif part == "Export":
        _draw_export(store, version)
    else:
        _draw_history(store, version, versions)


def _draw_message() -> None:
    """Draw the message of the last click, after the page was drawn again."""
    if message := st.session_state.pop("versions message", ""):
        st.success(shell.escape_markdown(message), icon=":material/check:")


# -- history ----------------------------------------------------------------------------------------------------


def _draw_history(store: Store, version: Version, versions: Sequence[Version]) -> None:
    """Draw all versions, newest first, and the settings and tags of the chosen one."""
    tags = store.tags(version.name)
    rows = [
        {
            "version": f"{one.number}", "tags": ", ".join(name for name, at in tags.items() if at == one.number),
            "operation": one.operation, "parents": ", ".join(parent.split("#")[0] for parent in one.parents),
            "created (UTC)": one.created[:16].replace("T", " "), "rows": one.rows,
            **{name: one.ledger.get(name, 0) for name in STATUSES}, "content hash": one.content_hash[:12],
        }
        for one in reversed(versions)
    ]  # fmt: skip
    number = st.column_config.NumberColumn(format="localized")
    columns = dict.fromkeys(("rows", *STATUSES), number) | {"tags": st.column_config.TextColumn(width="medium")}
    st.dataframe(rows, hide_index=True, width="stretch", column_config=columns)
    left, right = st.columns(2)
    with left.container(border=True):
        st.markdown(f"**Origin of {shell.escape_markdown(version.ref)}**")
        origin = {
            "operation": version.operation,
            "seed": version.seed,
            "parents": list(version.parents),
            "parameters": dict(version.parameters),
        }
        st.code(json.dumps(origin, indent=2, ensure_ascii=False), "json", height=300)
    with right.container(border=True):
        st.markdown(f"**Tag {shell.escape_markdown(version.ref)}**")
        st.caption("A tag names a version, such as curated. A tag can move to another version; versions never change.")
        with st.form("tag", border=False, clear_on_submit=True):
            name = st.text_input("Tag", placeholder="curated").strip()
            asked = st.form_submit_button("Set the tag", icon=":material/sell:")
        if asked:
            with shell.show_errors():
                _set_tag(store, version, name, tags.get(name))
    _draw_message()


def _set_tag(store: Store, version: Version, name: str, before: int | None) -> None:
    store.tag(version.ref, name)
    moved = f" (it was at {version.name}@{before})" if before not in (None, version.number) else ""
    st.session_state["versions message"] = f"Tag {name} → {version.ref}{moved}"
    st.rerun()


# -- export -----------------------------------------------------------------------------------------------------


def _draw_export(store: Store, version: Version) -> None:
    """Draw the form that writes a version for other programs, to the workspace's folder `exports`."""
    st.markdown(f"Write **{shell.escape_markdown(version.ref)}** for other programs, to a new folder in the workspace.")
    formats = list(FORMATS)
    format_ = st.segmented_control("Format", formats, default=formats[0], required=True) or formats[0]
    st.caption(
        "labels.csv: all rows and columns as one flat table."
        if format_ == "csv"
        else "train.csv and images/ as in the competition, and a ledger of rows written or left out, with the reason."
    )
    link = format_ != "csv" and st.toggle(
        "Link instead of copy", help="Saves disk space. A change to a link is a change to the photo."
    )
    name = st.text_input("Folder", value=f"{version.name}-{version.number}-{format_}", width=340).strip()
    if st.button("Export", type="primary", icon=":material/output:"):
        with shell.show_errors():
            if not _FOLDER.fullmatch(name):
                raise ManifestError(
                    f"a folder's name is letters, digits, spaces, '.', '_' and '-'. Got {name!r} instead."
                )
            out = store.workspace / "exports" / name
            arguments = ["data_manifests", "export", version.ref, "--format", format_, "--out", str(out.absolute())]
            with st.spinner("Writing …"):
                output = shell.run_command(store, *arguments, *(["--link"] if link else []))
            st.success(shell.escape_markdown(f"Written to {out}"), icon=":material/check:")
            st.code(
                "\n".join(line for line in output.splitlines() if not line.startswith("next: ")), None, wrap_lines=True
            )
