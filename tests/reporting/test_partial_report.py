"""The dataset report of sets that are labelled for some tasks only: charts and mean images of the labels that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from data_manifests.cli.main import cli
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.store import Store
from reporting.dataset.census import EVERYTHING, take_census
from reporting.dataset.class_charts import census_figures, version_figure
from reporting.dataset.report import label_tile, mean_grid, mean_title
from reporting.mean_images import measure_images
from reporting.theme import LIGHT
from tests.support.partial_sets import PARTIAL, partial_table, write_partial

CUTS = AgeCuts()
FIGURES = {
    "mask": ["classes", "masks", "sizes"],
    "gender": ["strata", "sizes"],
    "age": ["strata", "ages", "sizes"],
    "mask+gender": ["classes", "strata", "masks", "sizes"],
    "none": ["sizes"],
    "mixed": ["classes", "strata", "ages", "pyramid", "masks", "sizes"],
}


@pytest.mark.parametrize("labelled", PARTIAL)
def test_only_charts_of_labels_that_exist_are_drawn(labelled: str) -> None:
    census = take_census(partial_table(labelled))
    found = {figure.key: figure for figure in census_figures(census, EVERYTHING, CUTS, LIGHT)}
    assert list(found) == FIGURES[labelled]


def test_titles_of_partial_sets_name_what_is_counted() -> None:
    def title(labelled: str, key: str, count: int = 36) -> str:
        census = take_census(partial_table(labelled, count))
        return next(one.title for one in census_figures(census, EVERYTHING, CUTS, LIGHT) if one.key == key)

    assert title("mask", "classes") == "The masks are balanced: 12 images each"
    assert title("mask", "classes", 4) == "“incorrect” is the rarest mask: 1 image; “worn” has 2.0 times as many"
    assert title("gender", "strata", 3) == "1 of 2 genders is empty: female"
    assert title("age", "strata", 36) == "The age classes are balanced: 12 profiles each"


def test_charts_state_how_many_rows_lack_the_label() -> None:
    census = take_census(partial_table("mixed", 50))
    notes = {figure.key: figure.note for figure in census_figures(census, EVERYTHING, CUTS, LIGHT)}
    assert notes["classes"] == "40 images have no class: a label is missing."
    assert notes["masks"] == "20 images have no mask label."
    assert notes["strata"].startswith("30 profiles have no label here.")
    assert notes["ages"].endswith("20 profiles have no age in years.")
    assert notes["pyramid"].endswith("30 profiles lack one of the two.")


def test_the_tile_states_the_labels() -> None:
    tiles = {labelled: label_tile(take_census(partial_table(labelled))[EVERYTHING]) for labelled in PARTIAL}
    assert tiles["mask"] == ("Labels", "mask", "gender and age unknown in all images")
    assert tiles["none"] == ("Labels", "none", "no label is known")
    assert tiles["mixed"][0] == "Classes with an image"


GRIDS = {
    "mask": ("Mean image by mask, and of all images", {"": ["worn", "incorrect", "none"]}),
    "gender": ("Mean image by gender, and of all images", {"": ["male", "female"]}),
    "age": ("Mean image by age, and of all images", {"": ["<30", "30–59", "≥60"]}),
    "mask+gender": (
        "Mean image by mask and gender, and of all images",
        {mask: ["male", "female"] for mask in ("worn", "incorrect", "none")},
    ),
    "none": ("Mean of all images", {}),
}


@pytest.mark.parametrize("labelled", list(GRIDS))
def test_mean_images_follow_the_labels_that_exist(labelled: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    manifest = store.read(write_partial(store, labelled).ref)
    found = measure_images(store, manifest.version, manifest.table)
    assert found is not None
    title, rows = GRIDS[labelled]
    grid = mean_grid(found, CUTS)
    assert mean_title(found) == title
    assert {row["name"]: [cell["name"] for cell in row["cells"]] for row in grid} == rows
    assert sum(cell["count"] for row in grid for cell in row["cells"]) == (36 if rows else 0)
    assert found.counts.sum() == found.read.sum() == 36
    again = measure_images(store, manifest.version, manifest.table)  # from the cache
    assert again is not None
    assert again.tasks == found.tasks


def test_images_that_lack_a_label_are_measured_too(tmp_path: Path) -> None:
    store = Store(tmp_path)
    manifest = store.read(write_partial(store, "mixed", 90).ref)
    found = measure_images(store, manifest.version, manifest.table)
    assert found is not None
    grid = mean_grid(found, CUTS)
    assert grid[-1]["name"] == "a label is missing"
    assert grid[-1]["cells"][0]["count"] == found.counts[-1] == 72
    assert found.counts.sum() == 90


def test_versions_without_classes_show_their_usable_images(tmp_path: Path) -> None:
    store = Store(tmp_path)
    versions = [write_partial(store, "mask", count) for count in (9, 18)]
    figure = version_figure(versions, LIGHT)
    assert figure is not None
    assert figure.title == "Usable images, version by version of partial"
    assert "18 images" in str(figure.chart.to_dict())


@pytest.mark.slow
@pytest.mark.parametrize("labelled", PARTIAL)
def test_the_page_has_no_empty_section(labelled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSPACE", str(tmp_path))
    write_partial(Store(tmp_path), labelled, 12)
    out = tmp_path / "report.html"
    CliRunner().invoke(cli, ["report", "partial", "--out", str(out)], catch_exceptions=False)
    page = out.read_text("utf8")
    assert ("of 18" in page) == (labelled == "mixed")
    assert ("<h2>Labels</h2>" in page) == (labelled != "none")
    assert ("<h2>Ages</h2>" in page) == (labelled in ("age", "mixed"))
    assert not re.search(r"<h2>[^<]*</h2>\s*(<div[^>]*>\s*)*</div>", page)
    assert "Measured on 12 of 12 images" in page
