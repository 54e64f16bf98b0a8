"""The store: versions read back as written, hashes, references, tags and roots."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_manifests.errors import ManifestError
from data_manifests.schema import BY_NAME, COLUMNS, conform
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.content_hash import file_sha256, id_keys, table_sha256
from data_manifests.versions.store import Store
from tests.support.manifest_tables import crop, manifest, photo

TEXTS = st.text(max_size=6)
FILE_NAMES = TEXTS.filter(lambda text: not text.startswith(".") and not any(c in "/\\" or c < " " for c in text))


def small(count: int = 3) -> pa.Table:
    return manifest([photo(f"p{i}", age=20 + i % 60) for i in range(count)])


def values_of(name: str) -> st.SearchStrategy:
    """Return a strategy for valid values of a column."""
    spec = BY_NAME[name]
    if spec.allowed:
        return st.sampled_from(spec.allowed)
    if name == "sha256":
        return st.text("0123456789abcdef", max_size=6)
    if name == "source_id":
        return FILE_NAMES
    if pa.types.is_string(spec.type):
        return TEXTS.filter(lambda text: "/" not in text[:1] and not {"\\", ":", "\0"} & set(text) and ".." not in text)
    if pa.types.is_boolean(spec.type):
        return st.booleans()
    if pa.types.is_fixed_size_list(spec.type):
        size = spec.type.list_size
        return st.lists(st.floats(width=32, allow_nan=False), min_size=size, max_size=size)
    if pa.types.is_list(spec.type):
        return st.lists(TEXTS if pa.types.is_string(spec.type.value_type) else st.floats(0, 1, width=32), max_size=3)
    if pa.types.is_floating(spec.type):
        return st.floats(0, 1, width=32)
    return st.integers(int(spec.low or 0), int(spec.high) if spec.high is not None else 100)


def optional(name: str) -> st.SearchStrategy:
    return values_of(name) if BY_NAME[name].required else st.none() | values_of(name)


# landmarks_xy would need 136 drawn numbers per row and is of the same type as box_xyxy and points_xy
NAMES = [spec.name for spec in COLUMNS if spec.name not in ("landmarks_xy", "sample_id")]
ROWS = st.lists(
    st.fixed_dictionaries({name: optional(name) for name in NAMES} | {"x_own": st.none() | TEXTS}), max_size=6
)
IDS = st.just([f"{i * 0x9E3779B97F4A7C15 % 2**64:016x}" for i in range(6)]) | st.lists(
    FILE_NAMES, min_size=6, max_size=6, unique=True
)


def as_table(rows: list[dict], ids: list[str]) -> pa.Table:
    fields = {name: BY_NAME[name].type for name in NAMES} | {"x_own": pa.string()}
    columns = {name: pa.array([row[name] for row in rows], type_) for name, type_ in fields.items()}
    return conform(pa.table({"sample_id": pa.array(ids[: len(rows)], pa.string()), **columns}))


@pytest.mark.slow
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(rows=ROWS, ids=IDS, data=st.data())
def test_a_version_reads_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict], ids: list[str], data: st.DataObject
) -> None:
    table = as_table(rows, ids)
    store = Store(tmp_path_factory.mktemp("w"))
    version = store.write("faces", table, "ingest")
    read = store.read("faces")
    assert read.table.to_pylist() == table.to_pylist()
    assert read.table.schema.equals(table.schema)
    assert read.version == version
    assert table_sha256(read.table) == version.content_hash

    order = data.draw(st.permutations(range(len(rows))))
    cut = data.draw(st.integers(0, len(rows)))
    shuffled = table.take(pa.array(order, pa.int64()))
    chunked = pa.concat_tables([shuffled.slice(0, cut), shuffled.slice(cut)])
    assert table_sha256(chunked) == version.content_hash


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(rows=ROWS.filter(len), ids=IDS, data=st.data())
def test_every_change_of_a_value_changes_the_hash(rows: list[dict], ids: list[str], data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from([name for name in NAMES if not BY_NAME[name].is_derived]))
    value = data.draw(optional(name))
    changed = [dict(each) for each in rows]
    changed[row][name] = value
    before, after = as_table(rows, ids), as_table(changed, ids)
    same = before.to_pylist() == after.to_pylist()
    minus_zero = str(before.to_pylist()) != str(after.to_pylist())
    assert (table_sha256(before) == table_sha256(after)) == (same and not minus_zero)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20), st.integers(0, 3))
def test_keys_sort_as_the_ids_do(numbers: list[int], cut: int) -> None:
    ids = [f"{number:016x}" for number in numbers]
    keys = id_keys(pa.chunked_array([ids[:cut], ids[cut:]], pa.string()).slice(1))
    assert keys is not None
    assert keys.tolist() == numbers[1:]
    assert id_keys(pa.chunked_array([[*ids, "ABCDEF0123456789"]])) is None
    assert id_keys(pa.chunked_array([[*ids, "short"]])) is None


def test_an_empty_column_that_came_later_leaves_the_hashes_of_older_versions_valid() -> None:
    table = small()
    later = [spec.name for spec in COLUMNS if spec.is_later]
    assert later
    assert table_sha256(table.drop_columns(later)) == table_sha256(table)
    place = table.column_names.index("issue_types")
    filled = table.set_column(place, "issue_types", pa.array([["gender"], None, None], pa.list_(pa.string())))
    assert table_sha256(filled) != table_sha256(table)
    assert table_sha256(table.drop_columns(["landmarks_xy"])) != table_sha256(table)


def test_the_hash_leaves_out_only_the_annotator_that_the_reason_repeats() -> None:
    assert [spec.name for spec in COLUMNS if spec.is_derived] == ["excluded_by"]
    excluded = {"status": "excluded", "reason": "apply: excluded by ann"}
    before, after = manifest([photo("p", **excluded)]), manifest([photo("p", **excluded, excluded_by="ann")])
    assert table_sha256(before) == table_sha256(after)
    assert table_sha256(before) != table_sha256(manifest([photo("p", status="excluded")]))


def test_an_empty_column_takes_no_space(store: Store) -> None:
    version = store.write("faces", small(2000), "ingest")
    stored = pq.read_schema(store.resolve(version.ref)).names
    assert "landmarks_xy" not in stored
    landmarks = store.read("faces", ["landmarks_xy", "age"]).table
    assert landmarks.column_names == ["landmarks_xy", "age"]
    assert landmarks["landmarks_xy"].type == BY_NAME["landmarks_xy"].type
    assert landmarks["landmarks_xy"].null_count == 2000


@pytest.mark.slow
def test_large_geometry_reads_back_and_changes_the_hash(store: Store) -> None:
    """More rows than one block of the hash, with nulls, in another order and chunking."""
    rows = 140_000
    rng = np.random.default_rng(0)
    whole = small(1).take(pa.array(np.zeros(rows, int)))
    ids = pa.array([f"{i:016x}" for i in rng.permutation(rows)])
    boxes = pa.FixedSizeListArray.from_arrays(
        pa.array(rng.random(rows * 4, np.float32)), 4, mask=pa.array(rng.random(rows) < 0.1)
    )
    table = whole.set_column(0, "sample_id", ids)
    table = table.set_column(table.schema.get_field_index("box_xyxy"), "box_xyxy", boxes)
    version = store.write("faces", table, "ingest")
    read = store.read("faces").table
    assert read["box_xyxy"].to_pylist()[-1000:] == table["box_xyxy"].to_pylist()[-1000:]
    assert table_sha256(read) == version.content_hash
    assert table_sha256(table.take(rng.permutation(rows))) == version.content_hash
    swapped = boxes.take(pa.array(np.r_[1, 0, 2:rows]))
    other = table.set_column(table.schema.get_field_index("box_xyxy"), "box_xyxy", swapped)
    assert table_sha256(other) != version.content_hash


def test_same_operation_same_rows_is_the_same_version(store: Store) -> None:
    first = store.write("faces", small(), "ingest")
    again = store.write("faces", small().take([2, 0, 1]), "ingest")
    assert again == first
    assert (first.is_new, again.is_new, store.version("faces").is_new) == (True, False, False)
    assert [v.number for v in store.log("faces")] == [1]
    other = store.write("faces", small(), "split", parents=[first], parameters={"ratios": {"train": 1.0}}, seed=1)
    assert (other.number, other.content_hash) == (2, first.content_hash)
    assert other.parents == (first.pinned,)
    assert store.write("faces", small(), "ingest").number == 1


def test_a_version_records_its_origin_and_counts(store: Store) -> None:
    cuts = AgeCuts(45, 60)
    rows = [photo("a"), photo("b", gender="female", age=50), photo("c", status="failed"), photo("d", status="excluded")]
    first = store.write("faces", manifest(rows, cuts), "ingest", cuts=cuts, seed=3, parameters={"layout": "profiles"})
    assert (first.rows, first.seed, first.age_cuts) == (4, 3, (45, 60))
    assert first.parameters == {"layout": "profiles"}
    assert first.classes == {"12": 1, "16": 1}  # none male young, none female middle: usable rows only
    assert first.ledger == {"ok": 2, "failed": 1, "excluded": 1}
    assert set(first.tools) >= {"numpy", "pyarrow"}
    child = store.write("faces", manifest(rows[:2], cuts), "filter", parents=[first])
    assert child.age_cuts == (45, 60)
    assert store.read(child.ref).cuts == cuts


def test_refs(store: Store) -> None:
    one, two = store.write("faces", small(1), "ingest"), store.write("faces", small(2), "ingest")
    store.tag("faces@1", "curated")
    for ref, version in {
        "faces": two, "faces@1": one, "faces@2": two, "faces@curated": one, f"faces@{one.content_hash[:4]}": one,
        f"faces@{two.content_hash}": two, str(store.resolve("faces@1")): one,
    }.items():  # fmt: skip
        assert store.version(ref) == version
    store.tag("faces@2", "curated")
    assert store.version("faces@curated") == two
    assert store.tags("faces") == {"curated": 2}
    assert store.names() == ["faces"]


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("other", r"manifest 'other' is not in .*Known: \{faces\}.*facecurate ingest PHOTOS --name other"),
        (
            "faces@9",
            r"'faces@9' is not a version\. faces has versions 1 to 2 and tags \{best\}\. List them: .* log faces",
        ),
        ("faces@nothing", "'faces@nothing' is not a version"),
        ("faces@balanced", "Make it: facecurate synth run faces@preprocessed --tag balanced"),
        ("faces@0000", "'faces@0000' is not a version"),
        ("nowhere.parquet", r"manifest file 'nowhere\.parquet' does not exist"),
    ],
)
def test_unknown_refs_are_refused(store: Store, ref: str, message: str) -> None:
    store.write("faces", small(1), "ingest")
    store.tag(store.write("faces", small(2), "ingest").ref, "best")
    with pytest.raises(ManifestError, match=message):
        store.read(ref)


@pytest.mark.parametrize("name", ["", "a b", "../up", ".hidden", "ä"])
def test_invalid_names_are_refused(store: Store, name: str) -> None:
    with pytest.raises(ManifestError, match="name must be letters, digits"):
        store.write(name, small(), "ingest")


@pytest.mark.parametrize("tag", ["", "3", "abc123", "dead", "-x", "a b"])
def test_a_tag_cannot_look_like_a_number_or_a_hash(store: Store, tag: str) -> None:
    store.write("faces", small(), "ingest")
    with pytest.raises(ManifestError, match="a tag must begin with a letter and not be all hex digits"):
        store.tag("faces", tag)


def test_files_that_are_not_manifests_are_refused(store: Store, tmp_path: Path) -> None:
    broken, foreign = tmp_path / "broken.parquet", tmp_path / "foreign.parquet"
    broken.write_bytes(b"PAR1 not really")
    pq.write_table(pa.table({"a": [1]}), foreign)
    for read in (store.read, store.version):
        with pytest.raises(ManifestError, match=r"broken\.parquet cannot be read: "):
            read(str(broken))
        with pytest.raises(ManifestError, match="is a Parquet file, but not a manifest"):
            read(str(foreign))


def test_an_unknown_column_is_refused(store: Store) -> None:
    table = small().append_column("x_race", pa.array(["a", "b", "c"]))
    store.write("faces", table, "ingest")
    assert store.read("faces", ["x_race"]).table.column_names == ["x_race"]
    with pytest.raises(ManifestError, match=r"faces@1 has no column 'x_no'\. Its own columns: \{x_race\}"):
        store.read("faces", ["x_no"])


def test_versions_are_read_only_files(store: Store) -> None:
    path = store.resolve(store.write("faces", small(), "ingest").ref)
    assert path.stat().st_mode & 0o222 == 0
    before = file_sha256(path)
    store.write("faces", small(2), "ingest")
    assert file_sha256(path) == before


def test_numbers_continue_after_a_version_was_deleted(store: Store) -> None:
    for count in (1, 2, 3):
        store.write("faces", small(count), "ingest")
    store.resolve("faces@2").unlink()
    assert store.write("faces", small(4), "ingest").number == 4
    with pytest.raises(ManifestError, match="'faces@2' is not a version"):
        store.read("faces@2")


def test_roots(store: Store, tmp_path: Path) -> None:
    store.set_root("faces", tmp_path / "photos")
    assert store.file_of("faces", "a/b.jpg") == (tmp_path / "photos").resolve() / "a/b.jpg"
    assert store.file_of("workspace", "x.png") == store.workspace / "x.png"
    store.set_root("faces", tmp_path / "moved")
    assert store.roots()["faces"] == (tmp_path / "moved").resolve()
    with pytest.raises(ManifestError, match=r"root 'other' is not in .*Known: \{workspace, faces\}"):
        store.file_of("other", "x")
    with pytest.raises(ManifestError, match="'workspace' is reserved"):
        store.set_root("workspace", tmp_path)


def test_an_invalid_table_is_not_written(store: Store) -> None:
    row = photo("a")
    with pytest.raises(ManifestError, match=r"column 'sample_id' must be unique: .* is in rows 0, 2 \(1 repeated"):
        store.write("faces", manifest([row, crop(row), row]), "ingest")
    assert store.names() == []


def test_a_broken_version_does_not_hide_the_others(store: Store) -> None:
    for person in ("a", "b"):
        store.write("faces", manifest([photo(person)]), "test")
    file = store.resolve("faces@1")
    file.chmod(0o644)
    file.write_bytes(b"PAR1 not really")
    versions, problems = store.readable("faces")
    assert [version.ref for version in versions] == ["faces@2"]
    assert len(problems) == 1
    assert "v000001.parquet cannot be read: " in problems[0]
