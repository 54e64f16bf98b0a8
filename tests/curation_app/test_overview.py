"""The Overview page: charts by split, pictures measured when asked, and what it says when something is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from data_manifests.versions.store import Store
from tests.conftest import write_photos
from tests.support.app_pages import open_page, press, texts
from tests.support.manifest_tables import manifest, photo


def charts(bench: AppTest) -> list[str]:
    """The Vega specifications on the page, their data among it."""
    return [json.dumps(json.loads(one.proto.spec)) for one in bench.get("vega_lite_chart")] or [
        json.dumps(json.loads(one.proto.spec)) for one in bench.get("arrow_vega_lite_chart")
    ]


def two_splits(store: Store, folder: Path) -> None:
    """Photos of 6 people, 4 of them in train, as version 2."""
    import pyarrow as pa

    version = write_photos(store, folder, 6)
    table = store.read(version.ref).table
    at = table.schema.get_field_index("split")
    table = table.set_column(at, "split", pa.array(["train"] * 4 + ["val"] * 2))
    store.write("drawn", table, "split", parents=[version])


@pytest.mark.slow
def test_counts_by_split(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_splits(store, tmp_path / "photos")
    bench = open_page("overview", store, "drawn@2", monkeypatch)
    assert "Contents of drawn@2" in texts(bench).replace("\\", "")
    assert {one.label: one.value for one in bench.metric}["People"] == "6"
    assert len(charts(bench)) == 7  # six of the version, one of the versions
    bench.segmented_control[0].set_value("val").run()
    assert {one.label: one.value for one in bench.metric}["People"] == "2"


@pytest.mark.slow
def test_pictures_are_measured_when_asked_and_then_known(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_splits(store, tmp_path / "photos")
    bench = open_page("overview", store, "drawn@2", monkeypatch)
    assert "Mean image of each class" not in texts(bench)
    bench = press(bench, "Measure 6 images")
    assert "Mean image of each class" in texts(bench)
    assert "Measured on 6 of 6 images" in texts(bench)
    assert any('"red ' in chart for chart in charts(bench))
    again = open_page("overview", store, "drawn@2", monkeypatch)
    assert "Mean image of each class" in texts(again)


@pytest.mark.slow
def test_a_deleted_picture_is_told_and_the_rest_works(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_splits(store, tmp_path / "photos")
    (tmp_path / "photos" / "p001.png").unlink()
    bench = press(open_page("overview", store, "drawn@2", monkeypatch), "Measure 6 images")
    told = texts(bench)
    assert "1 of 6 images could not be read. Put them back" in told
    assert "facecurate verify drawn@2" in told
    assert "p001.png: file does not exist" in told
    assert "Measured on 5 of 6 images" in told


def test_no_manifest_and_a_broken_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "facecurate doctor PHOTOS" in texts(open_page("overview", store, "", monkeypatch))
    store.write("faces", manifest([photo("a")]), "test")
    file = store.resolve("faces@1")
    file.chmod(0o644)
    file.write_bytes(b"PAR1 not really")
    assert "cannot be read" in texts(open_page("overview", store, "faces@1", monkeypatch))


def test_nothing_usable(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write("faces", manifest([photo("a", status="failed")]), "test")
    assert "No usable row here" in texts(open_page("overview", store, "faces@1", monkeypatch))


@pytest.mark.slow
def test_the_report_is_written_to_the_workspace(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_splits(store, tmp_path / "photos")
    bench = press(open_page("overview", store, "drawn@2", monkeypatch), "Write the report")
    texts(bench)
    [file] = (store.workspace / "reports").glob("drawn-2-*.html")
    assert "<title>drawn@2" in file.read_text("utf8")
    assert bench.get("download_button")


def test_an_unknown_root_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write("faces", manifest([photo("a")]), "test")
    told = texts(press(open_page("overview", store, "faces@1", monkeypatch), "Measure 1 image"))
    assert "is not in" in told
    assert "facecurate root faces FOLDER" in told
