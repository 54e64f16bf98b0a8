"""The annotations in all logs of a manifest, read once for all sessions and again when a log has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from data_manifests.agreement import SIGNATURE, AnnotatedLabel, annotated_labels, read_sources
from data_manifests.corrections import read_corrections
from data_manifests.errors import CorrectionError
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store

FileState = tuple[str, int, int]  # path, time of the last change (ns), size (bytes)


@dataclass(frozen=True)
class AnnotationSet:
    """The annotations of several annotators.

    `records` is the number of records that were read. `problems` are files and lines that were skipped, each with what
    to do about it.
    """

    labels: list[AnnotatedLabel]
    cuts: AgeCuts
    annotators: list[str]
    records: int
    problems: list[str]
    files: tuple[FileState, ...]


def read_annotation_set(store: Store, paths: Sequence[Path], cuts: AgeCuts) -> AnnotationSet:
    """Return the annotations in some logs. `cuts` are used if no version that the records name can be read.

    Raises CorrectionError if the records were made under different age cuts.
    """
    return _read_annotation_set(str(store.workspace), file_states(paths), cuts)


def file_states(paths: Sequence[Path]) -> tuple[FileState, ...]:
    """Return a value that changes when one of the files does; missing files are skipped."""
    found = []
    for path in paths:
        try:
            state = path.stat()
        except OSError:
            continue
        found.append((str(path), state.st_mtime_ns, state.st_size))
    return tuple(found)


def annotators_in(path: Path) -> tuple[list[str], list[str]]:
    """Return the annotators whose records a file holds, and its problems if it is not a correction log."""
    found = file_states([path])
    return _annotators_in(*found[0]) if found else ([], [f"{path} no longer exists."])


def _read_logs(paths: Sequence[Path]) -> tuple[pa.Table, list[str]]:
    """Return the records of all logs, and the problems of files that are not logs."""
    valid, problems = [], []
    for path in paths:
        try:
            read_corrections([path])
            valid.append(path)
        except CorrectionError as error:
            problems.append(f"{error} Repair it, or move it out of {path.parent}.")
    return read_corrections(valid), problems


@st.cache_data(max_entries=200, show_spinner=False)
def _annotators_in(file: str, changed: int, size: int) -> tuple[list[str], list[str]]:
    corrections, problems = _read_logs([Path(file)])
    return sorted(name for name in corrections["annotator"].unique().to_pylist() if name), problems


@st.cache_resource(max_entries=4, show_spinner="Reading the logs …")
def _read_annotation_set(workspace: str, files: tuple[FileState, ...], cuts: AgeCuts) -> AnnotationSet:
    corrections, problems = _read_logs([Path(file) for file, _, _ in files])
    is_consensus = pc.starts_with(corrections["annotator"], SIGNATURE)
    broken = corrections.filter(pc.not_equal(corrections["problem"], ""))
    for row in broken.to_pylist():
        problems.append(f"{row['file']} line {row['line']}: {row['problem']} Repair or delete the line; it is skipped.")
    corrections = corrections.filter(pc.invert(is_consensus))
    sources, found_cuts = read_sources(Store(Path(workspace)), corrections)
    labels = annotated_labels(corrections, sources)
    names = sorted({name for label in labels for name in (*label.annotations, *label.adjudications)})
    return AnnotationSet(labels, found_cuts or cuts, names, corrections.num_rows, problems, files)
