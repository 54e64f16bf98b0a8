"""Corrections applied from the page: which logs, what they would do, the next version and the report."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import streamlit as st

from curation_app import shell
from curation_app.annotations import log, signers
from curation_app.shell import run_command
from data_manifests.corrections import OUTCOMES
from data_manifests.versions import Store, Version

_MOST = 500  # open corrections that are listed; the file has all
_MEANS = {
    "applied": "rows changed",
    "already": "rows had the value",
    "superseded": "said otherwise later",
    "conflict": "nothing was done",
    "unplaced": "nothing was done",
    "noted": "nothing to do",
}
assert tuple(_MEANS) == OUTCOMES


@dataclass(frozen=True)
class Report:
    """What became of the corrections: how many of each outcome, and those that were not applied."""

    title: str
    counts: Counter[str]
    open: list[dict[str, str]]
    file: Path


def application(store: Store, version: Version) -> None:
    """Choose logs, see what they would do, make the next version."""
    own = log.paths(store, version)
    made = sorted((store.workspace / "consensus" / version.name).glob("[!.]*.csv"))
    if not own and not made:
        st.info(
            f"Nobody has corrected {shell.escape_markdown(version.name)} yet; that is done on the Review and Grid pages."
        )
        return
    st.markdown(
        f"Corrections applied to **{shell.escape_markdown(version.ref)}** make the next version. "
        "Conflicts are told, never guessed."
    )
    chosen = _choose(own, made)
    seed = st.number_input("Seed", 0, 2**31 - 1, 0, width=160, help="Draws the ages of corrections that name a class.")
    with st.container(horizontal=True):
        tried = st.button("See what they would do", icon=":material/preview:", disabled=not chosen)
        write = st.button("Make the next version", type="primary", icon=":material/save:", disabled=not chosen)
    if tried or write:
        st.session_state.pop("apply report", None)
        with shell.show_errors(), st.spinner("Applying …"):
            _run(store, version, chosen, int(seed), write=write)
    if report := st.session_state.get("apply report"):
        _show(report)


def _choose(own: Sequence[Path], made: Sequence[Path]) -> list[Path]:
    """Annotators' logs or a consensus of them; files that are no logs are told and left out."""
    kinds = {"Annotators’ logs": own, "A consensus of them": made}
    kinds = {name: files for name, files in kinds.items() if files}
    kind = st.segmented_control("Take", list(kinds), default=next(iter(kinds)), required=True)
    files = {}
    for file in kinds[str(kind)]:
        names, problems = signers(file)
        for problem in problems:
            st.warning(shell.escape_markdown(problem), icon=":material/rule:")
        if not problems:
            files[", ".join(names) or file.stem] = file
    if kinds[str(kind)] is made:
        which = st.selectbox("Which", list(files), width=340)
        return [files[which]] if which else []
    whose = st.multiselect("Whose", list(files), default=list(files), help="Annotators must agree to be applied.")
    return [files[name] for name in whose]


def _run(store: Store, version: Version, files: Sequence[Path], seed: int, *, write: bool) -> None:
    out = store.workspace / "reports" / f"apply-{version.name}-{version.number}.csv"
    words = ["data_manifests", "apply", version.ref, *(str(file.absolute()) for file in files), "--seed", str(seed)]
    told = run_command(store, *words, "--report", str(out.absolute()), *([] if write else ["--dry-run"]))
    changed = next(line for line in told.splitlines() if line.endswith("rows changed")).rpartition("; ")[2]
    st.session_state["apply report"] = _read(out, changed if write else changed.replace("rows", "rows would be"))
    if write:
        written = told.splitlines()[-1].partition(":")[0]  # the ledger's line begins with the version
        news = (
            f"{written} was written: {changed}." if written != version.ref else "No row changes: nothing was written."
        )
        st.session_state["ref"] = written
        st.session_state["versions told"] = news
        st.rerun()


def _read(file: Path, title: str) -> Report:
    counts: Counter[str] = Counter()
    open_: list[dict[str, str]] = []
    with file.open(encoding="utf8", newline="") as lines:
        for row in csv.DictReader(lines):
            counts[row["outcome"]] += 1
            if row["outcome"] in ("conflict", "unplaced") and len(open_) < _MOST:
                open_.append(row)
    return Report(title, counts, open_, file)


def _show(report: Report) -> None:
    """What became of each correction."""
    st.subheader(f"The report: {report.title}")
    for column, (name, meaning) in zip(st.columns(len(_MEANS)), _MEANS.items(), strict=True):
        count = f"{report.counts[name]:,}"
        column.metric(name, count, help=meaning, border=True)
    if report.open:
        st.markdown("**Not applied.** Where annotators differ, somebody settles it on the Agreement page.")
        columns = ("outcome", "annotator", "field", "person_id", "sample_id", "detail", "file", "line")
        rows = [{name: unquote(row[name]) if name == "file" else row[name] for name in columns} for row in report.open]
        st.dataframe(rows, hide_index=True, width="stretch")
    if report.file.exists():
        st.download_button(
            "Save the whole report", report.file.read_bytes(), report.file.name, "text/csv",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
