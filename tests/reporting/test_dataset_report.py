"""The dataset report: counts, charts, mean images and colours of a version."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data_manifests.cli.main import cli
from data_manifests.taxonomy import SHOTS, AgeCuts, class_names
from data_manifests.versions.store import Store
from reporting.charts import Figure, to_svg
from reporting.dataset.census import EVERYTHING, take_census
from reporting.dataset.class_charts import census_figures, version_figure
from reporting.dataset.colour_charts import colour_figure
from reporting.mean_images import is_measured, measure_images
from reporting.theme import LIGHT, PAGE
from tests.conftest import write_photos
from tests.support.manifest_tables import manifest, photo, synthetic

CUTS = AgeCuts()


def people_table(*people: tuple[str, str, int, str]) -> pa.Table:
    """Seven shots of each (name, gender, age, split)."""
    return manifest(
        [
            photo(name, shot, gender=gender, age=age, split=split)
            for name, gender, age, split in people
            for shot in SHOTS
        ]
    )


def drawn(figure: Figure) -> list[dict]:
    """All rows of data in a chart."""
    found: list[dict] = []

    def walk(part: object) -> None:
        if isinstance(part, dict):
            found.extend(part["data"]["values"] if "values" in part.get("data", {}) else [])
            for inner in part.values():
                walk(inner)
        elif isinstance(part, list):
            for inner in part:
                walk(inner)

    walk(figure.chart.to_dict())
    return found


# -- counts -----------------------------------------------------------------------------------------------------


def test_pictures_by_class_and_profiles_by_stratum() -> None:
    table = people_table(("a", "male", 25, "train"), ("b", "male", 29, "val"), ("c", "female", 60, "train"))
    census = take_census(table)
    assert list(census) == [EVERYTHING, "train", "val"]
    everything = census[EVERYTHING]
    assert (everything.rows, everything.people, everything.profiles, everything.unlabelled) == (21, 3, 3, 0)
    by_name = dict(zip(class_names(CUTS), everything.classes.sum(1).tolist(), strict=True))
    assert {name: count for name, count in by_name.items() if count} == {
        "worn male <30": 10, "worn female >=60": 5, "incorrect male <30": 2, "incorrect female >=60": 1,
        "none male <30": 2, "none female >=60": 1,
    }  # fmt: skip
    assert everything.strata.sum(2).tolist() == [[2, 0, 0], [0, 0, 1]]
    assert np.argwhere(everything.ages).tolist() == [[0, 25, 0], [0, 29, 0], [1, 60, 0]]
    assert everything.masks.sum(1).tolist() == [15, 3, 3]
    assert everything.sizes == ((384, 512, 21),)
    assert (census["train"].rows, census["val"].profiles) == (14, 1)


def test_failed_rows_count_nowhere_but_in_the_ledger_and_synthetic_ones_by_themselves() -> None:
    a = photo("a", gender="female", age=61)
    table = manifest([a, synthetic(a), synthetic(a, shot="mask2"), photo("b", status="failed"), photo("c", age=None)])
    census = take_census(table)[EVERYTHING]
    assert (census.rows, census.people, census.profiles, census.unlabelled) == (4, 2, 3, 1)
    assert census.status == {"ok": 4, "fallback": 0, "failed": 1, "excluded": 0}
    assert census.strata[1, 2].tolist() == [1, 1]
    assert census.synthetic == 2
    assert census.classes.sum() == 3


ROWS = st.lists(
    st.tuples(
        st.integers(0, 5), st.sampled_from(["male", "female", None]), st.sampled_from([None, 5, 29, 30, 59, 60, 116]),
        st.sampled_from(["ok", "fallback", "failed", "excluded"]),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(ROWS)
def test_counts_add_up(drawn_rows: list[tuple]) -> None:
    table = manifest(
        [
            photo(f"p{person}", SHOTS[i % 7], path=f"{i}.jpg", sample_id=f"{i:016x}", gender=gender, age=age,
                  status=status, split=["train", "val", None][person % 3])
            for i, (person, gender, age, status) in enumerate(drawn_rows)
        ]
    )  # fmt: skip
    for name, census in take_census(table).items():
        rows = [row for row in table.to_pylist() if name == EVERYTHING or row["split"] == name]
        usable = [row for row in rows if row["status"] in ("ok", "fallback")]
        assert census.rows == len(usable) == census.classes.sum() + census.unlabelled
        assert sum(census.status.values()) == len(rows)
        assert census.people == len({row["person_id"] for row in usable})
        firsts = {row["profile_id"]: row for row in reversed(usable)}.values()
        assert census.profiles == len(firsts)
        assert census.ages.sum() == sum(row["age"] is not None for row in firsts)
        assert census.strata.sum() == sum(None not in (row["gender"], row["age"]) for row in firsts)


# -- charts -----------------------------------------------------------------------------------------------------


def test_charts_show_the_counts_and_mark_cuts_and_hard_ages() -> None:
    people = [
        ("a", "male", 25, "train"),
        ("b", "male", 58, "train"),
        ("c", "female", 59, "val"),
        ("d", "female", 70, "val"),
    ]
    census = take_census(people_table(*people))
    found = {figure.key: figure for figure in census_figures(census, EVERYTHING, CUTS, LIGHT)}
    assert list(found) == ["classes", "strata", "ages", "pyramid", "masks", "sizes"]
    assert found["classes"].title.startswith("6 of 18 classes are empty: worn male ≥60, worn female <30, ")
    rows = drawn(found["classes"])
    assert {"name": "worn male <30", "kind": "real", "count": 5, "description": "worn male <30, real: 5"} in rows
    assert {"name": "worn male ≥60", "count": 0, "text": "0", "empty": True} in rows
    assert found["ages"].title == "50.0 % of the profiles are 57 to 59, where one year decides the class"
    rows = drawn(found["ages"])
    assert [row["from"] for row in rows if set(row) == {"from"}] == [30, 60]
    assert {(row["from"], row["to"]) for row in rows if row.get("text") == "57–59"} == {(57, 60)}
    assert {row["text"] for row in rows if "text" in row} == {"57–59", "<30: 1", "30–59: 2", "≥60: 1"}
    assert sorted(row["from"] for row in rows if "profiles" in row) == [25, 58, 59, 70]
    rows = {(row["age"], row["gender"]): row["profiles"] for row in drawn(found["pyramid"]) if "age" in row}
    assert (rows["55–59", "male"], rows["55–59", "female"], rows["70–74", "female"]) == (1, 1, 1)
    assert found["masks"].title == "Masks: “incorrect” and “none” are the rarest, 14.3 % each"
    assert {row["split"] for row in drawn(found["masks"])} == {"all", "train", "val"}
    assert found["sizes"].title == "All images are 384 × 512 pixels"


def test_many_sizes_are_summed_up() -> None:
    table = manifest([photo(f"p{i}", width_px=100 + min(i, 11)) for i in range(14)])
    [figure] = [one for one in census_figures(take_census(table), EVERYTHING, CUTS, LIGHT) if one.key == "sizes"]
    assert figure.title == "21.4 % of the images are 111 × 512 pixels; 12 sizes in all"
    row = {"name": "4 other sizes", "kind": "real", "count": 4, "description": "4 other sizes, real: 4"}
    assert row in drawn(figure)


def test_nothing_usable_draws_nothing() -> None:
    table = manifest([photo("a", status="failed")])
    assert census_figures(take_census(table), EVERYTHING, CUTS, LIGHT) == []


def test_versions(store: Store) -> None:
    one = store.write("faces", people_table(("a", "male", 25, "train")), "ingest")
    assert version_figure([one], LIGHT) is None
    two = store.write("faces", people_table(("a", "male", 25, "train"), ("b", "male", 65, "val")), "apply")
    figure = version_figure([one, two], LIGHT)
    assert figure is not None
    counts = {(row["label"], row["ages"]): row["images"] for row in drawn(figure)}
    assert counts["@1 ingest", "≥60"] == 0
    assert counts["@2 apply", "≥60"] == counts["@2 apply", "<30"] == 7


def test_svg_is_text_that_scales_and_follows_the_page() -> None:

    census = take_census(people_table(("a", "male", 25, "train")))
    for figure in census_figures(census, EVERYTHING, CUTS, PAGE):
        svg = to_svg(figure.chart, figure.key, 510)
        opening = svg[: svg.index(">")]
        assert re.match(r'<svg class="chart" role="img" viewBox="0 0 \d', opening)
        assert 'width="' not in opening
        assert "var(--soft)" in svg
        assert "#4c78a8" not in svg  # Vega's own blue
        assert "http" not in svg.replace("http://www.w3.org", "")


# -- pictures ---------------------------------------------------------------------------------------------------


def plain_photos(store: Store, folder: Path, colours: list[tuple[int, int, int]], **values: list) -> None:
    """One-coloured 48×64 PNGs of as many people, as version 1 of `plain`."""
    rows = []
    for i, colour in enumerate(colours):
        row = photo(f"p{i}", root="plain", path=f"p{i}.png", width_px=48, height_px=64, sha256=None)
        rows.append(row | {name: given[i] for name, given in values.items()})
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (48, 64), colour).save(folder / f"p{i}.png")
    store.set_root("plain", folder)
    store.write("plain", manifest(rows), "test")


def test_mean_images_and_colours(store: Store, tmp_path: Path) -> None:
    colours = [(200, 100, 0), (100, 100, 0), (0, 0, 255)]
    plain_photos(store, tmp_path / "p", colours, gender=["male", "male", "female"])
    read = store.read("plain")
    found = measure_images(store, read.version, read.table)
    assert found is not None
    male, female = class_names(CUTS).index("none male <30"), class_names(CUTS).index("none female <30")
    assert found.read[[male, female]].tolist() == [2, 1]
    assert found.means.shape == (19, 128, 96, 3)  # the 18 classes, and images without one
    assert found.means[male, 0, 0].tolist() == [150, 100, 0]
    assert found.means[female, 60, 40].tolist() == [0, 0, 255]
    assert found.overall[5, 5].tolist() == [100, 67, 85]
    assert found.mean == pytest.approx([100, 200 / 3, 85])
    assert found.deviation == pytest.approx(np.std(np.array(colours), axis=0))
    assert found.histogram.sum(1) == pytest.approx([1, 1, 1])
    assert found.histogram[0, 200] == pytest.approx(1 / 3)
    assert found.note() == "Measured on 3 of 3 images, at most 2 of a class."
    assert "red 100" in {row.get("text") for row in drawn(colour_figure(found, LIGHT))}


def test_each_class_counts_as_often_as_it_stands_in_the_version_and_the_draw_is_seeded(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain_photos(store, tmp_path / "p", [(240, 0, 0)] * 9 + [(0, 0, 0)], gender=["male"] * 9 + ["female"])
    read = store.read("plain")
    found = measure_images(store, read.version, read.table, per_class=3)
    assert f"measure images of {read.version.ref}: " in capsys.readouterr().err
    assert found is not None
    assert found.read.sum() == 4
    assert found.mean[0] == pytest.approx(240 * 0.9)
    assert found.note() == "Measured on 4 of 10 images, at most 3 of a class."
    assert is_measured(store, read.version, per_class=3)
    for file in (tmp_path / "p").iterdir():
        file.unlink()
    again = measure_images(store, read.version, read.table, per_class=3)  # kept
    assert again is not None
    assert (again.means == found.means).all()


def test_files_that_cannot_be_read_are_told(store: Store, tmp_path: Path) -> None:
    plain_photos(store, tmp_path / "p", [(240, 0, 0)] * 4)
    (tmp_path / "p" / "p0.png").unlink()
    (tmp_path / "p" / "p1.png").write_bytes(b"no picture")
    (tmp_path / "secret.png").write_bytes((tmp_path / "p" / "p3.png").read_bytes())
    (tmp_path / "p" / "p2.png").unlink()
    (tmp_path / "p" / "p2.png").symlink_to(tmp_path / "secret.png")
    read = store.read("plain")
    ticks: list[tuple[int, int]] = []
    found = measure_images(store, read.version, read.table, on_progress=lambda done, total: ticks.append((done, total)))
    assert found is not None
    assert ticks == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert found.read.sum() == 1
    assert len(found.unreadable) == 3
    assert found.note() == "Measured on 1 of 4 images, at most 4 of a class."
    assert found.problem() == "3 could not be read, such as p0.png: file does not exist."
    assert "p2.png: path leads out of the photo folder through a link" in found.unreadable
    assert not is_measured(store, read.version)
    (tmp_path / "p" / "p3.png").unlink()
    nothing = measure_images(store, read.version, read.table)
    assert nothing is not None
    assert nothing.read.sum() == 0


# -- the report -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_report_is_one_file_with_everything_inside(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    version = write_photos(store, tmp_path / "photos", 12)
    table = store.read(version.ref).table
    table = table.set_column(
        table.schema.get_field_index("split"), "split", pa.array(["train"] * 9 + ["val"] * 3, pa.string())
    )
    store.write("drawn", table, "split", parents=[version])
    out = tmp_path / "report.html"
    told = CliRunner().invoke(cli, ["report", "drawn", "--out", str(out)], catch_exceptions=False).output
    assert f"report: {out}\ndrawn@2: 12 rows (ok 12, fallback 0, failed 0, excluded 0)\n" in told
    page = out.read_text("utf8")
    assert page.count('<section class="panel">') == 3
    assert page.count("<svg") == 3 * 7 + 1
    for address in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert address.startswith("data:image/jpeg;base64,")
    assert not re.search(r"url\((?!#)|@import|<script|<link", page)
    assert "Red is the brightest" in page or "Green is the brightest" in page or "Blue is the brightest" in page
    assert "Measured on 12 of 12 images" in page


def test_what_a_manifest_says_is_escaped(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    store.set_root("faces", tmp_path)
    store.write("faces", manifest([photo("p", path="<b>x</b>.jpg")]), "<script>alert(1)</script>")
    CliRunner().invoke(cli, ["report", "faces", "--out", str(tmp_path / "r.html")], catch_exceptions=False)
    page = (tmp_path / "r.html").read_text("utf8")
    assert "<script" not in page
    assert "<b>x" not in page
    assert "&lt;b&gt;x&lt;/b&gt;.jpg: file does not exist" in page
