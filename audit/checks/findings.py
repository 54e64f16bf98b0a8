"""All the scores of one manifest, before they are put in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from audit.checks.age import score_ages
from audit.checks.duplicate import Duplicates, find_duplicates
from audit.checks.identity import IdentityScores, score_identity
from audit.checks.mask import MaskScores, score_masks
from audit.checks.probe_quality import age_probe, gender_probe, mask_probe
from audit.features import Features, odd_sizes
from audit.scoring import (
    SUSPECT,
    Predictions,
    Units,
    best_penalty,
    differs_within_profile,
    held_out,
    label_of,
    make_probe,
    make_units,
    posterior,
)
from audit.settings import AuditSettings
from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts

LEAST_PEOPLE = 20  # with a label, below which no probe is fitted
LEAST_OF_CLASS = 3
ROW_COLUMNS = (
    "sample_id", "person_id", "profile_id", "shot", "mask", "gender", "age", "age_class", "split",
    "sha256", "width_px", "height_px", "root", "path",
)  # fmt: skip


@dataclass(frozen=True)
class LabelScores:
    """Per unit (U,): probability that the commonest label is right (NaN: not judged), what the face looks like, that
    label, and whether the photos disagree about it, so that at least one is wrong."""

    right: np.ndarray
    looks: np.ndarray
    filed: np.ndarray
    mixed: np.ndarray


@dataclass(frozen=True)
class Findings:
    """Scores of the photos in `rows` (P, the places of `features`) and of the profiles in `units`."""

    rows: pd.DataFrame
    features: Features
    units: Units
    gender: LabelScores
    age: LabelScores
    mask: MaskScores
    identity: IdentityScores
    duplicates: Duplicates
    odd_size: np.ndarray
    probes: dict[str, dict[str, Any]]
    notes: list[str] = field(default_factory=list)


def photo_rows(table: pa.Table, features: Features) -> pd.DataFrame:
    """What the manifest says of the photos that were looked at, in the order of the features."""
    return table.select(list(ROW_COLUMNS)).take(pa.array(features.rows)).to_pandas()


def find(
    rows: pd.DataFrame,
    features: Features,
    cuts: AgeCuts,
    settings: AuditSettings,
    predictions: Predictions | None = None,
) -> Findings:
    """Everything that can be said of these photos; what cannot is a note, never an error."""
    rng = np.random.default_rng(settings.seed)
    views = [features.identity, features.appearance, *([predictions.people] if predictions else [])]
    units = make_units(rows, *views)
    notes = [f"{len(features.problems)} pictures could not be read"] if features.problems else []
    if predictions and not predictions.known.all():
        notes.append(f"{(~predictions.known).sum()} of {len(rows)} photos have no line in the predictions")
    probes: dict[str, dict[str, Any]] = {}
    gender = _score_gender(rows, units, probes, notes)
    age = _score_age(rows, units, cuts, probes, notes)
    persons = pd.factorize(rows["person_id"])[0]
    states = pd.Categorical(rows["mask"], MASKS).codes.astype(int)
    lower = [features.lower_face, *([predictions.mask] if predictions else [])]
    mask = score_masks(lower, persons, pd.factorize(rows["profile_id"])[0], states)
    probes["mask"] = mask_probe(mask.photo, states)
    shown = np.where(mask.right < SUSPECT, mask.looks, states)  # else a swap makes strangers of two photos
    identity = score_identity(features.identity, persons, shown, rng)
    duplicates = find_duplicates(
        rows["sha256"].to_numpy(str), features.hashes, features.copies, features.identity, settings.duplicate_bits, rng
    )
    odd = odd_sizes(rows["width_px"].to_numpy(), rows["height_px"].to_numpy())
    notes += [*mask.notes, *([identity.note] if identity.note else [])]
    return Findings(rows, features, units, gender, age, mask, identity, duplicates, odd, probes, notes)


def _nothing(units: Units, filed: np.ndarray, mixed: np.ndarray, looks: object) -> LabelScores:
    return LabelScores(np.full(len(units), np.nan), np.full(len(units), looks, object), filed, mixed)


def _score_gender(rows: pd.DataFrame, units: Units, probes: dict[str, dict[str, Any]], notes: list[str]) -> LabelScores:
    filed, _ = label_of(rows["gender"], units)
    mixed = differs_within_profile(rows["gender"], rows["profile_id"], units)
    labels = pd.Categorical(filed, GENDERS).codes.astype(int)
    counts = np.bincount(labels[labels >= 0], minlength=2)
    if counts.sum() < LEAST_PEOPLE or counts.min() < LEAST_OF_CLASS:
        words = ", ".join(f"{count} {name}" for name, count in zip(GENDERS, counts.tolist(), strict=True))
        notes.append(f"gender cannot be judged: it takes {LEAST_PEOPLE} people and {LEAST_OF_CLASS} of each ({words})")
        return _nothing(units, filed, mixed, None)
    probe = make_probe(units.features, units.persons)
    targets = np.where(labels < 0, 0.0, labels * 2.0 - 1)[:, None]
    found = posterior(held_out(probe, targets, best_penalty(probe, targets)), labels, 2)
    right = np.full(len(labels), np.nan)
    known = labels >= 0
    right[known] = found.classes[known, labels[known]]
    probes["gender"] = gender_probe(found.photo, labels) | {"estimated_error_rate": round(found.error_rate, 4)}
    looks = np.array(GENDERS, object)[found.photo.argmax(axis=1)]
    return LabelScores(right, looks, filed, mixed)


def _score_age(
    rows: pd.DataFrame, units: Units, cuts: AgeCuts, probes: dict[str, dict[str, Any]], notes: list[str]
) -> LabelScores:
    """Ages in years; where only a class is known, its middle stands for the age."""
    lows_highs = [cuts.bounds(k) for k in range(3)]
    middles = np.array([max(low, 15) / 2 + min(high, 80) / 2 for low, high in lows_highs])
    age_class = rows["age_class"].to_numpy(float)
    of_class = np.where(np.isnan(age_class), np.nan, middles[np.nan_to_num(age_class).astype(int)])
    filed, mixed = label_of(rows["age"].astype(float).fillna(pd.Series(of_class, rows.index)), units)
    ages = filed.astype(float)
    known = np.isfinite(ages)
    if known.sum() < LEAST_PEOPLE or len(np.unique(ages[known])) < 2:
        notes.append(f"age cannot be judged: {int(known.sum())} people with {len(np.unique(ages[known]))} ages")
        return _nothing(units, filed, mixed, None)
    found = score_ages(units.features, units.persons, ages, cuts)
    probes["age"] = age_probe(found, ages, cuts) | {"estimated_error_rate": round(found.error_rate, 4)}
    looks = np.clip(np.round(found.looks_years), 0, 116).astype(int).astype(object)
    return LabelScores(found.right, looks, filed, mixed)
