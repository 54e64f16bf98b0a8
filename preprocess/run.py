"""The stages of preprocessing over a manifest: each reads a version and writes the next."""

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

ONE_STEP: dict[str, Callable[[PreprocessSettings], Step]] = {
    "detect": lambda settings: detect_step(settings.detect),
    "landmarks": lambda settings: landmarks_step(settings.landmarks),
    "crop": lambda settings: crop_step(settings.crop),
    "background": lambda settings: background_step(settings.background),
}


def run_one(name: str, ref: str, store: Store, settings: PreprocessSettings) -> StageRun:
    """One of ONE_STEP as a stage of its own."""
    if name not in ONE_STEP:
        raise ConfigError(must_be_one_of("step", ONE_STEP, name))
    return _run(name, [ONE_STEP[name](settings)], ref, store, settings)


def run_all(ref: str, store: Store, settings: PreprocessSettings) -> list[StageRun | Version]:
    """What `settings.steps` lists: the fused crop, the background, the ages. Later ones work on the version before.

    Detecting, landmarks and cropping go over each picture once: reading a photo costs as much as finding the face.
    """
    done: list[StageRun | Version] = []
    # Builders look for missing files; all of them before the first picture is read.
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
    """Detect, landmarks and crop, for one pass over a picture."""
    return [detect_step(settings.detect), landmarks_step(settings.landmarks), crop_step(settings.crop)]


def folder_steps(settings: PreprocessSettings) -> list[Step]:
    """What `settings.steps` means for pictures without labels, in one pass."""
    background = [background_step(settings.background)] if "background" in settings.steps else []
    return [*(face_steps(settings) if "crop" in settings.steps else [detect_step(settings.detect)]), *background]


def run_drop_ages(ref: str, store: Store, settings: DropAgesSettings) -> Version:
    """Write the version without these ages, or with the cut moved below them. Raises ConfigError without ages."""
    if not settings.ages:
        raise ConfigError("which ages? Say --ages 57,58,59, or drop_ages.ages in the settings file.")
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
    """A crop of a crop is nobody's wish, but `run NAME` twice would make one: NAME means the newest version."""
    table = manifest.table
    usable = pc.is_in(table.column("status"), pa.array(USABLE))
    made = pc.match_substring_regex(table.column("made_by"), f"(^|; ){step}:")
    if pc.any(pc.and_(usable, made)).as_py():
        raise StageError(
            f"{manifest.version.ref} has been through {step} already. Give the version before it; "
            f"see: python -m data_manifests log {manifest.version.name}"
        )
