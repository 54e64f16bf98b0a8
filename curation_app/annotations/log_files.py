"""The correction logs that the app writes: one per annotator, WORKSPACE/corrections/MANIFEST/NAME.csv."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from data_manifests.corrections import CLASS_PREFIX, UNSURE, Correction, is_excluded_by_correction
from data_manifests.versions import Store, Version


def log_folder(store: Store, version: Version) -> Path:
    """Return the folder of all logs of a manifest; its versions share it."""
    return store.workspace / "corrections" / version.name


def log_path(store: Store, version: Version, annotator: str) -> Path:
    """Return an annotator's own log. Different names never share a file, also on file systems that ignore case."""
    plain = quote(annotator.casefold(), safe=" ")
    if annotator != annotator.casefold():  # "Kim" and "kim" may be two people
        plain += "." + "".join("1" if letter != letter.casefold() else "0" for letter in annotator)
    return log_folder(store, version) / f"{plain}.csv"


def log_paths(store: Store, version: Version) -> list[Path]:
    """Return all logs of a manifest."""
    return sorted(log_folder(store, version).glob("[!.]*.csv"))


def value_of(row: Mapping[str, Any], field: str) -> str:
    """Return a row's label as the log writes it; empty without a label.

    An age is `class:k` where only the class is known; `exclude` is true for a row that a correction excluded.
    """
    if field == "exclude":
        return "true" if is_excluded_by_correction(row) else "false"
    if field == "age" and row["age"] is None and row["age_class"] is not None:
        return f"{CLASS_PREFIX}{row['age_class']}"
    return "" if row[field] is None else str(row[field])


def correction(
    version: Version,
    row: Mapping[str, Any],
    field: str,
    new: str,
    annotator: str,
    *,
    person: bool = False,
    note: str = "",
) -> Correction:
    """Return a record about a row as shown on the page; with `person` it is about all of the person's photos.

    `new` equal to the row's value confirms the label.
    """
    return Correction(
        manifest=version.pinned,
        sample_id=row["sample_id"],
        person_id=row["person_id"],
        scope="person" if person else "sample",
        field=field,
        old="false" if field == UNSURE else value_of(row, field),
        new=new,
        annotator=annotator,
        note=note,
        image_sha256=row["sha256"] or "",
    )
