"""The stages of preprocessing over a manifest; each reads a version and writes the next."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ConfigError, StageError, must_be_one_of
from data_manifests.schema import SPLITS, USABLE
from data_manifests.versions import Manifest, Store, Version
from pipeline.stage import StageRun, run_stage
from pipeline.step import Step
from preprocess.settings import DropAgesSettings, PreprocessSettings
from preprocess.stages import (
    background_step,
    crop_step,
    detect_step,
    drop_ages,
    landmarks_step,
    parse_ages,
    relabel_ages,
)

SINGLE_STEPS: dict[str, Callable[[PreprocessSettings], Step]] = {
    "detect": lambda settings: detect_step(settings.detect),
    "landmarks": lambda settings: landmarks_step(settings.landmarks),
    "crop": lambda settings: crop_step(settings.crop),
    "background": lambda settings: background_step(settings.background),
}


def run_one(name: str, ref: str, store: Store, settings: PreprocessSettings) -> StageRun:
    """Run one entry of `SINGLE_STEPS` as a stage. Raises ConfigError for an unknown name."""
    if name not in SINGLE_STEPS:
        raise ConfigError(must_be_one_of("step", SINGLE_STEPS, name))
    return _run(name, [SINGLE_STEPS[name](settings)], ref, store, settings)


def run_all(ref: str, store: Store, settings: PreprocessSettings) -> list[StageRun | Version]:
    """Run the steps in `settings.steps`, each on the version that the one before it has written.

    Detection, landmarks and crop share one pass over the images: reading a photo costs as much as finding the face.
    """
    done: list[StageRun | Version] = []
    # Every step checks for its model files before the first image is read.
    background = [background_step(settings.background)] if "background" in settings.steps else []
    if "crop" in settings.steps:
        prepared = _run("prepare", face_steps(settings), ref, store, settings)
        done.append(prepared)
        ref = prepared.version.ref
    if background:
        removed = _run("background", background, ref, store, settings)
        done.append(removed)
        ref = removed.version.ref
    if "drop_ages" in settings.steps and settings.drop_ages.ages:
        done.append(run_drop_ages(ref, store, settings.drop_ages))
    return done


def face_steps(settings: PreprocessSettings) -> list[Step]:
    """Return the steps detect, landmarks and crop, for one pass over an image."""
    return [detect_step(settings.detect), landmarks_step(settings.landmarks), crop_step(settings.crop)]


def folder_steps(settings: PreprocessSettings) -> list[Step]:
    """Return the steps of `settings.steps` for images without labels, for one pass over an image."""
    background = [background_step(settings.background)] if "background" in settings.steps else []
    return [*(face_steps(settings) if "crop" in settings.steps else [detect_step(settings.detect)]), *background]


def run_drop_ages(ref: str, store: Store, settings: DropAgesSettings) -> Version:
    """Write the version without these ages, or with the cut moved to them. Raises ConfigError without ages."""
    if not settings.ages:
        raise ConfigError("drop-ages needs ages. Set --ages 57,58,59, or drop_ages.ages in the settings file.")
    manifest = store.read(ref)
    ages, cuts = parse_ages(settings.ages), None
    if settings.policy == "relabel":
        table, cuts = relabel_ages(manifest.table, ages, manifest.cuts)
    else:
        table = drop_ages(manifest.table, ages, settings.splits)
    return store.write(
        manifest.version.name,
        table,
        "drop-ages",
        parents=[manifest.version],
        parameters={**settings.model_dump(), "splits": list(SPLITS if cuts else settings.splits)},
        cuts=cuts,
    )


def _run(name: str, steps: list[Step], ref: str, store: Store, settings: PreprocessSettings) -> StageRun:
    manifest = store.read(ref)
    for step in steps:
        if step.name in ("crop", "background"):
            _refuse_repeat(step.name, manifest)
    return run_stage(name, steps, manifest, store, jobs=settings.jobs, executor=settings.executor)


def _refuse_repeat(step: str, manifest: Manifest) -> None:
    """Raise StageError if the step has run before: NAME is the newest version, so `run NAME` twice would crop crops."""
    table = manifest.table
    usable = pc.is_in(table.column("status"), pa.array(USABLE))
    made = pc.match_substring_regex(table.column("made_by"), f"(^|; ){step}:")
    if pc.any(pc.and_(usable, made)).as_py():
        raise StageError(
            f"the step {step!r} has already run on {manifest.version.ref}. Name the version before it; "
            f"list versions with: facecurate log {manifest.version.name}"
        )
