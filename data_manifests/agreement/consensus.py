"""Consensus: one log that `apply` takes, made from several annotators' logs by a rule that is named in it.

    unanimous    all annotations agree
    majority     more than half of the annotations agree
    adjudicator  the value of one named person where there is one, else as unanimous
    cleanlab     the most likely label by cleanlab's CROWDLAB (Goh et al. 2022, arXiv:2210.06812), from the annotations,
                 the reliability of each annotator and the scores of `audit`

A label that a rule does not decide stays open: it is reported and no record is written. Ages agree if they lie in one
class; then the lower median of the given years is taken, or the class if no year was given.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data_manifests.agreement.labels import AnnotatedLabel, category
from data_manifests.corrections import CLASS_PREFIX, COLUMNS, Correction, read_corrections, to_line
from data_manifests.errors import ConfigError, CorrectionError, must_be_one_of
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import write_atomic

RULES = ("unanimous", "majority", "adjudicator", "cleanlab")
SIGNATURE = "consensus:"  # start of the annotator of each record that a rule wrote


@dataclass(frozen=True)
class Decision:
    """The value that a rule gives a label, empty if it stays open, and the reason."""

    label: AnnotatedLabel
    value: str
    reason: str


def decide(
    labels: Sequence[AnnotatedLabel],
    rule: str,
    cuts: AgeCuts,
    *,
    adjudicator: str = "",
    most_likely: Sequence[str] | None = None,
) -> list[Decision]:
    """Return one decision for each label that has an annotation.

    `most_likely` holds cleanlab's category for each label (`crowdlab.most_likely`), empty where it has none. Raises
    ConfigError for an unknown rule, or one without its adjudicator or categories.
    """
    if rule not in RULES:
        raise ConfigError(must_be_one_of("rule", RULES, rule))
    if rule == "adjudicator" and not adjudicator:
        raise ConfigError("the rule adjudicator needs the name of the person who decides: --adjudicator NAME.")
    if adjudicator and rule != "adjudicator":
        raise ConfigError(
            f"an adjudicator is allowed with the rule adjudicator only. Got rule {rule!r} and {adjudicator!r} instead."
        )
    if (rule == "cleanlab") != (most_likely is not None):
        raise ConfigError("cleanlab's categories are needed for the rule cleanlab, and allowed for no other.")
    answers = most_likely if most_likely is not None else [""] * len(labels)
    decisions = [
        _decide(label, rule, cuts, adjudicator, answer)
        for label, answer in zip(labels, answers, strict=True)
        if label.annotations or adjudicator in label.adjudications
    ]
    return _hold_back(decisions)


def _decide(label: AnnotatedLabel, rule: str, cuts: AgeCuts, adjudicator: str, most_likely: str) -> Decision:
    adjudicated = label.adjudications.get(adjudicator) or label.annotations.get(adjudicator)
    if adjudicated:
        return Decision(label, adjudicated.value, f"adjudicated by {adjudicator}")
    counts = Counter(category(label.field, one.value, cuts) for one in label.annotations.values())
    choice, votes = counts.most_common(1)[0]
    if rule == "cleanlab" and most_likely:
        return Decision(label, _value(label, most_likely, cuts), "cleanlab")
    if votes == len(label.annotations):
        return Decision(label, _value(label, choice, cuts), "unanimous")
    if rule == "majority" and 2 * votes > len(label.annotations):
        return Decision(label, _value(label, choice, cuts), f"{votes} of {len(label.annotations)}")
    reasons = {"majority": "no majority", "cleanlab": "no audit score"}
    return Decision(label, "", reasons.get(rule, "annotations differ"))


def _value(label: AnnotatedLabel, choice: str, cuts: AgeCuts) -> str:
    """Return the value to write for a category: for ages, the lower median of the years given in the class."""
    if label.field != "age":
        return choice
    values = [one.value for one in label.annotations.values() if category("age", one.value, cuts) == choice]
    years = sorted(int(value) for value in values if not value.startswith(CLASS_PREFIX))
    return str(years[(len(years) - 1) // 2]) if years else choice


def _hold_back(decisions: Sequence[Decision]) -> list[Decision]:
    """Leave a person's label open while it is open for a picture of the person: the value would reach the picture."""
    waiting = {
        (one.label.field, one.label.person_id): one.label.name
        for one in decisions
        if one.label.scope == "sample" and not one.value and one.label.person_id
    }
    held = []
    for one in decisions:
        cause = waiting.get((one.label.field, one.label.person_id)) if one.label.scope == "person" else None
        held.append(replace(one, value="", reason=f"waits for {cause}") if cause and one.value else one)
    return held


def to_corrections(decisions: Sequence[Decision], rule: str, adjudicator: str = "") -> list[Correction]:
    """Return the records of decided labels, signed by the rule. Equal annotations give equal records, ids and times.

    A label gets a record for each `old` that its annotators saw, so that the log applies to the version on which they
    started and to a later one. Records of persons come first: a picture's own label is the later annotation.
    """
    signature = f"{SIGNATURE}{rule}" + (f" {adjudicator}" if adjudicator else "")
    records = []
    for one in sorted(decisions, key=lambda one: one.label.scope == "sample"):
        if not one.value:
            continue
        label, last = one.label, one.label.records[-1]
        own = [record for record in label.records if record.scope == label.scope]
        for old in dict.fromkeys(record.old for record in own):
            seen = next(record for record in reversed(own) if record.old == old)
            key = (signature, one.value, old, *(record.correction_id for record in label.records), label.name)
            records.append(
                Correction(
                    manifest=seen.manifest,
                    sample_id=seen.sample_id,
                    person_id=label.person_id,
                    scope=label.scope,
                    field=label.field,
                    old=old,
                    new=one.value,
                    annotator=signature,
                    note=f"{one.reason}; {label.summary()}",
                    image_sha256=seen.image_sha256,
                    correction_id=hashlib.sha256("\0".join(key).encode()).hexdigest()[:16],
                    time=last.time,
                )
            )
    return records


def write_log(path: Path, records: Sequence[Correction]) -> None:
    """Write records as a whole log. Raises CorrectionError rather than replace an annotator's log."""
    if path.exists():
        annotators = read_corrections([path])["annotator"].to_pylist()
        if not all(name.startswith(SIGNATURE) for name in annotators):
            raise CorrectionError(f"{path} is an annotator's log, not a consensus; choose another file.")
    lines = [to_line(COLUMNS), *(to_line([getattr(record, name) for name in COLUMNS]) for record in records)]
    write_atomic(path, "".join(lines).encode())
