"""The Versions page: the log and tags, a comparison with pictures, corrections applied with their report, exports."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from curation_app.annotations import correction, log_path
from data_manifests.agreement.consensus import decide, to_corrections, write_log
from data_manifests.agreement.labels import annotated_labels
from data_manifests.corrections.log import append_corrections, read_corrections
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.metadata import Version
from data_manifests.versions.store import Store
from tests.conftest import write_photos
from tests.support.app_pages import open_page, press, texts


def part(bench: AppTest, name: str) -> AppTest:
    """Go to one part of the page."""
    [choice] = [one for one in bench.segmented_control if one.label == "Part"]
    return choice.set_value(name).run()


def males(store: Store, folder: Path) -> Version:
    """Photos of 4 people as `drawn`, all filed as male, in version 2."""
    version = write_photos(store, folder, 4)
    table = store.read(version.ref).table
    table = table.set_column(table.schema.get_field_index("gender"), "gender", pa.array(["male"] * 4))
    return store.write("drawn", table, "relabel", parents=[version])


def say(store: Store, version: Version, by: str, *words: str) -> Path:
    """What somebody says of the gender of the first people."""
    rows = sorted(store.read(version.ref).table.to_pylist(), key=lambda row: row["person_id"])
    path = log_path(store, version, by)
    records = [
        correction(version, row, "gender", word, by, person=True) for row, word in zip(rows, words, strict=False)
    ]
    append_corrections(path, records)
    return path


def outcomes(bench: AppTest) -> dict[str, str]:
    return {one.label: one.value for one in bench.metric if one.value != "0"}


# -- log --------------------------------------------------------------------------------------------------------


def test_log_and_tags(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    males(store, tmp_path / "photos")
    bench = open_page("versions", store, "drawn@2", monkeypatch)
    rows = bench.dataframe[0].value.to_dict("records")
    assert [(row["version"], row["operation"], row["parents"], row["ok"]) for row in rows] == [
        ("2", "relabel", "drawn@1", 4), ("1", "ingest", "", 4),
    ]  # fmt: skip
    bench.text_input[0].set_value("curated")
    bench = press(bench, "Set the tag")
    assert store.tags("drawn") == {"curated": 2}
    assert "Tag curated → drawn@2" in texts(bench).replace("\\", "")
    assert bench.dataframe[0].value.to_dict("records")[0]["tags"] == "curated"
    bench.text_input[0].set_value("12ab")
    assert "a tag must begin with a letter" in texts(press(bench, "Set the tag"))
    assert store.tags("drawn") == {"curated": 2}


def test_broken_version_leaves_the_others_usable(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    males(store, tmp_path / "photos")
    file = store.resolve("drawn@1")
    file.chmod(0o644)
    file.write_bytes(b"PAR1 not really")
    bench = open_page("versions", store, "drawn@2", monkeypatch)
    assert len(bench.dataframe[0].value) == 1
    assert "only one version so far" in texts(part(bench, "Compare"))


# -- compare ----------------------------------------------------------------------------------------------------


def test_change_is_shown_below_its_picture(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    males(store, tmp_path / "photos")
    genders = store.read("drawn@1").table["gender"].to_pylist()
    females = genders.count("female")
    assert females
    (tmp_path / "photos" / f"p{genders.index('female'):03d}.png").unlink()
    bench = part(open_page("versions", store, "drawn@2", monkeypatch), "Compare")
    told = texts(bench)
    assert "4 → 4 rows" in told
    [changed] = [one for one in bench.segmented_control if one.label == "Changed"]
    assert list(changed.options) == [f"gender · {females}"]
    assert told.count("<b>female → male</b>") == females
    assert told.count("src='data:image/jpeg;base64,") == females - 1
    assert told.count("is no longer in the folder") == 1  # a deleted picture: the rest is there


@pytest.mark.slow
def test_added_and_removed_rows_and_no_difference(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = males(store, tmp_path / "photos")
    store.write("drawn", store.read("drawn@2").table.slice(0, 3), "shrink", parents=[version])
    bench = part(open_page("versions", store, "drawn@3", monkeypatch), "Compare")
    assert "4 → 3 rows" in texts(bench)
    [changed] = [one for one in bench.segmented_control if one.label == "Changed"]
    assert list(changed.options) == ["removed · 1"]
    assert "p003 · normal" in texts(bench)
    store.write("drawn", store.read("drawn@3").table, "again", parents=[store.version("drawn@3")])
    bench = part(open_page("versions", store, "drawn@4", monkeypatch), "Compare")
    assert "no row, label, split or picture differs" in texts(bench)


@pytest.mark.slow
def test_manifest_text_is_escaped(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = males(store, tmp_path / "photos")
    table = store.read("drawn@2").table
    at = table.schema.get_field_index("person_id")
    store.write(
        "drawn", table.set_column(at, "person_id", pa.array(["<img src=x onerror=a()>"] * 4)), "x", parents=[version]
    )
    told = texts(part(open_page("versions", store, "drawn@3", monkeypatch), "Compare"))
    assert "<img src=x" not in told
    assert "&lt;img src=x onerror=a()&gt;" in told


def test_version_that_breaks_during_a_comparison_is_reported(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    males(store, tmp_path / "photos")
    bench = open_page("versions", store, "drawn@2", monkeypatch)
    data = store.resolve("drawn@1").read_bytes()
    file = store.resolve("drawn@1")
    file.chmod(0o644)
    file.write_bytes(data[:600] + b"x" * 200 + data[800:])  # its footer is whole: only reading the rows fails
    assert "cannot be read" in texts(part(bench, "Compare"))


# -- apply ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_preview_then_apply_corrections(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = males(store, tmp_path / "photos")
    say(store, version, "Ann", "female", "female", "male")
    say(store, version, "Bob", "female", "male")
    bench = press(part(open_page("versions", store, "drawn@2", monkeypatch), "Apply"), "Preview")
    assert "Report: 1 row would change" in texts(bench)
    assert outcomes(bench) == {"applied": "2", "already": "1", "conflict": "2"}
    open_ = bench.dataframe[0].value.to_dict("records")
    assert [(row["annotator"], row["person_id"], row["detail"]) for row in open_] == [
        ("Ann", "p001", "Ann: female; Bob: male. Annotators must agree."),
        ("Bob", "p001", "Bob: male; Ann: female. Annotators must agree."),
    ]  # fmt: skip
    assert len(store.log("drawn")) == 2
    bench = press(bench, "Make the next version")
    assert "drawn@3 was written: 1 row changed." in texts(bench).replace("\\", "")
    assert bench.session_state["ref"] == "drawn@3"
    genders = dict(
        zip(*(store.read("drawn@3").table[name].to_pylist() for name in ("person_id", "gender")), strict=True)
    )
    assert genders == {"p000": "female", "p001": "male", "p002": "male", "p003": "male"}
    bench = press(bench, "Make the next version")
    assert "No row changes: nothing was written." in texts(bench).replace("\\", "")
    assert len(store.log("drawn")) == 3


def test_a_consensus_is_applied_alone(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = males(store, tmp_path / "photos")
    logs = [say(store, version, name, "female") for name in ("Ann", "Bob")] + [say(store, version, "Cid", "male")]
    labels = annotated_labels(read_corrections(logs))
    made = to_corrections(decide(labels, "majority", AgeCuts()), "majority")
    write_log(store.workspace / "consensus" / "drawn" / "majority.csv", made)
    bench = part(open_page("versions", store, "drawn@2", monkeypatch), "Apply")
    [kind] = [one for one in bench.segmented_control if one.label == "Apply"]
    bench = press(kind.set_value("A consensus").run(), "Make the next version")
    assert "drawn@3 was written: 1 row changed." in texts(bench).replace("\\", "")


def test_invalid_log_is_reported_and_left_out(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = males(store, tmp_path / "photos")
    path = say(store, version, "Ann", "female")
    (path.parent / "notes.csv").write_text("a,b\n")
    bench = part(open_page("versions", store, "drawn@2", monkeypatch), "Apply")
    assert "notes\\.csv is not a correction log" in texts(bench)
    assert bench.multiselect[0].value == ["Ann"]
    assert outcomes(press(bench, "Preview")) == {"applied": "1"}


def test_nothing_to_apply(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    males(store, tmp_path / "photos")
    assert "drawn has no corrections yet" in texts(part(open_page("versions", store, "drawn@2", monkeypatch), "Apply"))


# -- export -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_export(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    males(store, tmp_path / "photos")
    bench = part(open_page("versions", store, "drawn@2", monkeypatch), "Export")
    bench = press(bench, "Export")
    assert "drawn@2: 4 rows written, 0 left out" in texts(bench)
    with (store.workspace / "exports" / "drawn-2-csv" / "labels.csv").open() as file:
        assert [row["gender"] for row in csv.DictReader(file)] == ["male"] * 4
    assert "must be a new or empty folder" in texts(press(bench, "Export")).replace("\\", "")
    for name in ("../outside", "/elsewhere/x", "..", "a/b"):
        bench.text_input[0].set_value(name)
        assert "a folder's name is letters" in texts(press(bench, "Export")).replace("\\", "")
    assert [path.name for path in (store.workspace / "exports").iterdir()] == ["drawn-2-csv"]
