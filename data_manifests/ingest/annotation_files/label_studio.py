"""Layout `label_studio`: the exports JSON and JSON_MIN of Label Studio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_manifests.errors import ManifestError
from data_manifests.ingest.annotation_files.listing import (
    Listing,
    as_text,
    find_files,
    ingest_listing,
    merge_values,
    read_json,
)
from data_manifests.ingest.annotation_files.match_files import FileMatcher, path_of_address
from data_manifests.ingest.photo_rows import detect_hint, walk_images
from data_manifests.ingest.records import PATH, Record
from data_manifests.photo_files import is_image_name
from data_manifests.taxonomy import AgeCuts

_OF_EXPORT = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement")  # of JSON_MIN
_SHAPES = ("x", "y", "width", "height", "rotation", "original_width", "original_height", "points", "format", "rle")


def ingest_label_studio(
    source: Path,
    *,
    root_name: str,
    cuts: AgeCuts,
    annotations: str | None = None,
    columns: Mapping[str, str] | None = None,
    words: Mapping[tuple[str, str], str] | None = None,
    mask: str | None = None,
    cache: Path | None = None,
) -> pa.Table:
    """Read the tasks of a Label Studio export, one row per task.

    annotations: the file, relative to `source`; by default every export below it. Each control tag (`from_name`) and
    each further value of the task's data is a column, guessed or given by `columns` and `words` as for the layout
    table. Annotations that agree give the label; different ones fail the row; cancelled ones are skipped, and a task
    without any gets a remark. Addresses such as `/data/upload/1/1a2b3c4d-a.jpg` and `/data/local-files/?d=faces/a.jpg`
    mean the photo below `source` with the same end of its path. mask: label of photos without one.
    """
    listing = read_label_studio(source, annotations)
    if not listing.records:
        raise ManifestError(
            "layout 'label_studio' must have a JSON or JSON_MIN export. "
            f"{str(source)!r} has none; {detect_hint(source)}"
        )
    return ingest_listing(listing, source, root_name, cuts, columns=columns, words=words, mask=mask, cache=cache)


def is_label_studio(content: Any) -> bool:
    """Return whether the content of a JSON file is a list of tasks, in full or as JSON_MIN."""
    if not isinstance(content, list) or not content or not all(isinstance(one, dict) for one in content):
        return False
    if isinstance(content[0].get("data"), dict):
        return "annotations" in content[0] or "completions" in content[0]
    return "annotation_id" in content[0] and any(_image_of(one) for one in content)


def read_label_studio(source: Path, annotations: str | None = None) -> Listing:
    """Return the tasks of one export, or of all below a folder. Raises ManifestError for a file that is none."""
    listing = Listing()
    exports: dict[str, list[dict[str, Any]]] = {}
    for path in [source / annotations] if annotations else find_files(source, (".json",)):
        try:
            content = read_json(path)
        except ManifestError:
            if annotations:
                raise
            continue
        if is_label_studio(content):
            exports[path.relative_to(source).as_posix()] = content
        elif annotations:
            raise ManifestError(
                f"{annotations!r} must be a list of tasks, exported from Label Studio as JSON or JSON_MIN."
            )
    matcher = FileMatcher(walk_images(source)[0]) if exports else FileMatcher([])
    for name, content in exports.items():
        listing.files.append(name)
        at = f" of {name}" if len(exports) > 1 else ""
        for address, key, values, notes in _tasks(content):
            place = f"task {key}{at}"
            photo, problem = matcher.match(address, name.rpartition("/")[0])
            merged, conflicts = merge_values(values)
            merged[PATH] = photo
            problems = (f"{problem} in {place}",) if problem else ()
            listing.found += not problem
            remarks = tuple(f"{text} in {place}" for text in notes)
            listing.records.append(Record(place, merged, problems, remarks, conflicts))
    return listing


def _tasks(content: list[dict[str, Any]]) -> Iterator[tuple[str, str, dict[str, list[str]], list[str]]]:
    """Yield address, id, values by column and remarks of each task."""
    rows: dict[str, tuple[str, dict[str, list[str]], list[str]]] = {}
    for number, task in enumerate(content, 1):
        key = as_text(task.get("id")) or str(number)
        is_full = isinstance(task.get("data"), dict)
        data = task["data"] if is_full else {name: value for name, value in task.items() if name not in _OF_EXPORT}
        image = _image_of(data)
        # JSON_MIN has one entry per annotation, so those of one task are put together.
        _, values, remarks = rows.setdefault(key, (as_text(data.get(image)) if image else "", {}, []))
        for name, value in data.items():
            if name != image:
                values.setdefault(name, []).extend(_texts(value))
        if is_full:
            listed = _objects(task.get("annotations") or task.get("completions"))
            done = [one for one in listed if not one.get("was_cancelled")]
            remarks += [] if done else ["no annotation"]
            for one in (result for annotation in done for result in _objects(annotation.get("result"))):
                if one.get("type") not in ("relation", "keypointlabels"):
                    values.setdefault(as_text(one.get("from_name")), []).extend(_texts(one.get("value")))
    for key, (address, values, remarks) in rows.items():
        yield address, key, values, remarks


def _objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a JSON list; none if the file has another value there."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _image_of(data: Mapping[str, Any]) -> str | None:
    """Return the key of the photo's address in the data of a task."""
    names = [name for name, value in data.items() if isinstance(value, str)]
    return next((name for name in names if is_image_name(_file_name(data[name]))), None)


def _file_name(address: str) -> str:
    """Return the file name at the end of an address."""
    return path_of_address(address).rpartition("/")[2]


def _texts(value: Any) -> list[str]:
    """Return the labels in a value: of choices, numbers, texts, and regions with labels."""
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    if isinstance(value, dict):
        return [text for name, one in value.items() if name not in _SHAPES for text in _texts(one)]
    return [as_text(value)] if value is not None else []
