"""Duplicates on the Grid page."""

from __future__ import annotations

import pyarrow as pa
import pytest

from curation_app.grid.duplicate_groups import find_duplicate_groups
from curation_app.images.manifest_rows import ManifestRows, load_manifest_rows
from curation_app.tiles.selection import labels_of
from data_manifests.versions.store import Store
from tests.support.app_pages import open_page
from tests.support.app_tiles import send, tiles_data
from tests.support.audited_people import audited_people, rows_of, saved_values
from tests.support.partial_sets import write_partial


def copies(store: Store) -> ManifestRows:
    """p000's first photo again at p001 (another gender and age); p002's mask1 again as its own mask2; a lone one."""
    version_rows = audited_people(store, 4)
    first, other, copy, same = rows_of(version_rows, "p000/normal", "p001/normal", "p002/mask1", "p002/mask2")
    groups = {first["sample_id"]: "a", other["sample_id"]: "a", copy["sample_id"]: "b", same["sample_id"]: "b"}
    table = store.read(version_rows.version.ref).table
    of = [groups.get(name) for name in table["sample_id"].to_pylist()]
    of[20] = "alone"
    at = table.schema.get_field_index("duplicate_of")
    version = store.write(
        "people", table.set_column(at, "duplicate_of", pa.array(of)), "audit", parents=[version_rows.version]
    )
    return load_manifest_rows(store, version.ref)


def test_duplicate_groups_and_their_differences(store: Store) -> None:
    version_rows = copies(store)
    groups = find_duplicate_groups(version_rows, labels_of(version_rows))
    assert len(groups) == 2  # a single photo is no group
    assert groups.flags(0) == ["different people", "gender differs", "age class differs"]
    assert groups.flags(1) == []
    assert [row["person_id"] for row in version_rows.records(groups.group(0))] == ["p000", "p001"]
    assert list(groups.any_differs) == [True, False]


def test_copies_across_a_split_differ_and_unknown_labels_do_not(store: Store) -> None:
    write_partial(store, "mixed", 10)  # every photo is its own person, the first without a mask
    table = store.read("partial@1").table
    copied = table.set_column(
        table.schema.get_field_index("duplicate_of"), "duplicate_of", pa.array(["a", "b", "b", "a"] + [None] * 6)
    )
    store.write("partial", copied, "audit")
    version_rows = load_manifest_rows(store, "partial@2")
    groups = find_duplicate_groups(version_rows, labels_of(version_rows))
    assert [row["split"] for row in version_rows.records(groups.group(0))] == ["train", "val"]
    assert groups.flags(0) == ["in several splits"]
    assert groups.flags(1) == ["mask differs"]  # both male or unknown, and of one split


def test_a_version_without_duplicates_has_no_groups(store: Store) -> None:
    version_rows = audited_people(store, 2)
    assert len(find_duplicate_groups(version_rows, labels_of(version_rows))) == 0


def test_duplicates_on_the_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    version_rows = copies(store)
    bench = open_page("grid", store, "people@2", monkeypatch, "Kim")
    bench.segmented_control[0].set_value("duplicates").run()
    given = tiles_data(bench)
    assert [tile["group"] for tile in given["tiles"]] == [0, 0, 1, 1]
    assert given["groups"][0]["flags"] == ["different people", "gender differs", "age class differs"]
    [good] = rows_of(version_rows, "p000/normal")
    assert not send(bench, "grid", "group=same", [good["sample_id"]])["error"]
    assert saved_values(store) == [
        ("p001", "sample", "gender", "female", "male"),
        ("p001", "sample", "age", "40", "25"),
    ]
    assert not send(bench, "grid", "group=keep", [given["tiles"][2]["id"]])["error"]
    bench.toggle(key="grid hide").set_value(True).run()
    assert [tile["head"].split()[0] for tile in tiles_data(bench)["tiles"]] == ["p000", "p001"]
