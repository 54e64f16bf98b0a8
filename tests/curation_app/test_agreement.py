"""The Agreement page: figures, adjudication, consensus, and files that are not logs."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from curation_app.annotations import correction, log_path
from data_manifests.agreement.labels import ADJUDICATION, annotated_labels
from data_manifests.corrections.apply import apply_to_store
from data_manifests.corrections.log import append_corrections, read_corrections
from data_manifests.versions.store import Store
from tests.conftest import write_photos
from tests.support.app_pages import open_page, press, texts

GENDERS_BY_ANNOTATOR = {  # of the first people
    "Ann": ["male", "female", "male"],
    "Bob": ["male", "male", "male", "female"],
}


def annotate(store: Store, folder: Path, genders: dict[str, list[str]] = GENDERS_BY_ANNOTATOR) -> None:
    """Write photos of 5 people as `drawn`, all labelled male, and annotations of the first ones."""
    import pyarrow as pa

    version = write_photos(store, folder, 5)
    table = store.read(version.ref).table
    table = table.set_column(table.schema.get_field_index("gender"), "gender", pa.array(["male"] * 5))
    version = store.write("drawn", table, "relabel", parents=[version])
    rows = sorted(table.to_pylist(), key=lambda row: row["person_id"])
    for by, values in genders.items():
        records = [
            correction(version, row, "gender", value, by, person=True) for row, value in zip(rows, values, strict=False)
        ]
        append_corrections(log_path(store, version, by), records)


def metrics(bench: AppTest) -> dict[str, str]:
    return {one.label: one.value for one in bench.metric}


def test_figures(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    annotate(store, tmp_path / "photos")
    bench = open_page("agreement", store, "drawn@2", monkeypatch)
    assert metrics(bench) == {"Annotators": "2", "Annotated labels": "4", "By two or more": "3", "Agreement": "66.7 %"}
    fields, pairs = (one.value.to_dict("records") for one in bench.dataframe[:2])
    assert [(row["field"], row["labels"], row["by two or more"]) for row in fields] == [("gender", 4, 3)]
    assert fields[0]["Fleiss’ κ"] == pytest.approx(-0.2)
    assert [(row["annotator"], row["and"], row["labels of both"]) for row in pairs] == [("Ann", "Bob", 3)]
    assert "1 label in conflict, 0 adjudicated" in texts(bench)
    assert bench.get("image")
    assert "Enter your name in the sidebar" in texts(bench)
    assert all(one.disabled for one in bench.button if one.label in ("male", "female"))


def test_one_click_adjudicates_and_another_undoes_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotate(store, tmp_path / "photos")
    before = {path: path.read_bytes() for path in (store.workspace / "corrections" / "drawn").iterdir()}
    bench = press(open_page("agreement", store, "drawn@2", monkeypatch, "Dana"), "female")
    path = log_path(store, store.version("drawn@2"), "Dana")
    [record] = read_corrections([path]).to_pylist()
    assert (record["person_id"], record["scope"], record["field"]) == ("p001", "person", "gender")
    assert (record["old"], record["new"], record["annotator"]) == ("male", "female", "Dana")
    assert record["note"] == f"{ADJUDICATION} Ann: female; Bob: male"
    assert "1 label in conflict, 1 adjudicated" in texts(bench)
    assert metrics(bench)["Annotators"] == "3"
    bench = press(bench, "Undo")
    assert "1 label in conflict, 0 adjudicated" in texts(bench)
    assert [row["new"] for row in read_corrections([path]).to_pylist()] == ["female", ""]
    for file, bytes_ in before.items():
        assert file.read_bytes() == bytes_  # no annotator's log is changed by another


def test_undoing_an_adjudication_restores_the_own_annotation(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotate(store, tmp_path / "photos")
    bench = press(open_page("agreement", store, "drawn@2", monkeypatch, "Bob"), "female")
    press(bench, "Undo")
    folder = store.workspace / "corrections" / "drawn"
    labels = {label.person_id: label for label in annotated_labels(read_corrections(sorted(folder.glob("*.csv"))))}
    assert {name: value.value for name, value in labels["p001"].annotations.items()} == {"Ann": "female", "Bob": "male"}
    assert not labels["p001"].adjudications


def test_a_consensus_is_written_and_applies(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    annotate(store, tmp_path / "photos")
    bench = press(open_page("agreement", store, "drawn@2", monkeypatch, "Dana"), "female")
    [rule] = [one for one in bench.segmented_control if one.label == "Rule"]
    bench = rule.set_value("adjudicator").run()
    [choice] = [one for one in bench.selectbox if one.label == "Adjudicator"]
    bench = press(choice.set_value("Dana").run(), "Write 4 decided labels")
    [path] = (store.workspace / "consensus" / "drawn").iterdir()
    assert path.name.startswith("adjudicator-dana")
    version, report = apply_to_store(store, "drawn@2", [path])
    assert {name: count for name, count in report.counts.items() if count} == {"applied": 2, "already": 2}
    genders = dict(
        zip(*(store.read(version.ref).table[name].to_pylist() for name in ("person_id", "gender")), strict=True)
    )
    assert (genders["p001"], genders["p003"]) == ("female", "female")


def test_open_labels_are_listed(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    annotate(store, tmp_path / "photos")
    bench = open_page("agreement", store, "drawn@2", monkeypatch)
    assert "1 label stays open" in texts(bench)
    assert bench.dataframe[-1].value.to_dict("records") == [
        {"label": "gender of p001", "values": "Ann: female; Bob: male", "reason": "annotations differ"}
    ]


def test_cleanlab_without_an_audit_names_the_command_to_run(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotate(store, tmp_path / "photos")
    bench = open_page("agreement", store, "drawn@2", monkeypatch)
    [rule] = [one for one in bench.segmented_control if one.label == "Rule"]
    assert "score the version first: facecurate audit run drawn@" in texts(rule.set_value("cleanlab").run()).replace(
        "\\", ""
    )


def test_other_files_are_rejecteds_and_broken_lines_are_told_and_the_rest_counts(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotate(store, tmp_path / "photos")
    folder = store.workspace / "corrections" / "drawn"
    (folder / "notes.csv").write_text("a,b\n1,2\n")
    with (folder / "torn.csv").open("w") as file:
        file.write(log_path(store, store.version("drawn@2"), "Ann").read_text() + "x,y\n")
    bench = open_page("agreement", store, "drawn@2", monkeypatch)
    output = texts(bench)
    assert "notes\\.csv is not a correction log" in output
    assert "or move it out of" in output
    assert "torn\\.csv line 5\\: must have 14 cells" in output
    assert metrics(bench)["Annotated labels"] == "4"


def test_a_missing_picture_is_reported_and_its_label_can_be_adjudicated(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotate(store, tmp_path / "photos")
    (tmp_path / "photos" / "p001.png").unlink()
    bench = open_page("agreement", store, "drawn@2", monkeypatch, "Dana")
    assert "is no longer in the folder" in texts(bench)
    assert "in conflict, 1 adjudicated" in texts(press(bench, "male"))


@pytest.mark.slow
def test_a_photo_that_the_version_lacks_is_named_as_in_the_log(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotate(store, tmp_path / "photos")
    table = store.read("drawn@2").table
    store.write("drawn", table.filter([name != "p001" for name in table["person_id"].to_pylist()]), "shrink")
    bench = press(open_page("agreement", store, "drawn@3", monkeypatch, "Dana"), "female")
    assert "This version has no such photo" in texts(bench)
    [record] = read_corrections([log_path(store, store.version("drawn@2"), "Dana")]).to_pylist()
    assert record["manifest"] == store.version("drawn@2").pinned
    assert record["person_id"] == "p001"


@pytest.mark.slow
def test_no_annotations_yet_and_names_are_escaped(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotate(store, tmp_path / "photos", {})
    assert "No annotations of this manifest" in texts(open_page("agreement", store, "drawn@2", monkeypatch))
    annotate(store, tmp_path / "more", {"A<b>x": ["male"], "Bob *bold*": ["female"]})
    output = texts(open_page("agreement", store, "drawn@2", monkeypatch))
    assert "A<b>" not in output
    assert "A&lt;b&gt;x" in output
