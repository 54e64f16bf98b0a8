"""The lineage of rows back to their photos."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from data_manifests.errors import ManifestError
from data_manifests.inspect.lineage import lineage, lineage_lines
from data_manifests.schema import conform
from data_manifests.versions.metadata import Version
from data_manifests.versions.store import Store


def row(sample_id: str, **values: Any) -> dict[str, Any]:
    base = {"source_id": sample_id, "root": "r", "path": f"{sample_id}.jpg", "person_id": "p", "profile_id": "p"}
    state = {"gender": "male", "status": "ok", "reason": None, "parent_id": None, "is_synthetic": False}
    return {"sample_id": sample_id, **base, **state, **values}


def write(store: Store, operation: str, rows: list[dict[str, Any]], *parents: Version) -> Version:
    return store.write("faces", conform(pa.Table.from_pylist(rows)), operation, parents=parents)


@pytest.fixture
def crop(store: Store) -> Version:
    """Photos, one relabelled, crops of them, and synthetic images, one with a parent that is in no version."""
    photos = write(store, "ingest", [row("a"), row("b")])
    fixed = write(store, "apply", [row("a", gender="female"), row("b")], photos)
    crops = [
        row("ca", source_id="a", parent_id="a", gender="female", status="fallback", reason="crop: no face"),
        row("cb", source_id="b", parent_id="b"),
    ]
    cropped = write(store, "preprocess", crops, fixed)
    synthetic = [
        row("s", source_id="a", parent_id="ca", is_synthetic=True),
        row("t", source_id="a", parent_id="s", is_synthetic=True),
        row("u", source_id="b", parent_id="not kept", is_synthetic=True),
    ]
    return write(store, "synth", [*crops, *synthetic], cropped)


def walk(store: Store, ref: str, sample_id: str) -> list[tuple[str, str, bool]]:
    return [(step.version.ref, step.row["sample_id"], step.is_new_image) for step in lineage(store, ref, sample_id)]


def test_a_crop_leads_back_to_its_photo(store: Store, crop: Version) -> None:
    assert walk(store, crop.ref, "ca") == [
        ("faces@4", "ca", False),
        ("faces@3", "ca", True),
        ("faces@2", "a", False),
        ("faces@1", "a", True),
    ]
    changes = [dict(step.changes) for step in lineage(store, "faces", "ca")]
    assert changes == [
        {},
        {"status": ("ok", "fallback"), "reason": (None, "crop: no face")},
        {"gender": ("male", "female")},
        {},
    ]


def test_an_image_made_from_one_of_the_same_version(store: Store, crop: Version) -> None:
    assert [step[:2] for step in walk(store, "faces@4", "t")] == [
        ("faces@4", "t"),
        ("faces@4", "s"),
        ("faces@3", "ca"),
        ("faces@2", "a"),
        ("faces@1", "a"),
    ]


def test_an_image_whose_parent_is_in_no_version_is_followed_by_its_photo(store: Store, crop: Version) -> None:
    assert [step[:2] for step in walk(store, "faces@4", "u")] == [("faces@4", "u"), ("faces@2", "b"), ("faces@1", "b")]
    other = Store(store.workspace / "other")
    write(other, "synth", [row("a", parent_id="gone", source_id="gone too")])
    with pytest.raises(ManifestError, match="neither parent nor photo of sample 'a' is in faces or a version before"):
        lineage(other, "faces", "a")


def test_lines_list_the_steps(store: Store, crop: Version) -> None:
    lines = lineage_lines(lineage(store, "faces@3", "ca"))
    assert lines == [
        "faces@3  preprocess: image made, r/ca.jpg (ca)",
        "    status: ok → fallback",
        "    reason: empty → crop: no face",
        "faces@2  apply: row kept, r/a.jpg (a)",
        "    gender: male → female",
        "faces@1  ingest: photo, r/a.jpg (a)",
    ]


def test_errors_name_the_sample_and_the_version(store: Store, crop: Version) -> None:
    with pytest.raises(ManifestError, match="sample 'zz' is not in faces@2"):
        lineage(store, "faces@2", "zz")
    store.resolve("faces@1").unlink()
    with pytest.raises(ManifestError, match="'faces@1' is not a version"):
        lineage(store, "faces@2", "a")


def test_a_parent_with_other_content_is_refused(store: Store) -> None:
    first = write(store, "ingest", [row("a")])
    second = write(store, "apply", [row("a", gender="female")], first)
    path = store.resolve(first.ref)
    path.unlink()
    write(store, "ingest", [row("b")])  # takes number 3
    path.write_bytes(store.resolve("faces@3").read_bytes())
    with pytest.raises(ManifestError, match="faces@1 is not the parent of faces@2"):
        lineage(store, second.ref, "a")


def test_a_row_that_descends_from_itself_is_an_error_not_a_hang(store: Store) -> None:
    write(store, "synth", [row("a", parent_id="b"), row("b", parent_id="a")])
    with pytest.raises(ManifestError, match="descends from itself"):
        lineage(store, "faces", "a")
    other = Store(store.workspace / "other")
    write(other, "synth", [row("a", parent_id="gone", source_id="a")])
    with pytest.raises(ManifestError, match="descends from itself"):
        lineage(other, "faces", "a")


def test_every_row_of_every_version_is_reached(store: Store, crop: Version) -> None:
    for sample_id in store.read(crop.ref).table["sample_id"].to_pylist():
        steps = lineage(store, crop.ref, sample_id)
        assert steps[-1].row["sample_id"] == steps[0].row["source_id"]
