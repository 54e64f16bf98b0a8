"""The three commands that fit what was found, filled in."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_manifests.labels import TASKS

if TYPE_CHECKING:
    from facecurate.doctor.findings import Findings

COMMANDS = 3
MIN_TO_TRAIN = 20  # usable photos; a split of fewer has too few people to validate on
MANY_UNREADABLE = 0.1  # share of the photos


@dataclass(frozen=True)
class NextCommand:
    """A command, filled in, and the reason for it."""

    command: str
    why: str


def choose_commands(findings: Findings, can_make: bool) -> tuple[NextCommand, ...]:
    """Return the three commands, in the order in which they are to be run.

    `can_make` is True in the toolkit's own folder, where `make` runs several stages at once.
    """
    chosen: list[NextCommand] = []
    for one in _candidates(findings, can_make):
        if one.command not in {other.command for other in chosen}:
            chosen.append(one)
        if len(chosen) == COMMANDS:
            break
    return tuple(chosen)


def _candidates(findings: Findings, can_make: bool) -> Iterator[NextCommand]:
    contents, ref = findings.contents, f"{findings.name}@photos"
    labelled = tuple(task.task for task in contents.labelled)
    if len(contents.unreadable) > MANY_UNREADABLE * contents.photos:
        yield NextCommand(
            f"facecurate doctor {shlex.quote(findings.source)}",
            f"Look again after replacing the {len(contents.unreadable):,} photos that cannot be used.",
        )
    if not labelled:
        yield NextCommand("facecurate app", "Label the photos: no label was found.")
    elif findings.suspicions and findings.suspicions.labels:
        yield NextCommand("facecurate app", f"Review {_suspects_text(len(findings.suspicions.labels))}.")
    can_train = bool(labelled) and contents.usable >= MIN_TO_TRAIN and contents.people > 1
    if can_train:
        yield from _split(findings, ref)
        yield from _training(findings, ref, labelled, can_make)
    else:
        yield _preprocessing(findings, ref)
    page = shlex.quote(f"{findings.name}-report.html")
    yield NextCommand(f"facecurate report {ref} --out {page}", "Write a report with charts of all labels.")
    yield NextCommand("facecurate app", "Look through all photos.")
    yield NextCommand(f"facecurate show {ref}", "Print the version: history, people, rows, classes.")


def _suspects_text(count: int) -> str:
    return "the label that is probably wrong" if count == 1 else f"the {count:,} labels that are probably wrong"


def _split(findings: Findings, ref: str) -> Iterator[NextCommand]:
    splits, people = findings.contents.splits, [leak for leak in findings.leaks if leak.kind == "person"]
    ratios = " --ratios train=7,val=2,test=1" if "test" in splits else ""
    if splits and people:
        why = (
            f"Split again by person: {len(people):,} {'person is' if len(people) == 1 else 'people are'} in two parts."
        )
        yield NextCommand(f"facecurate split {ref} --reassign{ratios}", why)
    elif splits and "val" not in splits:
        why = f"Take a validation part from train: the set came with {' and '.join(splits)} only."
        yield NextCommand(f"facecurate split {ref}", why)
    elif not splits:
        yield NextCommand(f"facecurate split {ref}", "Assign each person to training or validation.")


def _training(findings: Findings, ref: str, labelled: tuple[str, ...], can_make: bool) -> Iterator[NextCommand]:
    tasks = ", ".join(labelled[:-1]) + (" and " if len(labelled) > 1 else "") + labelled[-1]
    if can_make and labelled == TASKS:
        yield NextCommand(
            f"make preprocess synth train DATASET={findings.name}",
            "Crop, balance with synthetic masked faces, train, and write the report.",
        )
        page = shlex.quote(f"{findings.name}-balanced.html")
        yield NextCommand(f"facecurate report {findings.name}@balanced --out {page}", "Draw charts of the result.")
        return
    yield _preprocessing(findings, ref)
    yield NextCommand(f"facecurate train fit {findings.name}@preprocessed", f"Train on {tasks}, and write the report.")


def _preprocessing(findings: Findings, ref: str) -> NextCommand:
    are_crops = findings.face_share is not None and findings.face_share.are_crops
    why = "Find landmarks and remove backgrounds; the photos are crops already and stay as they are."
    if not are_crops:
        why = "Crop the photos to the faces and remove backgrounds."
    return NextCommand(f"facecurate preprocess run {ref} --tag preprocessed", why)
