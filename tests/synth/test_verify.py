"""Moved ages in a plan, from the settings to the gallery; and the measure of realism."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from PIL import Image

from data_manifests.errors import StageError
from data_manifests.schema import BY_NAME, conform
from data_manifests.versions.content_hash import sample_id
from data_manifests.versions.metadata import Manifest
from data_manifests.versions.store import Store
from pipeline.faces.embedder import SAME_PERSON_DISTANCE
from pipeline.photos.images import load_rgb, save_rgb
from synth.cli import cli
from synth.gallery import write_gallery
from synth.masks import TYPES, compose
from synth.plan.execute import run_plan
from synth.plan.plan_table import make_plan
from synth.plan.variation import vary
from synth.plan.verify import verify
from synth.realism import MIN_IMAGES, measure_realism, separability
from synth.settings import SynthSettings
from tests.support.synth_faces import draw_people

AGES = {"a": 24, "b": 26, "c": 45, "d": 50, "e": 48, "g": 55, "h": 65, "i": 68}
SETTINGS = SynthSettings.model_validate(
    {
        "types": ["surgical_blue", "kf94_white"],
        "ages": {"method": "prototypes", "moves": [[1, 2]], "share": 0.5, "min_people": 2},
        "targets": [{"age_class": 2, "pictures": 2 + 4 * 7}],
        "seed": 5,
    }
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("moved")
    store = Store(folder / "workspace")
    store.set_root("drawn", folder / "drawn")
    store.write("drawn", draw_people(folder / "drawn", AGES), "ingest")
    return store


@pytest.fixture(scope="module")
def plan(store: Store) -> pd.DataFrame:
    return make_plan(store.read("drawn@1").table, SETTINGS, store.read("drawn@1").cuts).table


@pytest.fixture(scope="module")
def moved(store: Store, plan: pd.DataFrame) -> Manifest:
    done = run_plan(store, store.read("drawn@1"), plan, SETTINGS)
    assert (done.failed, done.planned) == (0, 28)
    return store.read(done.version.ref)


def changed(manifest: Manifest, change: dict[str, dict[str, object]]) -> Manifest:
    """The manifest with some values of some samples replaced."""
    rows = [row | change.get(row["sample_id"], {}) for row in manifest.table.to_pylist()]
    table = conform(pa.table({n: pa.array([row[n] for row in rows], column.type) for n, column in BY_NAME.items()}))
    return replace(manifest, table=table)


def test_half_of_the_profiles_are_people_of_another_age(plan: pd.DataFrame) -> None:
    profiles = plan.drop_duplicates("profile_id").set_index("profile_id")
    aged = profiles[profiles["to_age"].notna()]
    assert len(aged) == 2
    assert set(aged["person_id"]) <= {"c", "d", "e", "g"}
    assert set(profiles[profiles["to_age"].isna()]["person_id"]) <= {"h", "i"}
    assert set(aged["to_age"]) <= {65, 68}  # ages that real people of the class have
    assert [AGES[person] for person in aged["person_id"]] == aged["from_age"].tolist()


def test_moved_rows_have_their_new_age_and_class(moved: Manifest) -> None:
    rows = [row for row in moved.table.to_pylist() if row["is_synthetic"] and "age" in json.loads(row["recipe"])]
    assert len(rows) == 14
    for row in rows:
        recipe = json.loads(row["recipe"])
        assert (row["age"], row["age_class"]) == (recipe["to_age"], 2)
        assert row["class_id"] % 3 == 2
        assert recipe["age"]["distance"] < SAME_PERSON_DISTANCE


def test_a_moved_face_differs_from_its_variation(store: Store, moved: Manifest) -> None:
    photos = {row["sample_id"]: row for row in moved.table.to_pylist() if not row["is_synthetic"]}
    seen = 0
    for row in moved.table.to_pylist():
        recipe = json.loads(row["recipe"] or "{}")
        if recipe.get("wear") != "":
            continue
        photo = photos[row["parent_id"]]
        landmarks = np.reshape(photo["landmarks_xy"], (68, 2))
        picture, made = (load_rgb(store.file_of(one["root"], one["path"])) for one in (photo, row))
        variation, _ = vary(picture, landmarks, np.random.default_rng(recipe["look_seed"]))
        apart = np.abs(variation.astype(int) - made).mean()
        assert apart > 1 if "age" in recipe else apart < 1
        seen += 1
    assert seen == 4


def test_moved_pictures_are_made_again_byte_by_byte(store: Store, moved: Manifest) -> None:
    found = verify(store, moved, regenerate=True)
    assert (found.regenerated, found.problems) == (28, [])
    assert found.counts[2].endswith(
        "worn 0 + 20 (10 of moved age), incorrect 0 + 4 (2 of moved age), none 2 + 4 (2 of moved age)"
    )


def test_prototypes_are_learned_once(store: Store, plan: pd.DataFrame, moved: Manifest) -> None:
    before = sorted((store.workspace / "ages").iterdir())
    again = run_plan(store, store.read("drawn@1"), plan, SETTINGS)
    assert again.reused == 28
    assert again.version.ref == moved.version.ref
    assert sorted((store.workspace / "ages").iterdir()) == before


def test_verify_reports_another_identity_an_incomplete_profile_and_missing_prototypes(
    store: Store, moved: Manifest
) -> None:
    aged = [row for row in moved.table.to_pylist() if row["is_synthetic"] and "age" in json.loads(row["recipe"])]
    recipe = json.loads(aged[0]["recipe"])
    recipe["age"]["distance"] = 0.7
    lost = json.loads(aged[1]["recipe"])
    lost["age"]["prototypes"] = "0" * 64
    change: dict[str, dict[str, object]] = {
        aged[0]["sample_id"]: {"recipe": json.dumps(recipe)},
        aged[1]["sample_id"]: {"recipe": json.dumps(lost)},
        aged[2]["sample_id"]: {"status": "excluded", "reason": "looks odd"},
    }
    found = verify(store, changed(moved, change))
    problems = found.problems
    assert len(problems) == 2
    assert any("no longer the same person: distance 0.70" in line for line in problems)
    assert "1 of 4 synthetic profiles are incomplete" in found.counts[-2]
    assert found.counts[-1] == "1 synthetic rows excluded: looks odd"
    assert aged[2]["shot"] in found.counts[-2]
    assert any("1 images of moved age cannot be made again" in line for line in problems)


def test_a_plan_that_moves_ages_without_a_method_is_refused(store: Store, plan: pd.DataFrame) -> None:
    with pytest.raises(Exception, match=r"synth.ages.method is none"):
        run_plan(store, store.read("drawn@1"), plan, SynthSettings())
    with pytest.raises(StageError, match="to move an age, from_age, to_age and a gender are needed"):
        run_plan(store, store.read("drawn@1"), plan.assign(from_age=pd.NA), SETTINGS)


def test_the_plan_survives_its_file(
    store: Store, plan: pd.DataFrame, moved: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    plan.to_csv(tmp_path / "plan.csv", index=False)
    (tmp_path / "s.yaml").write_text(json.dumps({"synth": SETTINGS.model_dump(mode="json")}))
    files = ["--plan", str(tmp_path / "plan.csv"), "--config", str(tmp_path / "s.yaml")]
    output = CliRunner().invoke(cli, ["run", "drawn@1", *files, "--jobs", "1"], catch_exceptions=False).output
    assert "synth: ok 28 (0 made, 28 reused)" in output


def test_the_gallery_shows_faces_before_and_after(store: Store, moved: Manifest, tmp_path: Path) -> None:
    names = {path.name for path in write_gallery(store, moved, tmp_path, tile_px=96)}
    assert "age-30-59-to-60-116.png" in names
    with Image.open(tmp_path / "age-30-59-to-60-116.png") as sheet:
        assert sheet.width == 10 + 4 * 106  # two people, before and after
        assert np.asarray(sheet).std() > 20


def test_separability_is_half_for_like_and_one_for_unlike() -> None:
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(60).astype(str), 4)
    kind = rng.random(240) < 0.5
    features = rng.normal(size=(240, 20))
    assert abs(separability(features, kind, people) - 0.5) < 0.15
    features[:, 3] += 3 * kind
    assert separability(features, kind, people) > 0.95


def test_realism_needs_pictures(store: Store, moved: Manifest) -> None:
    with pytest.raises(
        StageError, match=f"realism needs {MIN_IMAGES} images of worn masks of each kind .* Got 0 real and 20 synthetic"
    ):
        measure_realism(store, moved.table)


@pytest.mark.slow
def test_realism_separates_blurred_masks_from_sharp_ones(tmp_path: Path) -> None:
    store = Store(tmp_path / "workspace")
    store.set_root("drawn", tmp_path / "drawn")
    people = draw_people(tmp_path / "drawn", {name: 20 + 5 * i for i, name in enumerate("abcdeghi")}).to_pylist()
    rows = []
    for person in people:
        photo = load_rgb(tmp_path / "drawn" / person["path"])
        landmarks = np.reshape(person["landmarks_xy"], (68, 2)).astype(np.float32)
        for number in range(10):
            made = number % 2 == 1
            masked = compose(photo, landmarks, mask_type=TYPES[number], seed=number).image
            masked = cv2.GaussianBlur(masked, (0, 0), 2.0) if made else masked
            saved = save_rgb(masked, tmp_path / "drawn", f"{person['person_id']}{number}.png")
            name = sample_id(saved.path, saved.sha256)
            label = {
                "sample_id": name,
                "mask": "worn",
                "is_synthetic": made,
                "path": saved.path,
                "sha256": saved.sha256,
            }
            rows.append(person | label)
    table = conform(pa.table({n: pa.array([row[n] for row in rows], column.type) for n, column in BY_NAME.items()}))
    found = measure_realism(store, table)
    assert MIN_IMAGES <= min(found.real, found.synthetic) <= 40  # the detector does not find every masked face
    assert found.auc > 0.9
    assert f"{found.synthetic} synthetic from {found.real} real worn masks" in found.line()
