"""The Grid page in Streamlit's test bench."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_manifests.corrections.apply import apply_to_store
from data_manifests.corrections.log import read_corrections
from data_manifests.versions.store import Store
from tests.support.app_pages import open_page, texts
from tests.support.app_server import write_people
from tests.support.app_tiles import send, tiles_data
from tests.support.audited_people import audited_people, logs, rows_of, saved_values


def test_page_shows_a_class_and_writes_corrections(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    audited_people(store, 3, p001={"gender": "male", "suggested_gender": "female", "gender_label_score": 0.1})
    bench = open_page("grid", store, "people@1", monkeypatch, "Kim")
    assert [tile["label"] for tile in tiles_data(bench)["tiles"]] == ["male 25 · worn"] * 5  # the first of 18 classes
    bench.segmented_control[0].set_value("suspected").run()
    bench.selectbox(key="grid field suspected").set_value("gender").run()
    bench.selectbox(key="grid value suspected gender").set_value(1).run()
    shown = tiles_data(bench)["tiles"]
    assert [tile["head"].split()[0] for tile in shown] == ["p001"] * 7
    assert {tile["hint"] for tile in shown} == {"predicted female"}
    answer = send(bench, "grid", "suggested=gender", [shown[0]["id"], shown[1]["id"]])
    assert answer == {"text": "Saved · As suggested · 2 pictures", "error": False}
    assert saved_values(store) == [("p001", "person", "gender", "male", "female")]
    assert {tile["verdict"] for tile in tiles_data(bench)["tiles"]} == {"→ female"}
    version, report = apply_to_store(store, "people@1", logs(store))
    assert (report.counts["applied"], report.rows_changed, version.number) == (1, 7, 2)


def test_undo_reverts_the_last_save_of_the_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    audited_people(store, 3)
    bench = open_page("grid", store, "people@1", monkeypatch, "Kim")
    first = tiles_data(bench)["tiles"][0]["id"]
    assert tiles_data(bench)["undo"] is None
    send(bench, "grid", "mask=none", [first])
    bench = open_page("grid", store, "people@1", monkeypatch, "Kim")  # the next morning
    undo = tiles_data(bench)["undo"]
    assert send(bench, "grid", "undo", [undo["name"]])["text"] == "Undid 1 label."
    assert [record[-1] for record in saved_values(store)] == ["none", ""]
    assert tiles_data(bench)["undo"] is None
    _, report = apply_to_store(store, "people@1", logs(store))
    assert report.rows_changed == 0


def test_invalid_save_writes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    audited_people(store, 3)
    bench = open_page("grid", store, "people@1", monkeypatch)
    known = tiles_data(bench)["tiles"][0]["id"]
    assert tiles_data(bench)["whyNot"].startswith("Enter your name")
    assert "Enter your name" in send(bench, "grid", "mask=none", [known])["text"]
    bench = open_page("grid", store, "people@1", monkeypatch, "Kim")
    for number, (action, ids) in enumerate([("mask=funny", [known]), ("mask=none", [known, "not-there"])]):
        answer = send(bench, "grid", action, ids, f"gwrong{number:04d}")
        assert answer["error"]
        assert answer["text"].startswith("Nothing was saved: ")
    assert saved_values(store) == []


def test_save_refers_to_the_version_shown(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    version_rows = audited_people(store, 3)
    store.write("people", faces_table(store, "people@1", "split"), "split", parents=[version_rows.version])
    bench = open_page("grid", store, "people@2", monkeypatch, "Kim")
    given, old = tiles_data(bench), version_rows.version.pinned
    assert given["manifest"] != old
    save = {"name": "gold000001", "manifest": old, "action": "mask=none", "ids": [given["tiles"][0]["id"]]}
    bench.session_state["grid"] = {"saves": [save]}
    assert not tiles_data(bench.run())["results"]["gold000001"]["error"]
    [record] = read_corrections(logs(store)).to_pylist()
    assert record["manifest"] == old


def faces_table(store: Store, ref: str, column: str) -> pa.Table:
    table = store.read(ref).table
    at = table.schema.get_field_index(column)
    return table.set_column(at, column, pa.array(["train"] * table.num_rows))


def test_missing_picture_is_reported_and_the_rest_is_shown(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    version_rows = audited_people(store, 3)
    [row] = rows_of(version_rows, "p000/mask2")
    (store.workspace / "photos" / row["path"]).unlink()
    shown = tiles_data(open_page("grid", store, "people@1", monkeypatch, "Kim"))["tiles"]
    assert [bool(tile["src"]) for tile in shown].count(False) == 1
    assert "is no longer in the folder" in next(tile["problem"] for tile in shown if not tile["src"])


def test_paging(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    audited_people(store, 30)  # ten of each class, five masks each
    bench = open_page("grid", store, "people@1", monkeypatch, "Kim")
    bench.selectbox(key="grid size").set_value(48).run()
    given = tiles_data(bench)
    assert (given["pages"], given["total"], len(given["tiles"])) == (2, 50, 48)
    bench.session_state["grid"] = {"page": {"of": given["selection"], "page": 1}}
    second = tiles_data(bench.run())
    assert (second["first"], len(second["tiles"])) == (48, 2)
    assert not {tile["id"] for tile in second["tiles"]} & {tile["id"] for tile in given["tiles"]}
    bench.selectbox(key="grid field labelled").set_value("gender").run()  # another choice begins at its first page
    assert tiles_data(bench)["page"] == 0


def test_missing_audit_names_the_command_to_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_people(store, 3)
    bench = open_page("grid", store, "people@1", monkeypatch, "Kim")
    assert len(tiles_data(bench)["tiles"]) == 5
    for show in ("suspected", "duplicates"):
        bench.segmented_control[0].set_value(show).run()
        assert "facecurate audit run people@1" in texts(bench)
    bench.segmented_control[0].set_value("predicted").run()
    assert "facecurate train fit people@1" in texts(bench)
    bench.segmented_control[0].set_value("excluded").run()
    assert tiles_data(bench)["empty"] == "No correction has excluded a photo from this version."


def test_differing_predictions_are_shown_most_confident_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    version_rows = audited_people(store, 3)
    ids = version_rows.column("sample_id").to_pylist()
    run = store.workspace / "runs" / "people-0001"
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"manifest": "people@1", "state": "finished"}')
    predicted = np.array(version_rows.column("class_id").to_pylist(), np.int8)
    confidence = np.linspace(0.5, 0.9, len(ids)).astype(np.float32)
    predicted[[1, 3]] = 3  # two masked young men as women
    columns = {"sample_id": ids, "split": ["val"] * len(ids), "target": predicted, "predicted": predicted}
    pq.write_table(pa.table(columns | {"confidence": confidence}), run / "predictions.parquet")
    bench = open_page("grid", store, "people@1", monkeypatch, "Kim")
    bench.segmented_control[0].set_value("predicted").run()
    bench.selectbox(key="grid field predicted").set_value("gender").run()
    bench.selectbox(key="grid value predicted gender").set_value(1).run()
    assert [tile["id"] for tile in tiles_data(bench)["tiles"]] == [ids[3], ids[1]]
    bench.selectbox(key="grid differ").set_value("all photos").run()
    assert tiles_data(bench)["total"] == 2 + 7  # and the woman
