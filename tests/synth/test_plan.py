"""A plan, its execution and its verification, on rendered people with their true landmarks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests.errors import ConfigError, ManifestError, StageError
from data_manifests.schema import BY_NAME, conform
from data_manifests.splits.balance import shortfall, stratum_counts
from data_manifests.taxonomy import SHOTS, AgeCuts
from data_manifests.versions.store import Store
from pipeline.settings import load_settings
from synth.cli import cli
from synth.demo_faces.parameters.sampling import sample_person, sample_snapshot
from synth.demo_faces.rendering.portrait import build_model, render_snapshot
from synth.gallery import write_gallery
from synth.masks import load_templates
from synth.masks.user_templates import load_kept_template
from synth.plan.execute import run_plan
from synth.plan.plan_table import Plan, make_plan
from synth.plan.variation import vary
from synth.plan.verify import verify
from synth.settings import SynthSettings
from tests.support.synth_faces import draw_people, write_mask

AGES = {"a": 24, "b": 26, "c": 22, "d": 45, "e": 65, "f": 70}
SETTINGS = SynthSettings(types=("surgical_blue", "kf94_white", "cloth_dark"), seed=3)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("people")
    store = Store(folder / "workspace")
    store.set_root("drawn", folder / "drawn")
    store.write("drawn", draw_people(folder / "drawn", AGES), "ingest")
    return store


@pytest.fixture(scope="module")
def balanced(people: Store) -> str:
    manifest = people.read("drawn@1")
    return run_plan(
        people, manifest, make_plan(manifest.table, SETTINGS, manifest.cuts).table, SETTINGS, jobs=1
    ).version.ref


def test_the_plan_raises_every_age_class_to_the_largest(people: Store) -> None:
    plan = make_plan(people.read("drawn@1").table, SETTINGS, AgeCuts())
    profiles = plan.table.drop_duplicates("profile_id")
    assert profiles.groupby("person_id").size().to_dict() == {"d": 2, "e": 2}  # never `f`, who is in val
    for _, profile in plan.table.groupby("profile_id"):
        assert profile["shot"].tolist() == list(SHOTS)
        assert profile["wear"].tolist()[:6] == ["", *["worn"] * 5]
        assert profile["wear"].iloc[6] in SETTINGS.placements
        assert len(set(profile["look_seed"])) == 1
    about = "REF has labels of mask, gender, age: whole profiles of 7 images, balanced by age class"
    assert plan.notes[0] == f"{about} (stage 1: up to the largest)"
    assert plan.notes[1] == "age <30: 3 → 3 profiles; 0 profiles planned from 3 people"
    assert plan.notes[2] == "age 30-59: 1 → 3 profiles; 2 profiles planned from 1 person"
    assert plan.notes[4:] == [  # every photo is a source
        "warning: after this plan the mask tells the age: mask none is 100% of <30, 20% of 30-59, 20% of >=60. A "
        "network can learn one from the other; balance them with synth.targets, or leave the set as it is",
        "no validation photo is labelled mask worn or incorrect: what the drawn masks teach cannot be measured",
    ]


def test_five_masks_are_drawn_without_replacement_when_there_are_five(people: Store) -> None:
    plan = make_plan(people.read("drawn@1").table, SynthSettings(stage=2), AgeCuts()).table
    for _, profile in plan[plan["wear"] == "worn"].groupby("profile_id"):
        assert profile["mask_type"].nunique() == 5


def test_the_plan_notes_the_profiles_that_cannot_be_reached(people: Store) -> None:
    few = SETTINGS.model_copy(update={"stage": 2, "max_profiles_per_person": 2})
    notes = make_plan(people.read("drawn@1").table, few, AgeCuts()).notes
    assert (
        "2 profiles planned from 1 person; 5 profiles are requested, 3 cannot be reached: a person gives at most 2"
        in notes[3]
    )
    assert notes[3].startswith("age >=60: 1 → 3 profiles; ")


def test_a_fallback_face_is_not_a_source(people: Store) -> None:
    table = people.read("drawn@1").table
    status = pa.array(["fallback" if person == "e" else "ok" for person in table["person_id"].to_pylist()])
    table = table.set_column(table.column_names.index("status"), "status", status)
    plan = make_plan(table, SETTINGS, AgeCuts())
    assert set(plan.table["person_id"]) == {"d"}
    assert "2 profiles are requested, 2 cannot be reached" in plan.notes[3]
    assert plan.notes[4] == "sources: 4 train photos; left out: 1 train photo with a guessed face (status fallback)"


def test_without_a_split_nothing_is_planned(people: Store) -> None:
    table = people.read("drawn@1").table
    table = table.set_column(table.column_names.index("split"), "split", pa.nulls(6, pa.string()))
    with pytest.raises(ManifestError, match=r"no row of REF has a split, .*Run: facecurate split REF"):
        make_plan(table, SETTINGS, AgeCuts())


def test_the_run_balances_and_rows_inherit(people: Store, balanced: str) -> None:
    table = people.read(balanced).table
    assert shortfall(stratum_counts(table), 1)["missing"].to_pylist() == [0, 0, 0]
    rows = table.to_pylist()
    photos = {row["sample_id"]: row for row in rows if not row["is_synthetic"]}
    made = [row for row in rows if row["is_synthetic"]]
    assert len(made) == 4 * 7
    for row in made:
        photo = photos[row["parent_id"]]
        for column in ("person_id", "split", "gender", "age", "age_class", "source_id", "x_note"):
            assert row[column] == photo[column]
        assert (row["status"], row["root"]) == ("ok", "workspace")
        assert row["mask"] == {"": "none", "worn": "worn"}.get(json.loads(row["recipe"])["wear"], "incorrect")
        assert people.file_of(row["root"], row["path"]).is_file()


def test_an_executed_plan_leaves_nothing_to_plan(people: Store, balanced: str) -> None:
    manifest = people.read(balanced)
    assert make_plan(manifest.table, SETTINGS, manifest.cuts).table.empty


def test_run_again_makes_nothing_and_the_same_version(people: Store, balanced: str) -> None:
    manifest = people.read("drawn@1")
    again = run_plan(people, manifest, make_plan(manifest.table, SETTINGS, manifest.cuts).table, SETTINGS)
    assert (again.version.ref, again.reused, again.planned) == (balanced, 28, 28)


def test_every_picture_can_be_made_again_from_its_row(people: Store, balanced: str) -> None:
    found = verify(people, people.read(balanced), regenerate=True)
    assert (found.rows, found.regenerated, found.problems) == (28, 28, [])


def test_verify_reports_a_wrong_label_a_wrong_coverage_and_a_wrong_image(people: Store, balanced: str) -> None:
    manifest = people.read(balanced)
    rows = manifest.table.to_pylist()
    worn = next(row for row in rows if row["mask"] == "worn")
    wrong = next(row for row in rows if row["mask"] == "incorrect")
    bare = next(row for row in rows if row["is_synthetic"] and row["mask"] == "none")
    worn["mouth_covered_score"] = 0.1
    wrong["mask"] = "worn"
    bare["sha256"] = "0" * 64
    table = conform(pa.table({n: pa.array([row[n] for row in rows], column.type) for n, column in BY_NAME.items()}))
    found = verify(people, type(manifest)(table, manifest.version), regenerate=True)
    problems = found.problems
    assert len(problems) == 3
    assert {one["sample_id"] for one in found.to_json()["problems"]} == {
        row["sample_id"] for row in (worn, wrong, bare)
    }
    assert any(line.startswith(worn["sample_id"]) and "mouth" in line for line in problems)
    assert any(line.startswith(wrong["sample_id"]) and "labelled 'worn'" in line for line in problems)
    assert f"{bare['sample_id']}: rendered again, its bytes differ" in problems


def test_a_face_that_cannot_carry_a_mask_becomes_a_failed_row(people: Store) -> None:
    manifest = people.read("drawn@1")
    rows = manifest.table.to_pylist()
    for row in rows:
        if row["person_id"] == "e":
            row["landmarks_xy"] = [0.0] * 136
    table = conform(pa.table({n: pa.array([row[n] for row in rows], column.type) for n, column in BY_NAME.items()}))
    broken = people.read(people.write("broken", table, "ingest").ref)
    done = run_plan(people, broken, make_plan(broken.table, SETTINGS, broken.cuts).table, SETTINGS)
    assert (done.planned, done.failed) == (28, 12)  # e's unmasked images need no landmarks
    failed = [row for row in people.read(done.version.ref).table.to_pylist() if row["status"] == "failed"]
    assert len(failed) == 12
    assert all(row["person_id"] == "e" and row["reason"].startswith("synth: ") for row in failed)
    assert sum(done.version.ledger.values()) == 6 + 28


def test_a_plan_with_unknown_photos_is_refused(people: Store) -> None:
    manifest = people.read("drawn@1")
    plan = make_plan(manifest.table, SETTINGS, manifest.cuts).table.assign(parent_id="nobody")
    with pytest.raises(StageError, match="1 photos that are not in the manifest, first 'nobody'"):
        run_plan(people, manifest, plan, SETTINGS)


def test_a_plan_edited_to_use_val_people_is_a_leak(people: Store) -> None:
    """The split is inherited, so an edited plan cannot put a val face into train."""
    manifest = people.read("drawn@1")
    photos = {row["person_id"]: row["sample_id"] for row in manifest.table.to_pylist()}
    plan = make_plan(manifest.table, SETTINGS, manifest.cuts).table.head(1).assign(parent_id=photos["f"])
    done = run_plan(people, manifest, plan, SETTINGS)
    made = people.read(done.version.ref).table.to_pylist()[-1]
    assert (made["person_id"], made["split"]) == ("f", "val")


def test_the_commands(people: Store, balanced: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSPACE", str(people.workspace))
    runner = CliRunner()
    words = ["seed=3", "types=[surgical_blue, kf94_white, cloth_dark]"]
    planned = runner.invoke(
        cli, ["plan", "drawn@1", "--out", str(tmp_path / "plan.csv"), *words], catch_exceptions=False
    )
    assert f"28 images planned; wrote {tmp_path / 'plan.csv'}" in planned.output
    last = planned.output.splitlines()[-1]
    assert last.startswith(f"next: facecurate synth run drawn@1 --plan {tmp_path / 'plan.csv'} seed=3 'types=[")
    assert len(pd.read_csv(tmp_path / "plan.csv")) == 28
    ran = runner.invoke(
        cli, ["run", "drawn@1", "--plan", str(tmp_path / "plan.csv"), "--tag", "even", "--jobs", "1", *words],
        catch_exceptions=False,
    )  # fmt: skip
    assert "synth: ok 28 (0 made, 28 reused) + failed 0 = 28 planned" in ran.output
    assert ran.output.splitlines()[-1] == f"next: facecurate synth gallery {balanced}"
    assert people.version("drawn@even").ref == balanced
    checked = runner.invoke(cli, ["verify", "drawn@even"]).output.splitlines()
    assert checked[-2:] == ["28 synthetic rows: 0 problems", "next: facecurate train fit drawn@even"]
    verified = json.loads(runner.invoke(cli, ["verify", "drawn@even", "--json"], catch_exceptions=False).stdout)
    assert (verified["rows"], verified["problems"], verified["incomplete_profiles"]) == (28, [], {})
    worn_old = {"age_class": 2, "mask": "worn", "real": 0, "synthetic": 10, "moved": 0, "age": AgeCuts().names[2]}
    assert worn_old in verified["counts"]
    planned = json.loads(runner.invoke(cli, ["plan", "drawn@1", "--json", *words], catch_exceptions=False).stdout)
    assert (planned["images"], planned["profiles"]) == (28, 4)
    assert [goal["planned_profiles"] for goal in planned["goals"]] == [0, 2, 2]
    assert [(goal["before"], goal["after"]) for goal in planned["goals"]] == [(3, 3), (1, 3), (1, 3)]
    assert len(planned["notes"]) == 6
    shown = runner.invoke(cli, ["gallery", "drawn@even", "--out", str(tmp_path / "sheets")], catch_exceptions=False)
    assert shown.output.splitlines()[-1] == "next: facecurate synth verify drawn@even"
    assert (tmp_path / "sheets" / "unmasked.png").is_file()


def _planned(people: Store, **options: object) -> Plan:
    wanted = SynthSettings.model_validate({"types": SETTINGS.types, **options})
    return make_plan(people.read("drawn@1").table, wanted, AgeCuts())


def test_targets_take_the_place_of_a_stage(people: Store) -> None:
    plan = _planned(people, targets=[{"age_class": 0, "gender": "male", "mask": "worn", "pictures": 12}])
    profiles = plan.table.drop_duplicates("profile_id")
    assert len(profiles) == 3  # three times five; `b` is a woman
    assert set(profiles["person_id"]) == {"a", "c"}
    assert plan.notes[1:2] == ["age <30, male, mask worn: 0 → 15 images; 3 profiles planned from 2 people"]


def test_a_target_counts_the_images_of_earlier_targets(people: Store) -> None:
    first = {"age_class": 1, "mask": "incorrect", "pictures": 4}
    plan = _planned(people, targets=[first, {"mask": "worn", "pictures": 21}])
    assert len(plan.table) == 7 * (4 + 1)  # the first brings 20 worn ones
    assert set(plan.table["person_id"].iloc[:28]) == {"d"}


def test_a_target_that_cannot_be_reached_has_a_note(people: Store) -> None:
    notes = _planned(people, targets=[{"age_class": 1, "gender": "female", "pictures": 701}]).notes
    assert "age 30-59, female: 1 → 85 images; 12 profiles planned from 1 person; 701 images are requested" in notes[1]
    assert "88 cannot be reached: a person gives at most 12" in notes[1]


@settings(max_examples=30, deadline=None)
@given(
    most=st.integers(1, 5),
    targets=st.lists(st.tuples(st.sampled_from([None, 0, 1, 2]), st.integers(1, 60)), max_size=4),
)
def test_no_person_exceeds_the_maximum_and_no_profile_repeats(
    people: Store, most: int, targets: list[tuple[int | None, int]]
) -> None:
    wanted = [{"age_class": age_class, "pictures": count} for age_class, count in targets]
    plan = _planned(people, targets=wanted, max_profiles_per_person=most).table
    assert (plan.groupby("profile_id").size() == len(SHOTS)).all()
    assert (plan.drop_duplicates("profile_id").groupby("person_id").size() <= most).all()
    assert "f" not in set(plan["person_id"])


def test_errors_list_the_allowed_values(people: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"synth.types must be one of \{surgical, .*\}. Got 'scarf' instead"):
        load_settings(SynthSettings, overrides={"types": "[scarf]"})
    with pytest.raises(ConfigError, match=r"synth.placements must be one of \{nose_out, .*\}. Got 'worn' instead"):
        load_settings(SynthSettings, overrides={"wears": "[worn]"})
    with pytest.raises(ConfigError, match=r"synth.placements must be one of \{nose_out, .*\}. Got 'worn' instead"):
        load_settings(SynthSettings, overrides={"placements": "[worn]"})
    with pytest.raises(StageError, match=r"has no synthetic images\. Run: facecurate synth run REF"):
        write_gallery(people, people.read("drawn@1"), tmp_path)


def test_the_former_name_of_placements_is_read_and_stored() -> None:
    former, present = (load_settings(SynthSettings, overrides={key: "[chin]"}) for key in ("wears", "placements"))
    assert former == present
    assert present.model_dump(mode="json", by_alias=True)["wears"] == ["chin"]


def test_a_variation_keeps_landmarks_on_the_face() -> None:
    rng = np.random.default_rng(0)
    portrait = render_snapshot(build_model(sample_person(1, "female", 30, rng)), sample_snapshot(rng))
    marked = np.zeros_like(portrait.image)
    for x, y in np.rint(portrait.landmarks_xy[[8, 30, 36]]).astype(int):  # chin, nose tip, right eye
        marked[y - 2 : y + 3, x - 2 : x + 3] = 255
    for seed in range(6):
        moved, points = vary(marked, portrait.landmarks_xy, np.random.default_rng(seed))
        mirrored = np.random.default_rng(seed).random() < 0.5
        for index in (8, 30, 45 if mirrored else 36):
            x, y = np.rint(points[index]).astype(int)
            assert moved[y, x].mean() > 100


def test_a_painted_background_keeps_its_colour() -> None:
    rng = np.random.default_rng(0)
    portrait = render_snapshot(build_model(sample_person(1, "female", 30, rng)), sample_snapshot(rng))
    painted = portrait.image.copy()
    painted[:120] = 127
    for seed in range(4):
        moved, _ = vary(painted, portrait.landmarks_xy, np.random.default_rng(seed))
        natural, _ = vary(portrait.image, portrait.landmarks_xy, np.random.default_rng(seed))
        assert np.abs(moved[:60, 120:260].astype(int) - 127).max() <= 1
        assert np.abs(natural[300:400, 150:230].astype(int) - portrait.image[300:400, 150:230]).mean() > 1


def test_a_users_template_works_in_plan_run_and_verify(people: Store, tmp_path: Path) -> None:
    folder = write_mask(tmp_path / "own", "floral")
    wanted = SynthSettings.model_validate({"templates": str(folder), "types": ["floral", "kf94"], "seed": 3})
    assert wanted.types == ("floral", "kf94_white", "kf94_black", "kf94_colour")
    assert "floral" in SynthSettings(templates=str(folder)).types
    manifest = people.read("drawn@1")
    plan = make_plan(manifest.table, wanted, manifest.cuts).table
    assert (plan["mask_type"] == "floral").sum() > 4
    done = run_plan(people, manifest, plan, wanted)
    made = people.read(done.version.ref)
    rows = [row for row in made.table.to_pylist() if '"mask_type": "floral"' in (row["recipe"] or "")]
    assert {json.loads(row["recipe"])["mask"]["template_sha256"] for row in rows} == {
        load_templates(folder)["floral"].sha256
    }
    for file in folder.iterdir():
        file.unlink()  # it is kept in the workspace
    load_kept_template.cache_clear()
    assert verify(people, made, regenerate=True).problems == []
    with pytest.raises(StageError, match=r"mask_type of the plan must be one of \{.*\}. Got 'floral' instead"):
        run_plan(people, manifest, plan, SETTINGS)
    next((people.workspace / "templates").glob("*.json")).write_text("{")
    load_kept_template.cache_clear()
    problems = verify(people, made).problems
    assert len(problems) == 1
    assert f"{len(rows)} images of your own template cannot be made again" in problems[0]
    next((people.workspace / "templates").glob("*.json")).unlink()
    load_kept_template.cache_clear()
