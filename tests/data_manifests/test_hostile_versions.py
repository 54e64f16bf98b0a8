"""Versions that are damaged, forged or written by a newer release: one line each, and the others stay usable."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_manifests.errors import ManifestError
from data_manifests.splits import newest_with_splits
from data_manifests.versions import Store
from tests.support.manifest_tables import manifest, photo

KEY = b"face_curation_toolkit"


def manifest_table(count):
    return manifest([photo(f"p{i}") for i in range(count)])


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    first = store.write("faces", manifest_table(3), "ingest", parameters={"layout": "folder"})
    store.write("faces", manifest_table(4), "split", parents=[first])
    return store


def _forge(store, change=None, table=None, metadata=None):
    """Replace version 2 by one with other metadata or another table."""
    path = store.resolve("faces@2")
    known = pq.read_table(path)
    stored = json.loads(known.schema.metadata[KEY])
    text = metadata if metadata is not None else json.dumps(stored | (change or {}))
    path.unlink()
    pq.write_table((table(known) if table else known).replace_schema_metadata({KEY: text}), path)


def test_metadata_of_a_newer_release_is_tolerated(store):
    _forge(store, {"signature": "abc", "licence": {"name": "x"}})
    assert store.version("faces").rows == 4
    assert store.read("faces").version == store.version("faces@2")


@pytest.mark.parametrize(
    "change",
    [
        {"number": "two"},
        {"number": -1},
        {"parents": 5},
        {"parents": [1]},
        {"age_cuts": [60, 30]},
        {"age_cuts": [1]},
        {"rows": None},
        {"classes": {"0": "many"}},
        {"name": "../../outside"},
        {"parameters": []},
        {"tools": 3},
    ],
)
def test_forged_metadata_is_one_line(store, change):
    _forge(store, change)
    with pytest.raises(ManifestError, match=r"v000002\.parquet") as error:
        store.read("faces")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("metadata", ["", "[]", "{", "[" * 100_000, '{"name": "faces"}'])
def test_metadata_that_is_no_record_is_one_line(store, metadata):
    _forge(store, metadata=metadata)
    with pytest.raises(ManifestError, match=r"v000002\.parquet") as error:
        store.version("faces")
    assert "\n" not in str(error.value)


def _with(name, values, type_=None):
    def change(table):
        array = pa.array(values, type_ or pa.string())
        at = table.column_names.index(name) if name in table.column_names else None
        return table.append_column(name, array) if at is None else table.set_column(at, name, array)

    return change


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (_with("sample_id", ["../../x", "b", "c", "d"]), "usable in a file name"),
        (_with("sample_id", ["a", "a", "c", "d"]), "unique"),
        (_with("path", ["/etc/passwd", "b", "c", "d"]), "relative"),
        (_with("path", ["a/../../b", "b", "c", "d"]), "relative"),
        (_with("sha256", ["../x", "b", "c", "d"]), "hex"),
        (_with("age", [30, 40, 900, 1], pa.int32()), "at most"),
        (_with("age", ["x", "1", "2", "3"]), "int32"),
        (_with("gender", ["male", "lizard", None, None]), "one of"),
        (_with("status", ["ok", None, "ok", "ok"]), "empty"),
        (_with("future_score", [1, 2, 3, 4], pa.int32()), "Update the toolkit"),
    ],
)
def test_rows_are_validated_when_read(store, table, message):
    _forge(store, table=table)
    with pytest.raises(ManifestError, match=message) as error:
        store.read("faces")
    assert "\n" not in str(error.value)
    assert "v000002.parquet" in str(error.value)


def test_one_unreadable_version_does_not_block_the_others(store, caplog):
    path = store.resolve("faces@2")
    path.chmod(0o644)
    path.write_bytes(b"PAR1 nothing")
    assert store.read("faces@1").table.num_rows == 3
    assert [version.number for version in store.log("faces")] == [1]
    assert "v000002.parquet" in caplog.text
    assert "Restore" in caplog.text
    digits = store.version("faces@1").content_hash[:8]
    assert store.version(f"faces@{digits}").number == 1
    third = store.write("faces", manifest_table(5), "ingest")
    assert third.number == 3
    assert newest_with_splits(store, third) is None
    with pytest.raises(ManifestError, match="name another version"):
        store.read("faces@2")


def test_broken_tags_and_roots_are_one_line(store, caplog):
    store.tag("faces@1", "curated")
    store.tag("faces@1", "broken")
    (store.workspace / "manifests/faces/tags/broken").write_bytes(b"\xff\x00two")
    assert store.tags("faces") == {"curated": 1}
    assert "facecurate tag faces@N broken" in caplog.text
    for bad in ("{", "[]", '{"faces": 3}'):
        (store.workspace / "roots.json").write_text(bad)
        with pytest.raises(ManifestError, match=r"roots\.json"):
            store.roots()


def test_a_reference_cannot_leave_the_workspace(store, tmp_path):
    inner = Store(tmp_path / "inner")
    (tmp_path / "inner/manifests").mkdir(parents=True)
    for ref in ("../../manifests/faces@1", "..", "", "faces@" + "9" * 5000):
        with pytest.raises(ManifestError):
            inner.resolve(ref)
    with pytest.raises(ManifestError):
        store.resolve("faces@" + "9" * 5000)
