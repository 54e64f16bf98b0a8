"""Several annotators' words → one log that `apply` takes, by a rule that is named in it.

    unanimous    all words are alike
    majority     more than half of the words are alike
    adjudicator  the word of one named person where there is one, else as unanimous
    cleanlab     the label that cleanlab's CROWDLAB finds likeliest (Goh et al. 2022, arXiv:2210.06812), from the words,
                 each annotator's record and the scores of `audit`

What a rule does not decide stays open: it is told and no record is written, so nothing is guessed. Ages agree if they
lie in one class; then the lower median of the years that were said holds, or the class if nobody said a year.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data_manifests.agreement.kappa import Unit, category
from data_manifests.corrections import CLASS_PREFIX, COLUMNS, Correction, read_corrections, to_line
from data_manifests.errors import ConfigError, CorrectionError, must_be_one_of
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import write_atomic

RULES = ("unanimous", "majority", "adjudicator", "cleanlab")
SIGNATURE = "consensus:"  # how the annotator of every record begins that a rule wrote


@dataclass(frozen=True)
class Decision:
    """The value that a rule gives a unit, empty if it stays open, and why."""

    unit: Unit
    value: str
    why: str


def decide(
    units: Sequence[Unit], rule: str, cuts: AgeCuts, *, adjudicator: str = "", likeliest: Sequence[str] | None = None
) -> list[Decision]:
    """One decision per unit that somebody has a word on.

    `likeliest` holds cleanlab's category for every unit (`crowd.likeliest`), empty where it has none. Raises
    ConfigError for an unknown rule, or one without its adjudicator or categories.
    """
    if rule not in RULES:
        raise ConfigError(must_be_one_of("rule", RULES, rule))
    if rule == "adjudicator" and not adjudicator:
        raise ConfigError("the rule adjudicator needs the name of whoever decides: --adjudicator NAME.")
    if adjudicator and rule != "adjudicator":
        raise ConfigError(
            f"an adjudicator belongs to the rule adjudicator. Got rule {rule!r} and {adjudicator!r} instead."
        )
    if (rule == "cleanlab") != (likeliest is not None):
        raise ConfigError("cleanlab's categories belong to the rule cleanlab, and to no other.")
    answers = likeliest if likeliest is not None else [""] * len(units)
    decisions = [
        _decide(unit, rule, cuts, adjudicator, answer)
        for unit, answer in zip(units, answers, strict=True)
        if unit.words or adjudicator in unit.decisions
    ]
    return _hold_back(decisions)


def _decide(unit: Unit, rule: str, cuts: AgeCuts, adjudicator: str, likeliest: str) -> Decision:
    ruling = unit.decisions.get(adjudicator) or unit.words.get(adjudicator)
    if ruling:
        return Decision(unit, ruling.value, f"adjudicated by {adjudicator}")
    counts = Counter(category(unit.field, word.value, cuts) for word in unit.words.values())
    choice, votes = counts.most_common(1)[0]
    if rule == "cleanlab" and likeliest:
        return Decision(unit, _value(unit, likeliest, cuts), "cleanlab")
    if votes == len(unit.words):
        return Decision(unit, _value(unit, choice, cuts), "unanimous")
    if rule == "majority" and 2 * votes > len(unit.words):
        return Decision(unit, _value(unit, choice, cuts), f"{votes} of {len(unit.words)}")
    return Decision(unit, "", {"majority": "no majority", "cleanlab": "no audit score"}.get(rule, "words differ"))


def _value(unit: Unit, choice: str, cuts: AgeCuts) -> str:
    """What is written for a category: of ages in the class, the lower median of the years that were said."""
    if unit.field != "age":
        return choice
    said = [word.value for word in unit.words.values() if category("age", word.value, cuts) == choice]
    years = sorted(int(value) for value in said if not value.startswith(CLASS_PREFIX))
    return str(years[(len(years) - 1) // 2]) if years else choice


def _hold_back(decisions: Sequence[Decision]) -> list[Decision]:
    """A person's label waits for every picture of the person that is open in it: it would reach that one too."""
    waiting = {
        (one.unit.field, one.unit.person_id): one.unit.name
        for one in decisions
        if one.unit.scope == "sample" and not one.value and one.unit.person_id
    }
    held = []
    for one in decisions:
        cause = waiting.get((one.unit.field, one.unit.person_id)) if one.unit.scope == "person" else None
        held.append(replace(one, value="", why=f"waits for {cause}") if cause and one.value else one)
    return held


def to_corrections(decisions: Sequence[Decision], rule: str, adjudicator: str = "") -> list[Correction]:
    """Decided units → records, signed by the rule. The same words give the same records, ids and times too.

    A unit gets a record for each `old` that its annotators saw, so that the log applies to the version they began with
    and to a later one. Records about persons come first: a picture's own label is the later word.
    """
    signature = f"{SIGNATURE}{rule}" + (f" {adjudicator}" if adjudicator else "")
    records = []
    for one in sorted(decisions, key=lambda one: one.unit.scope == "sample"):
        if not one.value:
            continue
        unit, last = one.unit, one.unit.records[-1]
        own = [record for record in unit.records if record["scope"] == unit.scope]
        for old in dict.fromkeys(record["old"] for record in own):
            seen = next(record for record in reversed(own) if record["old"] == old)
            key = (signature, one.value, old, *(record["correction_id"] for record in unit.records), unit.name)
            records.append(
                Correction(
                    manifest=seen["manifest"],
                    sample_id=seen["sample_id"],
                    person_id=unit.person_id,
                    scope=unit.scope,
                    field=unit.field,
                    old=old,
                    new=one.value,
                    annotator=signature,
                    note=f"{one.why}; {unit.said()}",
                    image_sha256=seen["image_sha256"],
                    correction_id=hashlib.sha256("\0".join(key).encode()).hexdigest()[:16],
                    time=last["time"],
                )
            )
    return records


def write_log(path: Path, records: Sequence[Correction]) -> None:
    """Write records as a whole log. Raises CorrectionError rather than replace a file that people wrote."""
    if path.exists():
        signed = read_corrections([path])["annotator"].to_pylist()
        if not all(name.startswith(SIGNATURE) for name in signed):
            raise CorrectionError(f"{path} is not a consensus, and nobody's log is written over: choose another file.")
    lines = [to_line(COLUMNS), *(to_line([getattr(record, name) for name in COLUMNS]) for record in records)]
    write_atomic(path, "".join(lines).encode())
