"""A whole demo data set in the competition's layout, with planted errors and the truth beside it."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from data_manifests.errors import ConfigError
from data_manifests.taxonomy import SHOT_MASK, SHOTS
from synth.demo_faces.dataset.label_errors import SHARES, Planted, plant_errors
from synth.demo_faces.dataset.profile import encode_again, render_profile
from synth.demo_faces.parameters import Person, make_people, sample_person

VERSION: Final = 1  # raise it when the same seed gives other pictures
RACE: Final = "rendered"
MapFunction = Callable[..., Iterable[Any]]


@dataclass(frozen=True)
class DemoTruth:
    """What `write_demo` made: sizes, seed, and how many people carry each planted error."""

    out: str
    persons: int
    pictures: int
    seed: int
    version: int
    planted: dict[str, int]

    def line(self) -> str:
        """One line for the terminal."""
        errors = ", ".join(f"{kind} {count}" for kind, count in self.planted.items())
        made = f"{self.persons} rendered people, {self.pictures} pictures in {self.out}"
        return f"{made} (seed {self.seed}; planted: {errors})"


def write_demo(
    out: Path,
    persons: int,
    seed: int,
    progress: Callable[[int], object] | None = None,
    map_profiles: MapFunction = map,
) -> DemoTruth:
    """Render `persons` people into the new folder `out`: train.csv, images/<path>/<shot>.jpg, truth.csv, demo.json.

    The same seed gives the same bytes. `out` appears only when it is complete; where it holds the same demo already,
    nothing is done. `progress` is called with 1 after each person; `map_profiles` may be a process pool's `map`.
    Raises ConfigError when `out` holds something else.
    """
    people = make_people(persons, np.random.default_rng([seed, 0]))
    planted = plant_errors(people, np.random.default_rng([seed, 1]))
    counts = {kind: sum(p.kind == kind for p in planted) for kind in SHARES}
    truth = DemoTruth(str(out), persons, persons * len(SHOTS), seed, VERSION, counts)
    if _already_there(out, truth):
        return truth
    work = out.parent / f".{out.name}.{os.getpid()}.tmp"
    try:
        (work / "images").mkdir(parents=True)
        _write_images(work, people, planted, seed, progress, map_profiles)
        _write_csv(work / "train.csv", _train_rows(people, planted))
        _write_csv(work / "truth.csv", _truth_rows(people, planted, seed))
        (work / "demo.json").write_text(json.dumps(_identity(truth), indent=2) + "\n")
        if out.is_dir():
            out.rmdir()  # empty, or _already_there would have refused it
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return truth


def _identity(truth: DemoTruth) -> dict[str, Any]:
    return {key: value for key, value in asdict(truth).items() if key != "out"}


def _already_there(out: Path, truth: DemoTruth) -> bool:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        found = json.loads((out / "demo.json").read_text())
    except (OSError, ValueError):
        found = None
    if found == _identity(truth):
        return True
    demo = isinstance(found, dict) and "persons" in found
    what = f"a demo of {found['persons']} people, seed {found.get('seed')}" if demo else "something else"
    raise ConfigError(
        f"the output folder must be new, empty or hold the same demo. {str(out)!r} holds {what}; "
        "remove it or name another folder."
    )


def profile_id(index: int) -> str:
    """ "000001" for the first person."""
    return f"{index + 1:06d}"


def folder_name(index: int, planted: Planted) -> str:
    """The person's folder as the competition names it; a wrong label stands there too."""
    return f"{profile_id(index)}_{planted.listed_gender}_{RACE}_{planted.listed_age}"


def stranger_of(index: int, person: Person, seed: int) -> Person:
    """Somebody who is in no profile, of the same gender and age: only the face gives the photo away."""
    rng = np.random.default_rng([seed, 2, index])
    return sample_person(1_000_000 + index, person.gender, person.age, rng)


def _write_images(
    work: Path,
    people: list[Person],
    planted: list[Planted],
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
            data = encode_again(data, 80) if error.reencoded else data
        else:
            data = render_profile(stranger_of(i, people[i], seed), seed, (error.shot,))[error.shot]
        (folders[i] / f"{error.shot}.jpg").write_bytes(data)


def _train_rows(people: list[Person], planted: list[Planted]) -> list[dict[str, object]]:
    return [
        {"id": profile_id(i), "gender": p.listed_gender, "race": RACE, "age": p.listed_age, "path": folder_name(i, p)}
        for i, p in enumerate(planted)
    ]


def _truth_rows(people: list[Person], planted: list[Planted], seed: int) -> list[dict[str, object]]:
    """One row per picture: who and what it really shows."""
    rows: list[dict[str, object]] = []
    for i, error in enumerate(planted):
        for shot in SHOTS:
            shown, name, seen = people[i], profile_id(i), shot
            if error.swap and shot in error.swap:
                seen = error.swap[1 - error.swap.index(shot)]
            if shot == error.shot:
                source = error.source
                shown = people[source] if source is not None else stranger_of(i, people[i], seed)
                name = profile_id(source) if source is not None else f"stranger-{profile_id(i)}"
            rows.append(
                {
                    "path": f"images/{folder_name(i, error)}/{shot}.jpg",
                    "person_id": name,
                    "gender": shown.gender,
                    "age": shown.age,
                    "mask": SHOT_MASK[seen],
                    "error": error.kind if shot in error.shots else "",
                }
            )
    return rows


def _write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
