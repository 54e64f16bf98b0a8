"""The ages just below the cut: excluded where asked, or moved into the old class."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manifests.errors import ConfigError, ManifestError
from data_manifests.taxonomy import AgeCuts, age_class_of, class_id_of
from data_manifests.versions.store import Store
from pipeline.settings import load_settings
from preprocess.run import run_all, run_drop_ages
from preprocess.settings import DropAgesSettings, PreprocessSettings
from preprocess.stages.drop_ages import drop_ages, parse_ages, relabel_ages
from tests.conftest import write_photos


def table(ages: list[int | None], splits: list[str | None] | None = None, status: str = "ok") -> pa.Table:
    n, age = len(ages), pa.array(ages, pa.int32())
    mask, gender = pa.array(["worn"] * n), pa.array(["female"] * n)
    age_class = age_class_of(age, AgeCuts())
    return pa.table(
        {
            "age": age,
            "mask": mask,
            "gender": gender,
            "age_class": age_class,
            "class_id": class_id_of(mask, gender, age_class),
            "split": pa.array(splits or ["train"] * n, pa.string()),
            "status": [status] * n,
            "reason": pa.array(["detect: 2 faces"] + [None] * (n - 1), pa.string()),
        }
    )


@pytest.mark.parametrize(
    ("text", "ages"), [("57,58,59", (57, 58, 59)), ("57-59", (57, 58, 59)), ("59, 57-58", (57, 58, 59)), ("3", (3,))]
)
def test_ages_are_read(text: str, ages: tuple[int, ...]) -> None:
    assert parse_ages(text) == ages


@pytest.mark.parametrize("text", ["", "old", "57;58", "59-57", "57-", "-5", "110-120", "57.5"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="Got"):
        parse_ages(text)


def test_train_rows_of_the_ages_are_excluded_and_keep_their_reason() -> None:
    done = drop_ages(table([58, 58, 56, None, 59], ["train", "val", "train", "train", "train"]), [57, 58, 59])
    assert done.column("status").to_pylist() == ["excluded", "ok", "ok", "ok", "excluded"]
    assert done.column("reason").to_pylist() == [
        "detect: 2 faces; drop-ages: age 58", None, None, None, "drop-ages: age 59",
    ]  # fmt: skip
    assert done.schema.equals(table([1]).schema)


def test_every_split_on_request_even_before_splitting() -> None:
    unsplit = table([58, 20], [None, None])
    assert drop_ages(unsplit, [58], ("train", "val", "test")).column("status").to_pylist() == ["excluded", "ok"]
    with pytest.raises(ManifestError, match="facecurate split REF"):
        drop_ages(unsplit, [58])


def test_a_failed_row_stays_failed() -> None:
    assert drop_ages(table([58], status="failed"), [58]).column("status").to_pylist() == ["failed"]


def test_an_unknown_split_lists_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"split must be one of \{train, val, test\}. Got 'dev' instead"):
        drop_ages(table([58]), [58], ("dev",))


@given(st.lists(st.integers(0, 116) | st.none(), min_size=1, max_size=30), st.sets(st.integers(0, 116), min_size=1))
def test_excluding_touches_exactly_those_ages_and_twice_is_once(ages: list[int | None], dropped: set[int]) -> None:
    done = drop_ages(table(ages), sorted(dropped))
    assert done.column("status").to_pylist() == ["excluded" if age in dropped else "ok" for age in ages]
    assert drop_ages(done, sorted(dropped)).equals(done)


def test_relabel_is_the_58_cut() -> None:
    done, cuts = relabel_ages(table([29, 57, 58, 59, 60, None]), [58, 59], AgeCuts(30, 60))
    assert cuts == AgeCuts(30, 58)
    assert done.column("age_class").to_pylist() == [0, 1, 2, 2, 2, None]
    assert done.column("class_id").to_pylist() == [3, 4, 5, 5, 5, None]
    assert done.column("age").to_pylist() == [29, 57, 58, 59, 60, None]
    assert done.schema.equals(table([1]).schema)


@pytest.mark.parametrize("ages", [[57, 59], [58], [58, 59, 60], [61], list(range(30, 60))])
def test_relabel_refuses_ages_that_no_cut_describes(ages: list[int]) -> None:
    with pytest.raises(ConfigError, match="consecutive up to 59"):
        relabel_ages(table([58]), ages, AgeCuts(30, 60))


# auto --------------------------------------------------------------------------------------------------------------
def test_auto_leaves_the_ages_out_for_the_layout_profiles_alone(store: Store, tmp_path: Path) -> None:
    for name, layout in (("asked", "profiles"), ("other", "table")):
        write_photos(store, tmp_path / name, 3, name)
        manifest = store.read(name)
        columns = {"age": pa.array([58, 40, 59], pa.int32()), "split": pa.array(["train", "train", "val"])}
        changed = manifest.table
        for column, values in columns.items():
            changed = changed.set_column(changed.column_names.index(column), column, values)
        store.write(name, changed, "ingest", parameters={"layout": layout})
    lines: list[str] = []
    version = run_drop_ages("asked", store, DropAgesSettings(), lines.append)
    assert store.read(version.ref).table.column("status").to_pylist() == ["excluded", "ok", "ok"]
    assert version.parameters["ages"] == "57-59"
    (line,) = lines
    assert "excluded 1 of 3 rows, ages 57-59 in train (drop_ages.ages=auto, for the layout profiles" in line
    with pytest.raises(ConfigError, match="auto means 57-59 for photos of the layout profiles alone"):
        run_drop_ages("other", store, DropAgesSettings(), lines.append)
    steps = PreprocessSettings(steps=("drop_ages",))
    assert run_all("other", store, steps, lines.append) == []
    assert lines[-1].startswith("drop-ages: no age is left out")
    told = PreprocessSettings(steps=("drop_ages",), drop_ages=DropAgesSettings(ages="40"))
    (version,) = run_all("other", store, told, lines.append)
    assert store.read(version.ref).table.column("status").to_pylist() == ["ok", "excluded", "ok"]


def test_a_set_without_a_split_is_refused_before_any_picture_is_read(store: Store, tmp_path: Path) -> None:
    write_photos(store, tmp_path / "photos", 3, "faces")
    store.write("faces", store.read("faces").table, "ingest", parameters={"layout": "profiles"})
    for file in (tmp_path / "photos").iterdir():
        file.unlink()
    with pytest.raises(ManifestError, match=r"no row has a split.*facecurate split REF.*drop_ages\.ages="):
        run_all("faces", store, PreprocessSettings(), lambda line: None)


@pytest.mark.parametrize("written", ["58", "57,58", "57-59", "auto"])
def test_ages_are_text_however_yaml_reads_them(written: str) -> None:
    loaded = load_settings(PreprocessSettings, None, {"drop_ages.ages": written}, "preprocess")
    assert loaded.drop_ages.ages == written
