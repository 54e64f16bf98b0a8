"""Where the desk writes: one correction log per annotator, WORKSPACE/corrections/MANIFEST/NAME.csv."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from data_manifests.corrections import CLASS_PREFIX, EXCLUDED_BY, Correction
from data_manifests.versions import Store, Version


def folder(store: Store, version: Version) -> Path:
    """The folder of all logs about a manifest, whatever version they were made on."""
    return store.workspace / "corrections" / version.name


def path_of(store: Store, version: Version, annotator: str) -> Path:
    """An annotator's own log. Different names never share a file, also on disks that ignore case."""
    plain = quote(annotator.casefold(), safe=" ")
    if annotator != annotator.casefold():  # "Kim" and "kim" may be two people
        plain += "." + "".join("1" if letter != letter.casefold() else "0" for letter in annotator)
    return folder(store, version) / f"{plain}.csv"


def paths(store: Store, version: Version) -> list[Path]:
    """All logs about a manifest."""
    return sorted(folder(store, version).glob("[!.]*.csv"))


def value_of(row: Mapping[str, Any], field: str) -> str:
    """A row's label as the log writes it: an age, or where only the class is known `class:k`; empty without a label."""
    if field == "exclude":
        by_a_correction = row["status"] == "excluded" and EXCLUDED_BY in (row["reason"] or "")
        return "true" if by_a_correction else "false"
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
    """A record about a row as it stands on the screen; `person` makes it count for all of the person's photos.

    `new` equal to the row's value says that the label was looked at and is right.
    """
    return Correction(
        manifest=version.pinned,
        sample_id=row["sample_id"],
        person_id=row["person_id"],
        scope="person" if person else "sample",
        field=field,
        old="false" if field == "unsure" else value_of(row, field),
        new=new,
        annotator=annotator,
        note=note,
        image_sha256=row["sha256"] or "",
    )
