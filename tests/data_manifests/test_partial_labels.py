"""Sets with unknown labels: counts, corrections that give or take away a label, differences, agreement, exports."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

from data_manifests.agreement.kappa import agreement
from data_manifests.agreement.labels import annotated_labels
from data_manifests.cli.main import cli
from data_manifests.corrections.log import read_corrections
from data_manifests.errors import ManifestError
from data_manifests.export import export
from data_manifests.inspect.diff import diff
from data_manifests.inspect.summary import class_lines, version_lines
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.metadata import Manifest, Version
from data_manifests.versions.store import Store
from tests.support.correction_logs import apply, event, log, outcome
from tests.support.manifest_tables import manifest, photo
from tests.support.partial_sets import write_partial

CUTS = AgeCuts()


# -- counts -----------------------------------------------------------------------------------------------------------
def shown(tmp_path: Path, labelled: str, count: int = 36) -> list[str]:
    store = Store(tmp_path / labelled)
    return class_lines(store.read(write_partial(store, labelled, count).ref))


def test_labels_that_exist_are_counted(tmp_path: Path) -> None:
    assert shown(tmp_path, "mask") == [
        "usable     36 rows",
        "mask       worn 12, incorrect 12, none 12",
        "gender     unknown in all rows",
        "age        unknown in all rows",
    ]
    assert shown(tmp_path, "age")[3] == "age        <30 12, 30-59 12, >=60 12; from 25 to 65 years"
    lines = shown(tmp_path, "mixed", 5)
    assert lines[1:5] == [
        "mask       worn 0, incorrect 2, none 1, unknown 2",
        "gender     male 2, female 1, unknown 2",
        "age        <30 3, 30-59 0, >=60 0, unknown 2; from 25 to 25 years",
        "no class   1 row has no age, 1 row has no gender, 1 row has no mask, 1 row has no label",
    ]
    assert lines[6].split() == ["usable", "<30", "30-59", ">=60"]


def test_an_age_class_without_years_has_no_range_of_years() -> None:
    table = manifest([photo("a", age=25)])
    table = table.set_column(table.schema.get_field_index("age"), "age", pa.array([None], pa.int32()))
    lines = class_lines(Manifest(table, Version("faces", 1, "ingest", classes={"12": 1})))
    assert lines[3] == "age        <30 1, 30-59 0, >=60 0"


def test_show_has_no_table_of_classes_without_classes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    lines = version_lines(store.read(write_partial(store, "mask+gender").ref), {})
    assert lines[-1] == "age        unknown in all rows"
    assert lines[-2] == "gender     male 18, female 18"


# -- corrections ------------------------------------------------------------------------------------------------------
def test_an_unknown_label_is_given_and_taken_back(tmp_path: Path) -> None:
    row = photo("p", mask=None, gender=None, age=None)
    given = [event(row, "mask", "", "worn"), event(row, "gender", "", "female"), event(row, "age", "", "41")]
    after, report = apply(tmp_path, [row], *given)
    assert outcome(report) == ["applied"] * 3
    assert [after[name][0].as_py() for name in ("mask", "gender", "age", "class_id")] == ["worn", "female", 41, 4]
    back = event(row, "gender", "female", "", day=2)
    after, report = apply(tmp_path, [row], *given, back)
    assert [after[name][0].as_py() for name in ("mask", "gender", "age", "class_id")] == ["worn", None, 41, None]
    assert outcome(report) == ["applied", "superseded", "applied", "already"]


def test_no_age_is_invented_where_no_row_has_one(tmp_path: Path) -> None:
    rows = [photo("p", age=None), photo("q", age=None)]
    after, report = apply(tmp_path, rows, event(rows[0], "age", "", "class:2"))
    assert outcome(report) == ["applied"]
    assert (after["age"].to_pylist(), after["age_class"].to_pylist()) == ([None, None], [2, None])
    assert after["class_id"].to_pylist() == [14, None]


def test_two_annotators_of_an_unknown_label_must_agree(tmp_path: Path) -> None:
    row = photo("p", gender=None)
    events = [event(row, "gender", "", "male"), event(row, "gender", "", "female", "bob")]
    after, report = apply(tmp_path, [row], *events)
    assert outcome(report) == ["conflict", "conflict"]
    assert after["gender"].to_pylist() == [None]
    (label,) = annotated_labels(log(tmp_path, *events))
    assert label.summary() == "ann: male; bob: female"
    assert agreement([label], "gender", CUTS).same == 0


def test_a_label_that_was_unknown_is_a_difference() -> None:
    before, after = manifest([photo("p", gender=None)]), manifest([photo("p", gender="male")])
    assert "gender     1 changed: empty → male (1)" in diff(before, after).lines()


# -- exports ----------------------------------------------------------------------------------------------------------
def test_a_csv_leaves_the_class_empty_and_counts_the_rows_without_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    result = export(store, write_partial(store, "mask").ref, "csv", tmp_path / "out")
    note = "class_id and class_name are empty where a label is unknown: 36 rows have no gender and no age"
    assert result.lines() == [note, "partial@1: 36 rows written, 0 left out"]
    assert json.loads((tmp_path / "out" / "export.json").read_text())["notes"] == [note]
    with (tmp_path / "out" / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["class_id"], row["class_name"], row["gender"]) for row in rows} == {("", "", "")}
    assert [row["mask"] for row in rows[:3]] == ["worn", "incorrect", "none"]


def test_profiles_leave_out_rows_by_what_they_lack(tmp_path: Path) -> None:
    store = Store(tmp_path)
    result = export(store, write_partial(store, "mixed", 10).ref, "profiles", tmp_path / "out")
    assert result.left_out == {"no mask": 2, "no gender": 2, "no age": 2, "no mask and no gender and no age": 2}
    assert result.lines()[-1] == "partial@1: 2 rows written, 8 left out"


def test_profiles_of_a_set_without_all_labels_are_refused_with_the_command_that_works(tmp_path: Path) -> None:
    store = Store(tmp_path)
    ref = write_partial(store, "mask").ref
    cause = "36 with no gender and no age. Export all rows as a table: facecurate export partial@1 --format csv"
    with pytest.raises(ManifestError, match=cause):
        export(store, ref, "profiles", tmp_path / "out")


# -- a set labelled for masks alone, command by command ---------------------------------------------------------------
def test_a_mask_only_set_goes_through_every_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSPACE", str(tmp_path / "workspace"))
    store = Store(tmp_path / "workspace")
    write_partial(store, "mask", split=False)

    def call(*words: object) -> str:
        result = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    assert "strata by mask " in call("split", "partial@1")
    row = store.read("partial@2").table.to_pylist()[0]
    record = event(row, "mask", "worn", "incorrect", manifest=store.version("partial@2").pinned)
    path = tmp_path / "log.csv"
    log(tmp_path, record)
    assert read_corrections([path]).num_rows == 1
    assert "1 applied" in call("apply", "partial@2", path)
    assert "mask       worn 11, incorrect 13, none 12" in call("show", "partial@3")
    assert "mask       1 changed: worn → incorrect (1)" in call("diff", "partial@2", "partial@3")
    assert "mask       1 labels annotated" in call("agreement", path)
    assert "1 labels decided" in call("consensus", path, "--rule", "unanimous", "--out", tmp_path / "all.csv")
    assert "missing 0, changed 0" in call("verify", "partial@3")
