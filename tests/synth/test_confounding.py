"""Masks must not tell the other labels: plans of bare single photos, the warning, and sets that cannot be balanced."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner

from data_manifests.errors import StageError
from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts
from data_manifests.versions.store import Store
from pipeline.step import Record
from synth.cli import cli
from synth.plan.confounding import MAX_SPREAD, mask_notes, planned_labels
from synth.plan.plan_table import Plan, make_plan
from synth.settings import SynthSettings
from tests.support.manifest_tables import manifest
from tests.support.partial_sets import write_partial
from tests.support.synth_faces import make_landmarks

SETTINGS = SynthSettings(types=("surgical_blue", "kf94_white", "cloth_dark"), seed=3)
COUNTS = {24: 9, 45: 8, 70: 3}  # portraits of women, and as many of men, by age


def portraits(counts: dict[int, int] | None = None, **values: object) -> pa.Table:
    """Return bare portraits, each its own person and no profile: with every age one of each gender is in val."""
    rows: list[Record] = []
    for age, count in (counts or COUNTS).items():
        for gender in GENDERS:
            for number in range(count + 1):
                name = f"{gender}-{age}-{number}"
                digest = sha256(name.encode()).hexdigest()
                rows.append(
                    {"sample_id": name, "source_id": name, "person_id": name, "profile_id": name, "shot": None,
                     "root": "photos", "path": f"{name}.png", "sha256": digest, "width_px": 256, "height_px": 256,
                     "mask": "none", "gender": gender, "age": age, "split": "train" if number < count else "val",
                     "status": "ok", "is_synthetic": False, "landmarks_xy": make_landmarks().ravel().tolist()} | values
                )  # fmt: skip
    return manifest(rows)


def plan_of(table: pa.Table, **options: object) -> Plan:
    return make_plan(table, SETTINGS.model_copy(update=options), AgeCuts(), "set@1")


def after(table: pa.Table, plan: Plan) -> pd.DataFrame:
    """Return the number of train images by age class and gender (rows) and mask (columns) once the plan is made."""
    real = table.select(["split", "mask", "gender", "age_class"]).to_pandas().query("split == 'train'")
    rows = pd.concat([real, planned_labels(table, plan.table, AgeCuts())])
    return pd.crosstab([rows["age_class"], rows["gender"]], rows["mask"]).reindex(columns=list(MASKS), fill_value=0)


def test_bare_single_photos_get_masks_in_every_age_class_and_gender_alike() -> None:
    table = portraits()
    plan = plan_of(table)
    counts = after(table, plan)
    assert counts.to_numpy().tolist() == [[9, 9, 9]] * 6
    assert set(plan.table["shot"]) == {""}
    assert "balanced by mask × gender × age; its photos are no profiles" in plan.notes[0]
    assert not any(note.startswith("warning") for note in plan.notes)
    assert plan.notes[-1] == (
        "no validation photo is labelled mask worn or incorrect: what the drawn masks teach cannot be measured"
    )


def test_where_people_are_too_few_the_masks_stay_even() -> None:
    table = portraits()
    plan = plan_of(table, max_profiles_per_person=5)
    counts = after(table, plan)
    assert counts.loc[2].to_numpy().tolist() == [[6, 6, 6], [6, 6, 6]]  # 3 photos and 15 images that their people give
    assert counts.loc[0].to_numpy().tolist() == [[9, 9, 9], [9, 9, 9]]
    assert "cannot be reached" in " ".join(plan.notes)
    assert not any(note.startswith("warning") for note in plan.notes)


def test_photos_in_profiles_still_get_profiles_and_the_plan_says_what_they_tell() -> None:
    table = portraits(shot="normal")
    plan = plan_of(table)
    assert plan.table["shot"].nunique() == 7
    assert any(note.startswith("warning: after this plan the mask tells the age: mask none is") for note in plan.notes)
    worn = plan.table.assign(wear="worn", to_age=24)  # as if an editor had moved the images to the largest class
    (warning,) = [note for note in mask_notes(table, worn, AgeCuts()) if "tells the age" in note]
    shares = after(table, Plan(worn, [])).groupby("age_class").sum()
    shares = shares.div(shares.sum(axis=1), axis=0)
    assert f"mask none is {shares['none'][0]:.0%} of <30, 100% of 30-59, 100% of >=60" in warning
    assert shares["none"].max() - shares["none"].min() > MAX_SPREAD


@pytest.mark.parametrize("labelled", ["gender+age", "gender", "none"])
def test_a_set_without_a_known_mask_is_tagged_as_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch, labelled: str
) -> None:
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    version = write_partial(store, labelled, 8)
    done = CliRunner().invoke(cli, ["run", version.ref, "--tag", "balanced"], catch_exceptions=False)
    lines = done.output.splitlines()
    assert done.exit_code == 0
    assert lines[0] == (
        f"nothing to balance; {version.ref} stays as it is: {version.ref} has no bare face to put masks on: 6 train "
        "photos with an unknown mask that may show one (if none does, ingest with --mask none)."
    )
    assert lines[-1] == f"next: facecurate {'app' if labelled == 'none' else f'train fit {version.ref}'}"
    assert len(lines) == 3
    assert store.version(f"{version.name}@balanced").ref == version.ref
    assert len(store.log(version.name)) == 1  # nothing was written
    words = ["run", version.ref, "targets=[{mask: worn, pictures: 4}]"]
    with pytest.raises(StageError, match="no bare face"):
        CliRunner().invoke(cli, words, catch_exceptions=False)


def test_bare_photos_that_lack_landmarks_are_an_error_and_not_tagged(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    store.write("drawn", portraits({24: 2, 70: 1}, landmarks_xy=None), "ingest")
    with pytest.raises(StageError, match=r"6 train photos without landmarks \(run: facecurate preprocess"):
        CliRunner().invoke(cli, ["run", "drawn@1", "--tag", "balanced"], catch_exceptions=False)
    assert "balanced" not in store.tags("drawn")
