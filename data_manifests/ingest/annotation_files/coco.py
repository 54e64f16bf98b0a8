"""Layout `coco`: JSON files with images, annotations and categories, as COCO, CVAT and Roboflow write them."""

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
from data_manifests.ingest.annotation_files.match_files import FileMatcher
from data_manifests.ingest.label_words import (
    AMBIGUOUS_AGE,
    age_range,
    labels_in_name,
    split_of_file,
    words_of,
)
from data_manifests.ingest.photo_rows import detect_hint, walk_images
from data_manifests.ingest.records import PATH, Record
from data_manifests.taxonomy import MAX_AGE, MIN_AGE, AgeCuts

CATEGORY = "category"  # the column of category names that are no labels
_OF_ANNOTATION = ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation", "keypoints",
                  "num_keypoints", "attributes", "ignore", "score")  # fmt: skip
_OF_IMAGE = ("id", "file_name", "width", "height", "license", "coco_url", "flickr_url", "date_captured")


def ingest_coco(
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
    """Read the images of COCO files, with labels from category names and attributes; one row per image.

    annotations: the file, relative to `source`; by default every COCO file below it. A category gives the labels in
    its name (`with_mask`, `male 30-59`), any other is kept as `x_category`. Attributes of annotations and images are
    columns, guessed or given by `columns` and `words` as for the layout table. Photos are found by the end of their
    path. Several faces in an image with equal labels give a remark, with different labels a failed row. The split
    comes from the file or a folder (`instances_val.json`, `valid/`). mask: label of photos without one.
    """
    listing = read_coco(source, cuts, annotations)
    if not listing.records:
        raise ManifestError(
            "layout 'coco' must have a JSON file with images, annotations and categories. "
            f"{str(source)!r} has none; {detect_hint(source)}"
        )
    return ingest_listing(listing, source, root_name, cuts, columns=columns, words=words, mask=mask, cache=cache)


def is_coco(content: Any) -> bool:
    """Return whether the content of a JSON file has the three lists of COCO."""
    return isinstance(content, dict) and all(
        isinstance(content.get(name), list) for name in ("images", "annotations", "categories")
    )


def read_coco(source: Path, cuts: AgeCuts, annotations: str | None = None) -> Listing:
    """Return the images of one COCO file, or of all below a folder. Raises ManifestError if it is not COCO."""
    listing = Listing()
    contents: dict[Path, Any] = {}
    for path in [source / annotations] if annotations else find_files(source, (".json",)):
        try:
            contents[path] = read_json(path)
        except ManifestError:
            if annotations:
                raise
    if annotations and not is_coco(contents[source / annotations]):
        raise ManifestError(f"{annotations!r} must have the lists images, annotations and categories.")
    found = {path: content for path, content in contents.items() if is_coco(content)}
    matcher = FileMatcher(walk_images(source)[0]) if found else FileMatcher([])
    for path, content in found.items():
        name = path.relative_to(source).as_posix()
        listing.files.append(name)
        at = f" of {name}" if len(found) > 1 else ""
        for record in _records(content, matcher, name, at, cuts):
            listing.records.append(record)
            listing.found += not record.problems
    return listing


def _records(content: Any, matcher: FileMatcher, name: str, at: str, cuts: AgeCuts) -> Iterator[Record]:
    categories = {
        as_text(one.get("id")): as_text(one.get("name")) for one in content["categories"] if isinstance(one, dict)
    }
    is_bare = any(labels_in_name(text, cuts).get("mask") in ("none", "incorrect") for text in categories.values())
    labels = {
        key: {} if text.isdigit() else labels_in_name(text, cuts, has_bare_mask=is_bare)
        for key, text in categories.items()
    }
    of_image: dict[str, list[dict[str, Any]]] = {}
    for one in content["annotations"]:
        if isinstance(one, dict):
            of_image.setdefault(as_text(one.get("image_id")), []).append(one)
    for number, image in enumerate(content["images"], 1):
        if not isinstance(image, dict):
            continue
        own = of_image.get(as_text(image.get("id")), [])
        values: dict[str, list[str]] = {key: [as_text(value)] for key, value in image.items() if key not in _OF_IMAGE}
        for one in own:
            for key, text in _values(one, categories, labels, cuts).items():
                values.setdefault(key, []).append(text)
        merged, conflicts = merge_values(values)
        place = f"image {number}{at}"
        path, problem = matcher.match(as_text(image.get("file_name")), name.rpartition("/")[0])
        merged[PATH] = path
        faces = len({as_text(one.get("bbox")) for one in own})
        remarks = [] if own else [f"no annotation in {place}"]
        remarks += [f"{faces} faces are annotated in {place}"] if faces > 1 else []
        yield Record(
            place,
            merged,
            problems=(f"{problem} in {place}",) if problem else (),
            remarks=tuple(remarks),
            conflicts=conflicts,
            split=split_of_file(name),
        )


def _values(
    annotation: dict[str, Any],
    categories: Mapping[str, str],
    labels: Mapping[str, Mapping[str, str | int]],
    cuts: AgeCuts,
) -> dict[str, str]:
    """Return the labels and attributes of one annotation by column."""
    key = as_text(annotation.get("category_id"))
    values: dict[str, str] = {}
    for name, label in labels.get(key, {}).items():
        values[name] = _age_text(categories[key], int(label), cuts) if name == "age_class" else str(label)
    if not values and categories.get(key):
        values[CATEGORY] = categories[key]
    attributes = annotation.get("attributes")
    for name, value in (attributes if isinstance(attributes, dict) else {}).items():
        values[str(name)] = as_text(value)
    return values | {str(name): as_text(value) for name, value in annotation.items() if name not in _OF_ANNOTATION}


def _age_text(category: str, age_class: int, cuts: AgeCuts) -> str:
    """Return a range of ages as a column would give it; for one in two age classes, the words of the category."""
    if age_class != AMBIGUOUS_AGE:
        return cuts.names[age_class]
    ranges = [word for word in words_of(category) if age_range(word)]
    return ranges[0] if ranges else f"{MIN_AGE}-{MAX_AGE}"
