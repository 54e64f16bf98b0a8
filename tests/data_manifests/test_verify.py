"""Verification of the files of a version."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from data_manifests.errors import ManifestError
from data_manifests.inspect.verify import verify
from data_manifests.versions.store import Store
from tests.conftest import write_photos


def test_untouched_files_pass(store: Store, tmp_path: Path) -> None:
    version = write_photos(store, tmp_path / "photos", 5)
    result = verify(store, version.ref)
    assert (result.checked, result.without_hash, result.problems.num_rows) == (5, 0, 0)
    assert result.lines() == ["5 files checked: missing 0, changed 0, outside 0, unreadable 0; 0 rows have no file"]


def test_each_problem_is_reported_with_its_row(store: Store, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    version = write_photos(store, photos, 6)
    (photos / "p001.png").unlink()
    with (photos / "p002.png").open("ab") as file:
        file.write(b"x")
    (photos / "p003.png").rename(tmp_path / "secret.png")
    (photos / "p003.png").symlink_to(tmp_path / "secret.png")
    (photos / "p004.png").unlink()
    (photos / "p004.png").mkdir()
    result = verify(store, version.ref)
    found = {row["path"]: row["problem"] for row in result.problems.to_pylist()}
    assert found == {"p001.png": "missing", "p002.png": "changed", "p003.png": "outside", "p004.png": "unreadable"}
    assert result.checked == 6
    ids = dict(zip(*(store.read(version.ref).table[name].to_pylist() for name in ("path", "sample_id")), strict=True))
    assert result.lines()[0] == f"missing    drawn/p001.png ({ids['p001.png']})"
    assert len(result.lines(most=2)) == 4


def test_rows_without_a_file_are_counted_separately(store: Store, tmp_path: Path) -> None:
    version = write_photos(store, tmp_path / "photos", 3)
    table = store.read(version.ref).table
    sha256 = pa.chunked_array([pa.array([None, *table["sha256"].to_pylist()[1:]], pa.string())])
    table = table.set_column(table.column_names.index("sha256"), "sha256", sha256)
    result = verify(store, store.write("other", table, "ingest").ref)
    assert (result.checked, result.without_hash) == (2, 1)


def test_photos_may_move_with_their_root(store: Store, tmp_path: Path) -> None:
    version = write_photos(store, tmp_path / "photos", 3)
    (tmp_path / "photos").rename(tmp_path / "moved")
    assert set(verify(store, version.ref).problems["problem"].to_pylist()) == {"missing"}
    store.set_root("drawn", tmp_path / "moved")
    assert verify(store, version.ref).problems.num_rows == 0
    (store.workspace / "roots.json").unlink()
    with pytest.raises(ManifestError, match="root 'drawn' is not in"):
        verify(store, version.ref)
