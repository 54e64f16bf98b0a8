"""Applying corrections: ages drawn within a class, versions in a store, and arbitrary logs."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_manifests.corrections.apply import apply_corrections, apply_to_store
from data_manifests.corrections.lines import to_line
from data_manifests.corrections.log import append_correction
from data_manifests.corrections.record import COLUMNS, Correction
from data_manifests.versions.store import Store
from data_manifests.versions.validation import validate
from tests.support.correction_logs import CUTS, apply, counts, event, family, log, outcome
from tests.support.manifest_tables import crop, manifest, photo, synthetic

# -- ages drawn within a class ----------------------------------------------------------------------------------


def test_an_age_class_becomes_an_age_that_the_manifest_has(tmp_path: Path) -> None:
    people = [photo(f"p{i}", age=25) for i in range(40)]
    others = [photo("a", age=60), photo("b", age=63), photo("c", age=30), synthetic(photo("p0"), age=99)]
    records = [event(row, "age", "25", "class:2", day=1 + i % 28) for i, row in enumerate(people)]
    after, report = apply(tmp_path, people + others, *records, seed=5)
    drawn = after["age"].to_pylist()[:40]
    assert set(drawn) == {60, 61, 62, 63}
    assert after["age_class"].to_pylist()[:40] == [2] * 40
    assert counts(report) == {"applied": 40}
    fewer, _ = apply(tmp_path, people + others, *reversed(records[:20]), seed=5)
    assert fewer["age"].to_pylist()[:20] == drawn[:20], "a draw must not depend on the other corrections"
    other_seed, _ = apply(tmp_path, people + others, *records, seed=6)
    assert other_seed["age"].to_pylist()[:40] != drawn


def test_a_person_keeps_one_age_when_the_class_is_corrected_photo_by_photo(tmp_path: Path) -> None:
    rows = [photo("p", shot, age=25) for shot in ("normal", "mask1", "mask2", "mask3")] + [photo("q", age=116)]
    after, _ = apply(tmp_path, rows, *(event(row, "age", "class:0", "class:2") for row in rows[:4]))
    assert len(set(after["age"].to_pylist()[:4])) == 1
    assert after["age"][0].as_py() >= 60


def test_an_age_in_the_class_is_kept(tmp_path: Path) -> None:
    row = photo("p", age=64)
    after, report = apply(tmp_path, [row], event(row, "age", "64", "class:2"))
    assert (after["age"].to_pylist(), outcome(report)) == ([64], ["already"])


def test_photos_with_a_class_and_no_age(tmp_path: Path) -> None:
    table = manifest([photo("p", age=20), photo("q", age=70)])
    table = table.set_column(table.schema.get_field_index("age"), "age", pa.array([None, None], pa.int32()))
    p = photo("p")
    after, report = apply_corrections(
        table,
        log(tmp_path, event(p, "age", "class:0", "class:1"), event(photo("q"), "gender", "male", "female")),
        CUTS,
        seed=0,
    )
    assert outcome(report) == ["applied", "applied"]
    assert after["age"].to_pylist() == [None, None]  # no age is invented where the manifest has none
    assert after["age_class"].to_pylist() == [1, 2]
    assert after["class_id"].to_pylist() == [13, 17]


# -- in a store -------------------------------------------------------------------------------------------------


def test_apply_to_store_twice_is_one_version(store: Store, tmp_path: Path) -> None:
    rows = list(family().values())
    base = store.write("faces", manifest(rows), "ingest")
    path = tmp_path / "ann.csv"
    append_correction(path, replace(event(rows[0], "gender", "male", "female"), manifest=base.pinned))
    tried, forecast = apply_to_store(store, "faces", [path], dry_run=True)
    assert tried == base
    assert len(store.log("faces")) == 1
    version, report = apply_to_store(store, "faces", [path])
    assert forecast.table.equals(report.table)
    assert (version.number, version.parents, version.seed) == (2, (base.pinned,), 0)
    assert version.parameters["corrections"][0]["file"] == "ann.csv"
    assert report.counts["applied"] == 1
    assert apply_to_store(store, "faces@1", [path])[0] == version
    again, second = apply_to_store(store, "faces", [path])
    assert again == version
    assert second.counts == report.counts | {"applied": 0, "already": 1}
    assert len(store.log("faces")) == 2
    report.write_csv(tmp_path / "out" / "report.csv")
    with (tmp_path / "out" / "report.csv").open() as file:
        assert next(csv.DictReader(file))["outcome"] == "applied"


def test_a_correction_of_a_crop_that_is_gone_reaches_the_photo(store: Store, tmp_path: Path) -> None:
    """Reviewed on crops of one run, applied to photos, and to crops of another run with other ids."""
    one, two = photo("p", mask="none"), photo("q", mask="none")
    photos = store.write("faces", manifest([one, two]), "ingest")
    reviewed = store.write("faces", manifest([crop(one), crop(two)]), "crop", parents=[photos])
    newer = [crop(one, path="crop2/p.png", sample_id="1" * 16), crop(two, path="crop2/q.png", sample_id="2" * 16)]
    newest = store.write("faces", manifest(newer), "crop", parents=[photos], parameters={"margin": 2})
    path, elsewhere = tmp_path / "ann.csv", tmp_path / "bob.csv"
    record = event(crop(one), "mask", "none", "worn")
    append_correction(path, replace(record, manifest=reviewed.pinned))
    for base in (photos, newest):
        version, report = apply_to_store(store, base.ref, [path])
        assert store.read(version.ref).table["mask"].to_pylist() == ["worn", "none"]
        assert counts(report) == {"applied": 1}
    for manifest_ref in ("faces@2#" + "0" * 8, "nowhere@1#00000000"):
        elsewhere.unlink(missing_ok=True)
        append_correction(elsewhere, replace(record, manifest=manifest_ref))
        version, report = apply_to_store(store, photos.ref, [elsewhere])
        assert (version, counts(report)) == (photos, {"unplaced": 1})
        assert f"{manifest_ref} does not lead to a photo that is" in report.lines()[1]


def test_an_empty_log_changes_nothing(store: Store, tmp_path: Path) -> None:
    base = store.write("faces", manifest([photo("p")]), "ingest")
    path = tmp_path / "log.csv"
    path.write_text(to_line(COLUMNS))
    version, report = apply_to_store(store, "faces", [path])
    assert version == base
    assert report.lines() == [
        "0 corrections: 0 applied, 0 already, 0 superseded, 0 conflict, 0 unplaced, 0 noted; 0 rows changed"
    ]


# -- any log ----------------------------------------------------------------------------------------------------

VALUES = {"mask": ["none", "worn", "incorrect"], "gender": ["male", "female"], "exclude": ["false", "true"],
         "age": ["25", "64", "class:1", "class:2"]}  # fmt: skip


@st.composite
def records(draw: st.DrawFn) -> list[Correction]:
    rows = list(family().values())
    made = []
    for day in range(1, draw(st.integers(0, 8)) + 1):
        what = draw(st.sampled_from(sorted(VALUES)))
        old, new = draw(st.sampled_from(VALUES[what])), draw(st.sampled_from([*VALUES[what], ""]))
        by = draw(st.sampled_from(["ann", "bob"]))
        scope = draw(st.sampled_from(["sample"] if what == "mask" else ["sample", "person"]))
        made.append(event(draw(st.sampled_from(rows)), what, old, new, by, day=day, scope=scope))
    return made


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=records(), data=st.data())
def test_any_log_applies_in_any_order_to_any_order_of_rows(
    tmp_path: Path, made: list[Correction], data: st.DataObject
) -> None:
    rows = list(family().values())
    after, report = apply_corrections(manifest(rows), log(tmp_path, *made), CUTS, seed=1)
    validate(after)
    assert sum(report.counts.values()) == len(made)
    shuffled = data.draw(st.permutations(made))
    other, second = apply_corrections(manifest(list(reversed(rows))), log(tmp_path, *shuffled), CUTS, seed=1)
    assert sorted(map(str, other.to_pylist())) == sorted(map(str, after.to_pylist()))
    assert second.counts == report.counts
    again, third = apply_corrections(after, log(tmp_path, *made), CUTS, seed=1)
    assert again.to_pylist() == after.to_pylist()
    assert third.rows_changed == 0
    # every changed row has a value that the log contains
    asked = {record.correction_id for record in made}
    for before, now in zip(manifest(rows).to_pylist(), after.to_pylist(), strict=True):
        labels = [name for name in ("mask", "gender", "age") if before[name] != now[name]]
        assert (now["label_source"] in asked) == bool(labels)
