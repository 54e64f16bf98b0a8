"""The findings as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from facecurate.doctor.findings import Findings
from facecurate.doctor.next_commands import NextCommand
from facecurate.doctor.wording import (
    age_cuts_text,
    balance_text,
    count_noun,
    estimate_text,
    face_share_text,
    per_person_text,
)
from reporting.tables import class_label

MAX_UNREADABLE, MAX_SUSPECTS = 3, 5  # lines


def content_lines(found: Findings) -> Iterator[str]:
    """Yield the counts: photos, people, labels, balance, and what cannot be used."""
    contents = found.contents
    people = f"{count_noun(contents.people, 'person')}, {per_person_text(contents.photos_per_person)}"
    yield f"{'photos':12}{contents.usable:,} of {contents.photos:,} can be used; {people}"
    for task in contents.tasks:
        parts = [f"{class_label(name)} {photos:,}" for name, photos in task.photos.items()]
        parts += [f"unknown {task.unknown:,}"] * bool(task.unknown)
        yield f"{task.task:12}{', '.join(parts) if task.labelled else 'no labels'}"
    if contents.ages:
        yield f"{'ages':12}{min(contents.ages)} to {max(contents.ages)} years. {age_cuts_text(contents)}".strip()
    if contents.labelled:
        yield f"{'balance':12}{balance_text(contents.balance)}"
    for kind, count in _leak_counts(found).items():
        yield f"{'leaks':12}{count_noun(count, kind)} in two parts of the split"
    for one in contents.unreadable[:MAX_UNREADABLE]:
        yield f"{'unusable':12}{one.path}: {one.reason}"
    if len(contents.unreadable) > MAX_UNREADABLE:
        yield f"{'':12}and {len(contents.unreadable) - MAX_UNREADABLE:,} more"


def issue_lines(found: Findings) -> Iterator[str]:
    """Yield what the audit found, and whether the photos are crops."""
    if found.face_share:
        yield f"{'crops':12}{face_share_text(found.face_share)}"
    if found.suspicions is None:
        yield f"{'suspects':12}not searched: {found.problem}"
        return
    suspicions = found.suspicions
    kinds = {one.title: suspicions.count(one.kind) for one in suspicions.labels}
    yield f"{'suspects':12}{', '.join(f'{title} {count:,}' for title, count in kinds.items()) or 'none'}"
    for one in suspicions.labels[:MAX_SUSPECTS]:
        yield f"{'':12}{one.probability:.2f}  {one.title}: {one.reason} ({one.person})"
    for estimate in suspicions.estimates:
        yield f"{'estimate':12}{estimate_text(estimate)}"
    counts = {
        "duplicate": len(suspicions.duplicates),
        "photo without a face": len(suspicions.no_face),
        "photo with several faces": len(suspicions.several_faces),
        "set of poor quality": len(suspicions.quality),
    }
    others = [_plural(count, noun) for noun, count in counts.items() if count]
    yield f"{'also':12}{', '.join(others) or 'nothing else'}"
    for note in suspicions.notes:
        yield f"{'note':12}{note}"


def command_lines(commands: Sequence[NextCommand]) -> Iterator[str]:
    """Yield the commands with their reasons, the first of which is repeated as the last line by the caller."""
    for number, one in enumerate(commands, 1):
        yield f"{number}. {one.why}"
        yield f"   {one.command}"


def _leak_counts(found: Findings) -> dict[str, int]:
    kinds = [leak.kind for leak in found.leaks]
    return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


def _plural(count: int, noun: str) -> str:
    first, _, rest = noun.partition(" ")
    return f"{count_noun(count, first)} {rest}".strip()
