"""Plans of sets that lack labels of mask, gender or age, and of photos that are each their own person."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

from data_manifests.errors import ConfigError, StageError
from data_manifests.schema import BY_NAME, conform
from data_manifests.taxonomy import AgeCuts, class_id_of
from data_manifests.versions.store import Store
from pipeline.photos.images import load_rgb, save_rgb
from synth.cli import cli
from synth.gallery import write_gallery
from synth.plan.execute import run_plan
from synth.plan.plan_table import Plan, make_plan, read_plan
from synth.plan.verify import verify
from synth.settings import SynthSettings, Target
from tests.support.synth_faces import draw_people

AGES = {"a": 24, "b": 26, "c": 22, "d": 45, "e": 65, "f": 70, "g": 31, "h": 33}
SETTINGS = SynthSettings(types=("surgical_blue", "kf94_white", "cloth_dark"), seed=3)
# a mask of each photo but `f`, which is in val
WORN, INCORRECT = ("a", "b", "c", "d"), ("e",)
MASKS = {person: "worn" if person in WORN else "incorrect" if person in INCORRECT else "none" for person in AGES}


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, pa.Table]:
    folder = tmp_path_factory.mktemp("people")
    store = Store(folder / "workspace")
    store.set_root("drawn", folder / "drawn")
    return store, draw_people(folder / "drawn", AGES)


def labelled(table: pa.Table, *kept: str, masks: dict[str, str | None] | None = None) -> pa.Table:
    """Return the rows with the labels `kept`, without a shot; `masks` replaces the mask of each person."""
    rows = table.to_pylist()
    for row in rows:
        row["shot"] = None
        row["mask"] = masks[row["person_id"]] if masks else row["mask"] if "mask" in kept else None
        row["gender"] = row["gender"] if "gender" in kept else None
        row["age"] = row["age"] if "age" in kept else None
        row["age_class"] = row["age_class"] if "age" in kept else None
    made = conform(pa.table({n: pa.array([row[n] for row in rows], column.type) for n, column in BY_NAME.items()}))
    place = made.column_names.index("class_id")
    return made.set_column(place, "class_id", class_id_of(made["mask"], made["gender"], made["age_class"]))


def plan_of(table: pa.Table, **options: object) -> Plan:
    return make_plan(table, SynthSettings.model_validate({"types": SETTINGS.types, **options}), AgeCuts(), "set@1")


def test_a_complete_set_gets_the_plan_of_earlier_versions(complete: tuple[Store, pa.Table]) -> None:
    first = complete[1].filter(pc.is_in(complete[1]["person_id"], pa.array(list("abcdef"))))
    for options, expected in (
        ({"seed": 3}, "98290c2ab48098ba"),
        ({"stage": 2, "seed": 1}, "94dedfcf65991191"),
        ({"targets": [{"age_class": 1, "mask": "incorrect", "pictures": 4}, {"mask": "worn", "pictures": 21}]},
         "713ca494b9a3b864"),
        ({"stage": 2, "ages": {"method": "prototypes", "moves": [[1, 2]], "share": 0.5}}, "d391f90fe8b5021e"),
    ):  # fmt: skip
        plan = make_plan(first, SynthSettings.model_validate(options), AgeCuts()).table
        text = plan.drop(columns="parent_id").to_csv(index=False)  # the id depends on the renderer's bytes
        assert hashlib.sha256(text.encode()).hexdigest()[:16] == expected


def test_masks_alone_are_balanced_in_single_images(complete: tuple[Store, pa.Table]) -> None:
    plan = plan_of(labelled(complete[1], masks=MASKS))
    assert plan.notes == [
        "set@1 has labels of mask: single images, balanced by mask (stage 1: up to the largest)",
        "mask incorrect: 1 → 4 images; 3 images planned from 2 people",
        "mask worn: 4 → 4 images; 0 images planned from 2 people",
        "mask none: 2 → 4 images; 2 images planned from 2 people",
        "sources: 2 train photos; left out: 5 train photos with a mask",
        "no validation photo is labelled mask incorrect: what the drawn masks teach cannot be measured",
    ]
    assert set(plan.table["person_id"]) == {"g", "h"}
    assert plan.table["profile_id"].is_unique
    assert set(plan.table["shot"]) == {""}
    twice = plan_of(labelled(complete[1], masks=MASKS), stage=2)
    assert [goal.planned for goal in twice.goals] == [7, 4, 6]


def test_the_run_writes_masks_that_are_known_and_labels_that_stay_unknown(complete: tuple[Store, pa.Table]) -> None:
    store, table = complete
    store.write("masks", labelled(table, masks=MASKS), "ingest")
    manifest = store.read("masks@1")
    done = run_plan(store, manifest, make_plan(manifest.table, SETTINGS, manifest.cuts).table, SETTINGS, jobs=1)
    made = store.read(done.version.ref)
    rows = [row for row in made.table.to_pylist() if row["is_synthetic"]]
    assert (done.planned, done.failed) == (5, 0)
    assert sorted(row["mask"] for row in rows) == ["incorrect"] * 3 + ["none"] * 2
    for row in rows:
        placement = json.loads(row["recipe"])["wear"]
        assert {"": "none", "worn": "worn"}.get(placement, "incorrect") == row["mask"]
        assert [row[name] for name in ("shot", "gender", "age", "age_class", "class_id")] == [None] * 5
        assert row["split"] == "train"
    assert make_plan(made.table, SETTINGS, made.cuts).table.empty  # nothing is left to plan
    found = verify(store, made, regenerate=True)
    assert (found.rows, found.regenerated, found.problems, found.profiles) == (5, 5, [], 0)
    assert found.counts == ["train, age unknown, real + synthetic: worn 4 + 0, incorrect 1 + 3, none 2 + 2"]
    sheets = write_gallery(store, made, store.workspace / "sheets")
    assert (store.workspace / "sheets" / "unmasked.png") in sheets


def test_a_plan_of_single_images_survives_its_file(complete: tuple[Store, pa.Table], tmp_path: Path) -> None:
    plan = plan_of(labelled(complete[1], masks=MASKS)).table
    plan.to_csv(tmp_path / "plan.csv", index=False)
    again = read_plan(tmp_path / "plan.csv")
    assert again["shot"].tolist() == [""] * len(plan)
    assert again["seed"].tolist() == plan["seed"].tolist()


def test_genders_and_ages_divide_the_masks_where_bare_faces_have_them(complete: tuple[Store, pa.Table]) -> None:
    by_gender = plan_of(labelled(complete[1], "mask", "gender"))
    assert (
        by_gender.notes[0]
        == "set@1 has labels of mask, gender: single images, balanced by mask × gender (stage 1: up to the largest)"
    )
    assert [(goal.goal.name, goal.goal.before, goal.after) for goal in by_gender.goals] == [
        ("mask incorrect, female", 0, 4), ("mask incorrect, male", 0, 4), ("mask worn, female", 0, 4),
        ("mask worn, male", 0, 4), ("mask none, female", 3, 4), ("mask none, male", 4, 4),
    ]  # fmt: skip
    by_age = plan_of(labelled(complete[1], "mask", "age"))
    assert [goal.goal.name for goal in by_age.goals][3:6] == [
        "mask worn, age <30",
        "mask worn, age 30-59",
        "mask worn, age >=60",
    ]
    people = by_age.table.merge(complete[1].select(["person_id", "age_class"]).to_pandas(), on="person_id")
    assert people.groupby("age_class").size().to_dict() == {0: 6, 1: 6, 2: 8}


def test_a_label_that_few_bare_faces_have_divides_nothing(complete: tuple[Store, pa.Table]) -> None:
    rows = labelled(complete[1], "mask", "gender")
    few = pa.array(
        [
            gender if person == "a" else None
            for person, gender in zip(*(rows[n].to_pylist() for n in ("person_id", "gender")), strict=True)
        ]
    )
    rows = rows.set_column(rows.column_names.index("gender"), "gender", few.cast(pa.string()))
    assert (
        plan_of(rows)
        .notes[0]
        .startswith("set@1 has labels of mask, gender: single images, balanced by mask, not by gender, which")
    )


def test_a_photo_of_unknown_mask_is_no_bare_face(complete: tuple[Store, pa.Table]) -> None:
    some = {person: None if person in ("a", "b") else "none" for person in AGES}
    plan = plan_of(labelled(complete[1], "gender", masks=some))
    assert not {"a", "b"} & set(plan.table["person_id"])
    left_out = "2 train photos with an unknown mask that may show one (if none does, ingest with --mask none)"
    assert f"sources: 5 train photos; left out: {left_out}" in plan.notes
    assert "2 train rows lack a label of mask or gender and are not counted" in plan.notes[0]


@pytest.mark.parametrize("kept", [("gender",), ("age",), ("gender", "age")])
def test_without_a_known_mask_there_is_no_face_to_start_from(
    complete: tuple[Store, pa.Table], kept: tuple[str, ...]
) -> None:
    message = r"set@1 has no bare face to put masks on: 7 train photos with an unknown mask .*ingest with --mask none"
    with pytest.raises(StageError, match=message):
        plan_of(labelled(complete[1], *kept))


def test_masked_faces_alone_are_no_start_either(complete: tuple[Store, pa.Table]) -> None:
    worn = dict.fromkeys(AGES, "worn") | {"e": "incorrect"}
    with pytest.raises(StageError, match="no bare face to put masks on: 7 train photos with a mask"):
        plan_of(labelled(complete[1], masks=worn))


def test_faces_without_landmarks_name_the_stage_to_run(complete: tuple[Store, pa.Table]) -> None:
    rows = labelled(complete[1], masks=MASKS)
    place = rows.column_names.index("landmarks_xy")
    rows = rows.set_column(place, "landmarks_xy", pa.nulls(rows.num_rows, BY_NAME["landmarks_xy"].type))
    with pytest.raises(StageError, match=r"2 train photos without landmarks \(run: facecurate preprocess run set@1\)"):
        plan_of(rows)


def test_targets_of_single_images_count_the_ones_before(complete: tuple[Store, pa.Table]) -> None:
    rows = labelled(complete[1], masks=MASKS)
    plan = plan_of(rows, targets=[{"mask": "incorrect", "pictures": 7}, {"pictures": 19}], max_profiles_per_person=20)
    assert plan.notes[1] == "mask incorrect: 1 → 7 images; 6 images planned from 2 people"
    assert plan.notes[2] == "any face: 13 → 19 images; 6 images planned from 2 people"
    placements = ["none" if wear == "" else "worn" if wear == "worn" else "incorrect" for wear in plan.table["wear"]]
    assert placements == ["incorrect"] * 6 + ["worn", "incorrect", "none"] * 2


def test_a_target_that_cannot_be_reached_says_so(complete: tuple[Store, pa.Table]) -> None:
    rows = labelled(complete[1], masks=MASKS)
    plan = plan_of(rows, targets=[{"mask": "worn", "pictures": 90}], max_profiles_per_person=5)
    assert (
        "mask worn: 4 → 14 images; 10 images planned from 2 people; 90 images are requested, 4 exist or are planned, "
        "76 cannot be reached: a person gives at most 5 synthetic images" in plan.notes[1]
    )


def test_a_target_may_only_name_labels_that_exist(complete: tuple[Store, pa.Table]) -> None:
    rows = labelled(complete[1], masks=MASKS)
    with pytest.raises(
        ConfigError,
        match=r"target 2 of synth.targets asks for age_class=1, but no row of set@1 has a label of age; its lab",
    ):
        plan_of(rows, targets=[{"mask": "worn", "pictures": 9}, {"age_class": 1, "pictures": 9}])
    with pytest.raises(ConfigError, match=r"asks for gender=female, but no row of set@1 has a label of gender"):
        plan_of(rows, targets=[{"gender": "female", "pictures": 9}])
    with pytest.raises(ConfigError, match=r"ages.method=prototypes moves faces .* Set ages.method=none"):
        plan_of(rows, ages={"method": "prototypes"})


def test_an_incorrect_mask_fits_into_a_tight_crop(complete: tuple[Store, pa.Table]) -> None:
    """In photos that end below the chin, a mask on the neck would leave nothing but its straps."""
    rows = labelled(complete[1], masks=MASKS).to_pylist()
    for row in rows:
        chin = row["landmarks_xy"][17]
        row["height_px"] = int(chin) + 6
    tight = conform(pa.table({n: pa.array([row[n] for row in rows], column.type) for n, column in BY_NAME.items()}))
    targets = [{"mask": "incorrect", "pictures": 41}]
    drawn = {
        name: set(plan_of(table, targets=targets, max_profiles_per_person=20).table["wear"])
        for name, table in (("tight", tight), ("whole", labelled(complete[1], masks=MASKS)))
    }
    assert "under_chin" not in drawn["tight"]
    assert "under_chin" in drawn["whole"]


def test_the_commands_end_with_the_next_one(complete: tuple[Store, pa.Table], monkeypatch: pytest.MonkeyPatch) -> None:
    store, table = complete
    store.write("alone", labelled(table, masks=MASKS), "ingest")
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    runner, words = CliRunner(), ["types=[surgical_blue]"]
    planned = runner.invoke(cli, ["plan", "alone@1", *words], catch_exceptions=False).output.splitlines()
    assert planned[-2:] == ["5 images planned", "next: facecurate synth run alone@1 'types=[surgical_blue]'"]
    ran = runner.invoke(cli, ["run", "alone@1", "--jobs", "1", *words], catch_exceptions=False).output.splitlines()
    assert ran[-1] == "next: facecurate synth gallery alone@2"
    assert (
        runner.invoke(cli, ["plan", "alone@2"], catch_exceptions=False).output.splitlines()[-1]
        == "next: facecurate train fit alone@2"
    )
    as_json = runner.invoke(cli, ["plan", "alone@1", "--json"], catch_exceptions=False).output
    assert json.loads(as_json)["goals"][0] | {"people": 2} == json.loads(as_json)["goals"][0]
    assert "next:" not in as_json


def test_a_crop_with_grey_bars_is_not_turned(complete: tuple[Store, pa.Table]) -> None:
    """A bar beyond the photo stays upright, or a network would learn synthetic images by their slanted bars."""
    store, table = complete
    rows = labelled(table, masks=MASKS).to_pylist()
    for row in rows:
        if row["person_id"] == "g":
            picture = load_rgb(store.file_of("drawn", row["path"]))
            picture[:, :40] = 127
            saved = save_rgb(picture, store.workspace, "images/barred.png")
            row |= {"root": "workspace", "path": saved.path, "sha256": saved.sha256, "outside_share": 0.2}
    made = conform(pa.table({n: pa.array([row[n] for row in rows], column.type) for n, column in BY_NAME.items()}))
    store.write("barred", made, "ingest")
    manifest = store.read("barred@1")
    settings = SETTINGS.model_copy(update={"targets": (Target(mask="none", pictures=8),)})
    done = run_plan(store, manifest, make_plan(manifest.table, settings, manifest.cuts).table, settings, jobs=1)
    synthetic = [row for row in store.read(done.version.ref).table.to_pylist() if row["is_synthetic"]]
    edges = []
    for row in (row for row in synthetic if row["person_id"] == "g"):
        picture = load_rgb(store.file_of(row["root"], row["path"])).astype(int)
        grey = np.abs(picture - 127).max(axis=2) < 12
        side = grey if grey[:, :8].mean() > grey[:, -8:].mean() else grey[:, ::-1]
        edges.append(int(np.ptp(side[:, :80].sum(axis=1)[50:-50])))
    assert len(edges) == 3
    assert max(edges) <= 3  # the bar is as wide below as above, up to the noise of the encoder
    assert all(row["outside_share"] == pytest.approx(0.2) for row in synthetic if row["person_id"] == "g")
    assert verify(store, store.read(done.version.ref), regenerate=True).problems == []
