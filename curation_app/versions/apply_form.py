"""The form that applies corrections: the logs to take, a preview, the next version and the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import streamlit as st

from curation_app import shell
from curation_app.annotations import annotators_in, log_paths
from data_manifests.corrections import OUTCOMES
from data_manifests.versions import Store, Version

_MAX_OPEN = 500  # corrections listed; the report has all
_OUTCOME_HELP = {
    "applied": "The row was changed.",
    "already": "The row had this value already.",
    "superseded": "The annotator replaced it by a later annotation.",
    "conflict": "Annotators differ: the row is unchanged.",
    "unplaced": "It matches no row of this version.",
    "noted": "It is a note, with nothing to apply.",
}
assert tuple(_OUTCOME_HELP) == OUTCOMES


@dataclass(frozen=True)
class ApplyResult:
    """The outcome of the corrections: how many of each kind, and the first ones that were not applied."""

    title: str
    counts: dict[str, int]
    open: list[dict[str, Any]]
    file: Path


def draw_apply_form(store: Store, version: Version) -> None:
    """Draw the form, and the result of the last preview."""
    logs = log_paths(store, version)
    consensus = sorted((store.workspace / "consensus" / version.name).glob("[!.]*.csv"))
    if not logs and not consensus:
        name = shell.escape_markdown(version.name)
        st.info(f"{name} has no corrections yet. Make some on the Review and Grid pages.")
        return
    st.markdown(
        f"Apply corrections to **{shell.escape_markdown(version.ref)}** to make the next version. "
        "Conflicts are reported and left open."
    )
    chosen = _choose_logs(logs, consensus)
    seed = st.number_input(
        "Seed", 0, 2**31 - 1, 0, width=160, help="Draws an age for each correction that names an age class."
    )
    with st.container(horizontal=True):
        preview = st.button("Preview", icon=":material/preview:", disabled=not chosen)
        write = st.button("Make the next version", type="primary", icon=":material/save:", disabled=not chosen)
    if preview or write:
        st.session_state.pop("apply result", None)
        with shell.show_errors(), st.spinner("Applying …"):
            _apply(store, version, chosen, int(seed), write=write)
    if result := st.session_state.get("apply result"):
        _draw_result(result)


def _choose_logs(logs: Sequence[Path], consensus: Sequence[Path]) -> list[Path]:
    """Draw the choice between annotators' logs and a consensus of them. Files that are not logs are left out."""
    kinds = {"Annotators’ logs": logs, "A consensus": consensus}
    kinds = {name: files for name, files in kinds.items() if files}
    kind = st.segmented_control("Apply", list(kinds), default=next(iter(kinds)), required=True)
    files = {}
    for file in kinds[str(kind)]:
        names, problems = annotators_in(file)
        for problem in problems:
            st.warning(shell.escape_markdown(problem), icon=":material/rule:")
        if not problems:
            files[", ".join(names) or file.stem] = file
    if kinds[str(kind)] is consensus:
        chosen = st.selectbox("Consensus", list(files), width=340)
        return [files[chosen]] if chosen else []
    annotators = st.multiselect(
        "Annotators", list(files), default=list(files), help="A correction is applied if the chosen annotators agree."
    )
    return [files[name] for name in annotators]


def _apply(store: Store, version: Version, files: Sequence[Path], seed: int, *, write: bool) -> None:
    report = store.workspace / "reports" / f"apply-{version.name}-{version.number}.csv"
    arguments = ["data_manifests", "apply", version.ref, *(str(file.absolute()) for file in files)]
    arguments += ["--seed", str(seed), "--report", str(report.absolute()), "--limit", str(_MAX_OPEN)]
    found = shell.run_json_command(store, *arguments, *([] if write else ["--dry-run"]))
    changed = found["rows_changed"]
    rows = f"{changed:,} row{'s' * (changed != 1)}"
    title = f"{rows} changed" if write else f"{rows} would change"
    st.session_state["apply result"] = ApplyResult(title, found["counts"], found["open"], report)
    if write:
        message = f"{found['ref']} was written: {title}." if found["is_new"] else "No row changes: nothing was written."
        st.session_state["ref"] = found["ref"]
        st.session_state["versions message"] = message
        st.rerun()


def _draw_result(result: ApplyResult) -> None:
    st.subheader(f"Report: {result.title}")
    for column, (name, help_) in zip(st.columns(len(_OUTCOME_HELP)), _OUTCOME_HELP.items(), strict=True):
        column.metric(name, f"{result.counts.get(name, 0):,}", help=help_, border=True)
    if result.open:
        st.markdown("**Not applied.** Settle conflicts between annotators on the Agreement page.")
        columns = ("outcome", "annotator", "field", "person_id", "sample_id", "detail", "file", "line")
        rows = [{name: unquote(row[name]) if name == "file" else row[name] for name in columns} for row in result.open]
        st.dataframe(rows, hide_index=True, width="stretch")
    if result.file.exists():
        st.download_button(
            "Save the whole report", result.file.read_bytes(), result.file.name, "text/csv",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
