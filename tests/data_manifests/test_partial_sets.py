"""The drawn sets with unknown labels that other tests use."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_manifests.ingest import LAYOUTS
from data_manifests.labels import has_all_tasks, labelled_tasks
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store
from tests.support.partial_sets import PARTIAL, draw_partial_folder, partial_table, write_partial


@pytest.mark.parametrize("labelled", PARTIAL)
def test_a_set_has_the_labels_of_its_name(labelled: str, tmp_path: Path) -> None:
    tasks = {"none": (), "mixed": ("mask", "gender", "age")}.get(labelled, tuple(labelled.split("+")))
    version = write_partial(Store(tmp_path), labelled)
    table = Store(tmp_path).read(version.ref).table
    assert labelled_tasks(table) == labelled_tasks(partial_table(labelled)) == tasks
    assert has_all_tasks(table) == (labelled == "mixed")
    assert version.rows == 36
    assert set(table["split"].to_pylist()) == {"train", "val"}


def test_a_drawn_folder_is_ingested_with_the_same_labels(tmp_path: Path) -> None:
    folder = draw_partial_folder(tmp_path / "photos", "mask+gender")
    table = LAYOUTS["folder"](folder, root_name="photos", cuts=AgeCuts())
    assert labelled_tasks(table) == ("mask", "gender")
    assert table.num_rows == 36
