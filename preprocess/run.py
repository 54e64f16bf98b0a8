"""The stages of preprocessing over a manifest; each reads a version and writes the next."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ConfigError, StageError, must_be_one_of
from data_manifests.schema import SPLITS, USABLE
from data_manifests.versions import Manifest, Store, Version
from pipeline.faces import FaceShare, measure_face_share
from pipeline.stage import StageRun, run_stage
from pipeline.step import Step
from preprocess.choices import PROFILES_AGES, Report, ages_line, margin_lines, resolve_ages, resolve_crop
from preprocess.settings import BackgroundSettings, CropSettings, DropAgesSettings, PreprocessSettings
from preprocess.stages import (
    background_step,
    check_splits,
    crop_step,
    detect_step,
    drop_ages,
    landmarks_step,
    parse_ages,
    relabel_ages,
    remover_line,
)

SINGLE_STEPS: dict[str, Callable[[PreprocessSettings], Step]] = {
    "detect": lambda settings: detect_step(settings.detect),
    "landmarks": lambda settings: landmarks_step(settings.landmarks, settings.detect),
    "crop": lambda settings: crop_step(settings.crop),
    "background": lambda settings: background_step(settings.background),
}


def run_one(name: str, ref: str, store: Store, settings: PreprocessSettings, report: Report = print) -> StageRun:
    """Run one entry of `SINGLE_STEPS` as a stage; `report` shows choices and results.

    Raises ConfigError for an unknown name, and for `background` without a remover.
    """
    if name not in SINGLE_STEPS:
        raise ConfigError(must_be_one_of("step", SINGLE_STEPS, name))
    manifest = store.read(ref)
    if name == "crop":
        crop = resolve_crop(settings.crop, partial(_measure, manifest, store, settings), report)
        settings = settings.model_copy(update={"crop": crop})
    if name == "background":
        report(remover_line(settings.background))
        if settings.background.backend == "none":
            raise ConfigError("background.backend=none leaves this step nothing to do. Choose auto, rembg or grabcut.")
    done = _run(name, [SINGLE_STEPS[name](settings)], manifest, store, settings)
    _report(done, store, settings.crop if name == "crop" else None, report)
    return done


def run_all(ref: str, store: Store, settings: PreprocessSettings, report: Report = print) -> list[Version]:
    """Run the steps in `settings.steps`, each on the version that the one before it has written; return the versions.

    Detection, landmarks and crop share one pass over the images: reading a photo costs as much as finding the face.
    Model files, ages and splits are checked before the first image is read.
    """
    manifest = store.read(ref)
    ages = None
    if "drop_ages" in settings.steps:
        ages = resolve_ages(settings.drop_ages, manifest, store, report)
        if ages.ages and ages.policy == "exclude":
            check_splits(manifest.table, ages.splits)
    background = _background_steps(settings, report)
    done: list[Version] = []
    if "crop" in settings.steps:
        _refuse_repeat("crop", manifest)  # before the pictures are measured
        crop = resolve_crop(settings.crop, partial(_measure, manifest, store, settings), report)
        prepared = _run("prepare", face_steps(settings, crop), manifest, store, settings)
        _report(prepared, store, crop, report)
        done.append(prepared.version)
    if background:
        removed = _run("background", background, store.read(done[-1].ref) if done else manifest, store, settings)
        _report(removed, store, None, report)
        done.append(removed.version)
    if ages is not None and ages.ages:
        last = store.read(done[-1].ref) if done else manifest
        done.append(_run_ages(last, store, ages, settings.drop_ages.ages == "auto", report))
    return done


def face_steps(settings: PreprocessSettings, crop: CropSettings) -> list[Step]:
    """Return the steps detect, landmarks and crop, for one pass over an image."""
    return [detect_step(settings.detect), landmarks_step(settings.landmarks, settings.detect), crop_step(crop)]


def folder_steps(settings: PreprocessSettings, crop: CropSettings, report: Report = print) -> list[Step]:
    """Return the steps of `settings.steps` for images without labels, for one pass over an image."""
    background = _background_steps(settings, report)
    return [*(face_steps(settings, crop) if "crop" in settings.steps else [detect_step(settings.detect)]), *background]


def run_drop_ages(ref: str, store: Store, settings: DropAgesSettings, report: Report = print) -> Version:
    """Write the version without these ages, or with the cut moved to them. Raises ConfigError without ages."""
    manifest = store.read(ref)
    ages = resolve_ages(settings, manifest, store, report)
    if not ages.ages:
        raise ConfigError(
            f"drop-ages needs ages; auto means {PROFILES_AGES} for photos of the layout profiles alone. "
            "Set --ages 57,58,59, or drop_ages.ages in the settings file."
        )
    return _run_ages(manifest, store, ages, settings.ages == "auto", report)


def _run_ages(manifest: Manifest, store: Store, settings: DropAgesSettings, is_auto: bool, report: Report) -> Version:
    ages, cuts = parse_ages(settings.ages), None
    if settings.policy == "relabel":
        table, cuts = relabel_ages(manifest.table, ages, manifest.cuts)
    else:
        table = drop_ages(manifest.table, ages, settings.splits)
    report(ages_line(manifest.table, table, settings, is_auto))
    return store.write(
        manifest.version.name,
        table,
        "drop-ages",
        parents=[manifest.version],
        parameters={**settings.model_dump(), "splits": list(SPLITS if cuts else settings.splits)},
        cuts=cuts,
    )


def _measure(manifest: Manifest, store: Store, settings: PreprocessSettings) -> FaceShare:
    return measure_face_share(manifest, store, settings.detect.backend, settings.detect.params)


def _background_steps(settings: PreprocessSettings, report: Report) -> list[Step]:
    """Return the step background, or nothing, after reporting which remover runs."""
    if "background" not in settings.steps:
        return []
    chosen: BackgroundSettings = settings.background
    report(remover_line(chosen))
    return [] if chosen.backend == "none" else [background_step(chosen)]


def _run(name: str, steps: list[Step], manifest: Manifest, store: Store, settings: PreprocessSettings) -> StageRun:
    for step in steps:
        if step.name in ("crop", "background"):
            _refuse_repeat(step.name, manifest)
    return run_stage(name, steps, manifest, store, jobs=settings.jobs, executor=settings.executor)


def _report(done: StageRun, store: Store, crop: CropSettings | None, report: Report) -> None:
    for line in done.lines():
        report(line)
    if crop is not None:
        needed = ["status", "outside_share", "box_xyxy", "width_px", "height_px"]
        for line in margin_lines(store.read(done.version.ref, needed).table, crop):
            report(line)


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
