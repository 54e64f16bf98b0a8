"""The logs of a manifest as several annotators' words: read once for all sessions, again when a log has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from data_manifests.agreement import SIGNATURE, Unit, find_units, read_sources
from data_manifests.corrections import read_corrections
from data_manifests.errors import CorrectionError
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store

Stamp = tuple[str, int, int]  # a file, when it was written (ns), its bytes


@dataclass(frozen=True)
class Judged:
    """What annotators said. `problems` are files and lines that are left out, each with what to do about it."""

    units: list[Unit]
    cuts: AgeCuts
    annotators: list[str]
    records: int
    problems: list[str]
    files: tuple[Stamp, ...]


def read_logs(paths: Sequence[Path]) -> tuple[pa.Table, list[str]]:
    """Logs → their records, and what is wrong with files that are no logs; the other files are read all the same."""
    sound, problems = [], []
    for path in paths:
        try:
            read_corrections([path])
            sound.append(path)
        except CorrectionError as error:
            problems.append(f"{error} Repair it, or move it out of {path.parent}.")
    return read_corrections(sound), problems


def judged(store: Store, paths: Sequence[Path], cuts: AgeCuts) -> Judged:
    """The words in some logs. `cuts` hold where no version that the records name can be read.

    Raises CorrectionError if the records were made under different age cuts.
    """
    return _judged(str(store.workspace), stamps(paths), cuts)


def stamps(paths: Sequence[Path]) -> tuple[Stamp, ...]:
    """What changes when one of the files does; files that are gone are left out."""
    found = []
    for path in paths:
        try:
            about = path.stat()
        except OSError:
            continue
        found.append((str(path), about.st_mtime_ns, about.st_size))
    return tuple(found)


def signers(path: Path) -> tuple[list[str], list[str]]:
    """Whose records a file holds, and what is wrong with it if it is no log."""
    found = stamps([path])
    return _signers(*found[0]) if found else ([], [f"{path} is gone."])


@st.cache_data(max_entries=200, show_spinner=False)
def _signers(file: str, written: int, length: int) -> tuple[list[str], list[str]]:
    corrections, problems = read_logs([Path(file)])
    return sorted(name for name in corrections["annotator"].unique().to_pylist() if name), problems


@st.cache_resource(max_entries=4, show_spinner="Reading the logs …")
def _judged(workspace: str, files: tuple[Stamp, ...], cuts: AgeCuts) -> Judged:
    corrections, problems = read_logs([Path(file) for file, _, _ in files])
    signed = pc.starts_with(corrections["annotator"], SIGNATURE)
    broken = corrections.filter(pc.not_equal(corrections["problem"], ""))
    for row in broken.to_pylist():
        problems.append(
            f"{row['file']} line {row['line']}: {row['problem']} Repair or delete the line; it is left out."
        )
    corrections = corrections.filter(pc.invert(signed))
    sources, seen = read_sources(Store(Path(workspace)), corrections)
    units = find_units(corrections, sources)
    names = sorted({name for unit in units for name in (*unit.words, *unit.decisions)})
    return Judged(units, seen or cuts, names, corrections.num_rows, problems, files)
