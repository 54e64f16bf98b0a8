"""The results of an audit as a doctor reports them: suspected labels, duplicates, and photos without one clear face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # importing the audit loads its settings
    from audit.run import Audit

LABEL_KINDS = ("gender", "age", "mask", "identity")
MIN_LABELLED = 100  # fewer labels do not determine their error rate
MIN_SKILL = {"accuracy": 0.9, "class_macro_f1": 0.7}  # a weaker probe mistakes its own errors for wrong labels


@dataclass(frozen=True)
class Suspect:
    """An issue that is more likely real than not. `samples` are the sample_ids of the photos it is about."""

    kind: str
    title: str
    probability: float
    given: str
    predicted: str
    reason: str
    person: str
    samples: tuple[str, ...]


@dataclass(frozen=True)
class Estimate:
    """The estimated number of wrong labels of a task. A gender or age counts once for all photos of a person."""

    task: str
    wrong: int
    labelled: int


@dataclass(frozen=True)
class Suspicions:
    """The results of an audit. Samples are sample_ids."""

    labels: tuple[Suspect, ...]  # wrong labels and identity mismatches, in the order of the review queue
    duplicates: tuple[Suspect, ...]
    quality: tuple[Suspect, ...]  # blurred, badly exposed, odd: poor pictures with a face
    no_face: tuple[str, ...]
    several_faces: tuple[str, ...]
    estimates: tuple[Estimate, ...]
    notes: tuple[str, ...]

    def count(self, kind: str) -> int:
        """Return the number of suspected labels of one kind."""
        return sum(suspect.kind == kind for suspect in self.labels)


def list_suspects(audit: Audit) -> Suspicions:
    """Return the issues of an audit that are more likely real than not."""
    from audit.run import LIKELY

    samples = audit.data.rows["sample_id"].to_numpy(object)
    faces = audit.data.features.faces
    no_face, several = (tuple(samples[found].tolist()) for found in (faces == 0, faces > 1))
    likely = [_suspect(row) for row in audit.queue[audit.queue["probability"] >= LIKELY].to_dict("records")]
    shown_as_faces = {*no_face, *several}
    kinds = {one.kind for one in likely}  # without a suspect, an estimate is only the audit's prior rate
    return Suspicions(
        labels=tuple(one for one in likely if one.kind in LABEL_KINDS),
        duplicates=tuple(one for one in likely if one.kind == "duplicate"),
        quality=tuple(one for one in likely if one.kind == "quality" and not shown_as_faces & set(one.samples)),
        no_face=no_face,
        several_faces=several,
        estimates=estimate_wrong({name: audit.data.probes[name] for name in audit.data.probes if name in kinds}),
        notes=tuple(audit.data.notes),
    )


def estimate_wrong(probes: Mapping[str, Mapping[str, Any]]) -> tuple[Estimate, ...]:
    """Return the estimated number of wrong labels of each task whose probe is good enough to give one."""
    estimates = []
    for task, probe in probes.items():
        rate, labelled = probe.get("estimated_error_rate"), probe.get("people", probe.get("photos", 0))
        skilled = all(probe.get(name, least) >= least for name, least in MIN_SKILL.items())
        wrong = round((rate or 0) * labelled)
        if wrong and labelled >= MIN_LABELLED and skilled:
            estimates.append(Estimate(task, wrong, labelled))
    return tuple(estimates)


def _suspect(row: Mapping[Any, Any]) -> Suspect:
    from audit.checks import find_check

    return Suspect(
        kind=row["kind"],
        title=find_check(row["kind"]).label,
        probability=round(float(row["probability"]), 4),
        given=_text(row["given"]),
        predicted=_text(row["predicted"]),
        reason=row["reason"],
        person=row["person_id"],
        samples=tuple(row["sample_ids"].split()),
    )


def _text(value: object) -> str:
    """Return a label as text; "" for none. pandas stores a missing label as NaN and a whole age as a float."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return str(int(value)) if isinstance(value, float | np.floating) else str(value)
