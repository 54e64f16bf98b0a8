"""A demo data set in the competition's layout, with planted label errors, and the truth in truth.csv."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from data_manifests.errors import ConfigError, ManifestError
from data_manifests.files import read_json, write_csv_rows
from data_manifests.taxonomy import SHOT_MASK, SHOTS
from synth.demo_faces.dataset.label_errors import ERROR_NAMES, SHARES, PlantedError, plant_errors
from synth.demo_faces.dataset.person_photos import reencode_jpeg, render_profile
from synth.demo_faces.parameters import Person, make_people, sample_person

VERSION: Final = 1  # increase when the same seed gives other images
RACE: Final = "rendered"
MapFunction = Callable[..., Iterable[Any]]


@dataclass(frozen=True)
class DemoTruth:
    """Summary of a demo: sizes, seed, and the number of people with each planted error."""

    out: str
    persons: int
    pictures: int
    seed: int
    version: int
    planted: dict[str, int]

    def line(self) -> str:
        """Return one line for a terminal."""
        errors = ", ".join(f"{ERROR_NAMES[kind]} {count}" for kind, count in self.planted.items())
        made = f"{self.persons} rendered people, {self.pictures} images in {self.out}"
        return f"{made} (seed {self.seed}; label errors: {errors})"


def write_demo(
    out: Path,
    persons: int,
    seed: int,
    progress: Callable[[int], object] | None = None,
    map_profiles: MapFunction = map,
) -> DemoTruth:
    """Render `persons` people into the new folder `out`: train.csv, images/<path>/<shot>.jpg, truth.csv, demo.json.

    The same seed gives the same bytes. `out` is created only when complete; nothing is done if it has the same demo
    already. `progress` is called with 1 after each person; `map_profiles` may be a process pool's `map`. Raises
    ConfigError if `out` has other content.
    """
    people = make_people(persons, np.random.default_rng([seed, 0]))
    planted = plant_errors(people, np.random.default_rng([seed, 1]))
    counts = {kind: sum(p.kind == kind for p in planted) for kind in SHARES}
    truth = DemoTruth(str(out), persons, persons * len(SHOTS), seed, VERSION, counts)
    if _exists(out, truth):
        return truth
    work = out.parent / f".{out.name}.{os.getpid()}.tmp"
    try:
        (work / "images").mkdir(parents=True)
        _write_images(work, people, planted, seed, progress, map_profiles)
        _write_csv(work / "train.csv", _train_rows(people, planted))
        _write_csv(work / "truth.csv", _truth_rows(people, planted, seed))
        (work / "demo.json").write_text(json.dumps(_identity(truth), indent=2) + "\n")
        if out.is_dir():
            out.rmdir()  # empty, or _exists would have raised
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return truth


def _identity(truth: DemoTruth) -> dict[str, Any]:
    return {key: value for key, value in asdict(truth).items() if key != "out"}


def _exists(out: Path, truth: DemoTruth) -> bool:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        found = read_json(out / "demo.json")
    except ManifestError:
        found = None
    if found == _identity(truth):
        return True
    demo = isinstance(found, dict) and "persons" in found
    content = f"a demo of {found['persons']} people, seed {found.get('seed')}" if demo else "other files"
    raise ConfigError(
        f"the output folder must be new, empty or hold the same demo. {str(out)!r} holds {content}; "
        "remove it or choose another folder."
    )


def profile_id(index: int) -> str:
    """Return the id of a person, "000001" for the first."""
    return f"{index + 1:06d}"


def folder_name(index: int, planted: PlantedError) -> str:
    """Return the person's folder name in the competition's form, which also has the wrong label."""
    return f"{profile_id(index)}_{planted.listed_gender}_{RACE}_{planted.listed_age}"


def unlisted_person(index: int, person: Person, seed: int) -> Person:
    """Return a person of the same gender and age who is in no profile: only the face differs."""
    rng = np.random.default_rng([seed, 2, index])
    return sample_person(1_000_000 + index, person.gender, person.age, rng)


def _write_images(
    work: Path,
    people: list[Person],
    planted: list[PlantedError],
    seed: int,
    progress: Callable[[int], object] | None,
    map_profiles: MapFunction,
) -> None:
    folders = [work / "images" / folder_name(i, p) for i, p in enumerate(planted)]
    for folder, error, photos in zip(
        folders, planted, map_profiles(render_profile, people, [seed] * len(people)), strict=True
    ):
        if error.swap:
            a, b = error.swap
            photos[a], photos[b] = photos[b], photos[a]
        folder.mkdir()
        for shot, data in photos.items():
            (folder / f"{shot}.jpg").write_bytes(data)
        if progress:
            progress(1)
    for i, error in enumerate(planted):
        if error.shot is None:
            continue
        if error.source is not None:
            data = (folders[error.source] / f"{error.shot}.jpg").read_bytes()
            data = reencode_jpeg(data, 80) if error.reencoded else data
        else:
            data = render_profile(unlisted_person(i, people[i], seed), seed, (error.shot,))[error.shot]
        (folders[i] / f"{error.shot}.jpg").write_bytes(data)


def _train_rows(people: list[Person], planted: list[PlantedError]) -> list[dict[str, object]]:
    return [
        {"id": profile_id(i), "gender": p.listed_gender, "race": RACE, "age": p.listed_age, "path": folder_name(i, p)}
        for i, p in enumerate(planted)
    ]


def _truth_rows(people: list[Person], planted: list[PlantedError], seed: int) -> list[dict[str, object]]:
    """Return one row per image with its true person and labels."""
    rows: list[dict[str, object]] = []
    for i, error in enumerate(planted):
        for shot in SHOTS:
            shown, name, true_shot = people[i], profile_id(i), shot
            if error.swap and shot in error.swap:
                true_shot = error.swap[1 - error.swap.index(shot)]
            if shot == error.shot:
                source = error.source
                shown = people[source] if source is not None else unlisted_person(i, people[i], seed)
                name = profile_id(source) if source is not None else f"stranger-{profile_id(i)}"
            rows.append(
                {
                    "path": f"images/{folder_name(i, error)}/{shot}.jpg",
                    "person_id": name,
                    "gender": shown.gender,
                    "age": shown.age,
                    "mask": SHOT_MASK[true_shot],
                    "error": error.kind if shot in error.shots else "",
                }
            )
    return rows


def _write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        write_csv_rows(file, list(rows[0]), rows)
