"""Ids that no spreadsheet turns into numbers, and ids of earlier releases, which stay as they are."""

import re

import pyarrow as pa
import pytest
from click.testing import CliRunner

from data_manifests.cli import cli
from data_manifests.corrections import Correction
from data_manifests.versions import Store, has_former_ids, id_keys, sample_id
from tests.support.old_workspace import copy_old_workspace


def test_new_ids_begin_with_a_letter():
    ids = [sample_id(f"{number}.jpg", "", "") for number in range(2000)]
    assert all(re.fullmatch(r"[a-f][0-9a-f]{15}", one) for one in ids)
    assert len(set(ids)) == 2000
    assert not has_former_ids(pa.chunked_array([ids]))
    assert id_keys(pa.chunked_array([ids])) is not None
    former = [sample_id(f"{number}.jpg", "", "", is_former=True) for number in range(2000)]
    assert has_former_ids(pa.chunked_array([former]))
    assert [one[1:] for one in former] == [one[1:] for one in ids]
    assert all(old == new for old, new in zip(former, ids, strict=True) if old[0].isalpha())


def test_a_correction_id_begins_with_a_letter():
    record = Correction("faces@1#12345678", "a", "p", "sample", "age", "30", "40", "Kim")
    assert record.correction_id[0].isalpha()


@pytest.mark.parametrize("name", ["faces", "other"])
def test_photos_of_a_manifest_of_an_earlier_release_keep_their_ids(tmp_path, name):
    old = copy_old_workspace(tmp_path)
    versions = old.log("faces")
    store = old if name == "faces" else Store(tmp_path / "new")
    words = ["ingest", str(old.roots()["faces"]), "--layout", "profiles", "--name", name]
    done = CliRunner().invoke(cli, words, env={"WORKSPACE": str(store.workspace)})
    assert done.exit_code == 0, done.output
    if name == "faces":  # the version that 0.1.0 wrote: nothing is new
        assert "faces@1: " in done.output
        assert store.log("faces") == versions
        return
    ids = [one.read(ref).table["sample_id"] for one, ref in ((store, name), (old, "faces@1"))]
    assert [has_former_ids(one) for one in ids] == [False, True]
    assert [one[1:] for one in ids[0].to_pylist()] == [one[1:] for one in ids[1].to_pylist()]
