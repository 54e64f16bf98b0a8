"""Ensembles: the predictions of several runs or files, joined by sample and combined by a voting rule."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_manifests.errors import ConfigError, ManifestError, StageError
from data_manifests.labels import UNKNOWN
from data_manifests.taxonomy import N_CLASSES, AgeCuts
from data_manifests.versions import Store, write_atomic
from pipeline.runs import SCORES, TARGETS, find_run
from reporting.mistakes import known_labels, labels_in
from train.evaluation.answers import Answers, by_sample, predict_source, read_answers, tasks_in, write_answers
from train.evaluation.bootstrap import paired_scores
from train.evaluation.evaluate import load_best
from train.evaluation.metrics import TASKS, confusion_of, headline_of, score_title, scores_of
from train.evaluation.predict import PROBABILITIES, as_frame
from train.evaluation.voting import PROBABILISTIC, vote, vote_by_task
from train.head_parts import tasks_of_head

Echo = Callable[[str], None]
_LABEL_COLUMNS = ["ImageID", "target", *TARGETS.values(), "person_id"]


@dataclass(frozen=True)
class Member:
    """The predictions of one member of an ensemble.

    `table` is indexed by sample and has `predicted`, usually PROBABILITIES, and where known `ImageID`, `target` (-1:
    no full label), TARGETS, `person_id`. `scores` are the member's own on validation, such as `f1`, `mask_f1`, or
    empty. `tasks` are those that it predicts; a file does not state them.
    """

    name: str
    table: pd.DataFrame
    scores: Mapping[str, float | None] = field(default_factory=dict)
    tasks: tuple[str, ...] = TASKS[1:]

    @property
    def has_probabilities(self) -> bool:
        return PROBABILITIES[0] in self.table

    def probabilities(self) -> np.ndarray:
        """Return probabilities (N, 18); 1 for the answer of a member without probabilities."""
        if self.has_probabilities:
            return self.table[PROBABILITIES].to_numpy(np.float64)
        return np.eye(N_CLASSES)[self.table["predicted"].to_numpy(np.int64)]


def ensemble_to_csv(
    store: Store,
    names: Sequence[str],
    out: Path,
    *,
    how: str = "soft",
    by_task: bool = False,
    weights: Sequence[float] = (),
    source: str | None = None,
    split: str | None = None,
    tta: Sequence[str] = (),
    common: bool = False,
    probabilities: bool = False,
    echo: Echo,
) -> dict[str, Any]:
    """Combine members by a voting rule and write ImageID,ans; where labels are known, score the members and the vote.

    A member is a run or a file of predictions. With a `source`, a manifest (or a split of it) or a folder, runs predict
    that; without one their validation predictions are used. Returns the values of the JSON written beside the CSV.
    Raises StageError, ConfigError or ManifestError for members that cannot be combined.
    """
    reasons: dict[str, str] = {}
    loaded, cuts = _load_members(store, names, source, split, tta, reasons)
    members = join(loaded, common)
    if how in PROBABILISTIC and not all(member.has_probabilities for member in members):
        lacking = next(member.name for member in members if not member.has_probabilities)
        raise StageError(f"{lacking} has no probabilities: predict with --probabilities, or use --how hard.")
    probability = np.stack([member.probabilities() for member in members])
    tasks = tuple(task for task in TASKS[1:] if any(task in member.tasks for member in members))
    main_score = next((name for name in map(headline_of, (member.scores for member in members)) if name), "f1")
    scores = {task: f"{task}_f1" for task in TASKS[1:]} if by_task else {"class": main_score}
    used = {task: weights_of(members, weights, how, score) for task, score in scores.items()}
    merit = vote_by_task(how, probability, used) if by_task else vote(how, probability, used["class"])
    first = members[0].table
    frame = first[[name for name in _LABEL_COLUMNS if name in first]].reset_index(names="sample_id")
    answers = as_frame(merit, tasks) if how in PROBABILISTIC else pd.DataFrame({"predicted": merit.argmax(1)})
    frame = pd.concat([frame, answers], axis=1)
    write_answers(out, Answers(frame, tasks, cuts, reasons), probabilities and how in PROBABILISTIC)
    about: dict[str, Any] = {
        "how": how,
        "by_task": by_task,
        "members": [member.name for member in members],
        "weights": {task: values.tolist() for task, values in used.items()},
        "source": source,
        "tta": list(tta),
        "pictures": len(frame),
        "judged": _score_members(members, frame, tasks, echo),  # the key of files written by every version
    }
    write_atomic(out.with_suffix(".json"), json.dumps(about, indent=2, ensure_ascii=False).encode())
    for path, reason in reasons.items():
        echo(f"  no answer for {path}: {reason}")
    rule = f"{how} vote by task" if by_task else f"{how} vote"
    echo(f"{rule} of {len(members)} over {len(frame)} pictures; wrote {out} and {out.with_suffix('.json').name}")
    return about


def weights_of(members: Sequence[Member], given: Sequence[float], how: str, score: str = "f1") -> np.ndarray:
    """Return weights (M,): those given, else that score of each member.

    Raises ConfigError for invalid weights, or when the rule needs a score that a member does not have.
    """
    if given:
        if len(given) != len(members) or min(given) < 0 or sum(given) == 0:
            raise ConfigError(f"--weights takes one number ≥ 0 for each of {len(members)} members. Got {list(given)}.")
        return np.array(given, float)
    scores = [member.scores.get(score) for member in members]
    if how in ("weighted", "hard_best") and None in scores:
        lacking = next(member.name for member in members if member.scores.get(score) is None)
        raise ConfigError(f"{lacking} has no validation score, which --how {how} needs. Give --weights.")
    return np.array([score or 1.0 for score in scores], float)


def join(members: Sequence[Member], common: bool = False) -> list[Member]:
    """Return the members with the same samples in the same order.

    `common` keeps the samples that all members have; without it, missing samples raise StageError. StageError is also
    raised when no sample is common.
    """
    for member in members:
        if not member.table.index.is_unique:
            sample = member.table.index[member.table.index.duplicated()][0]
            raise StageError(f"{member.name} has two predictions of {sample!r}. Remove one of them.")
    everything = members[0].table.index
    shared = members[0].table.index
    for member in members[1:]:
        everything = everything.union(member.table.index)
        shared = shared[shared.isin(member.table.index)]
    if len(shared) == 0:
        raise StageError(
            f"{members[0].name} and {members[-1].name} have no picture in common: folds and runs of different "
            "manifests have different validation people. Give --on REF, a manifest or folder that all of them predict."
        )
    if len(shared) < len(everything) and not common:
        missing = {member.name: len(everything.difference(member.table.index)) for member in members}
        counts = ", ".join(f"{name} lacks {count}" for name, count in missing.items() if count)
        raise StageError(
            f"the members differ in their {len(everything)} pictures: {counts}. Give --common to vote over the "
            f"{len(shared)} that all have."
        )
    return [replace(member, table=member.table.loc[shared]) for member in members]


def _load_members(
    store: Store,
    names: Sequence[str],
    source: str | None,
    split: str | None,
    tta: Sequence[str],
    reasons: dict[str, str],
) -> tuple[list[Member], AgeCuts]:
    """Load the members and their age cuts; add the unreadable pictures to `reasons`.

    Raises ManifestError for different age cuts.
    """
    if len(set(names)) < 2:
        raise StageError(f"an ensemble needs at least two members. Got {', '.join(names) or 'none'} instead.")
    loaded = [_load_member(store, name, source, split, tta, reasons) for name in names]
    if len({cuts for _, cuts in loaded if cuts}) > 1:
        raise ManifestError("the members have different age classes. Train them on manifests with the same age cuts.")
    return [member for member, _ in loaded], next((cuts for _, cuts in loaded if cuts), AgeCuts())


def _load_member(
    store: Store, name: str, source: str | None, split: str | None, tta: Sequence[str], reasons: dict[str, str]
) -> tuple[Member, AgeCuts | None]:
    """Return a member from a run or a file, and its age cuts, which a file does not contain."""
    if Path(name).suffix in (".csv", ".parquet"):
        answers = read_answers(Path(name))
        return Member(name, by_sample(answers), tasks=tasks_in(answers)), None
    run = find_run(store, name)
    if source is None:
        scores, tasks = run.scores()["scores"], tasks_of_head(run.settings()["model"]["head"])
        table = run.predictions().to_pandas().rename(columns={"path": "ImageID"})
        table = by_sample(table[table["split"] == "val"])
        return Member(run.name, table, scores, tasks), AgeCuts(*run.about()["age_cuts"])
    trained = load_best(run)
    predicted = predict_source(trained, store, run, source, split, tta)
    reasons.update(predicted.reasons)
    scores = run.scores()["scores"] if run.has(SCORES) else {}
    return Member(run.name, by_sample(predicted.frame), scores, trained.tasks), trained.cuts


def _score_members(
    members: Sequence[Member], frame: pd.DataFrame, tasks: Sequence[str], echo: Echo
) -> list[dict[str, Any]]:
    """Score the members, best first, and the vote, each against the best member with a paired interval over people.

    `tasks` are those that any member predicts; nothing is scored without labels of them.
    """
    first = members[0].table
    if "target" not in first or "person_id" not in first:
        return []
    labels = known_labels(labels_in(first), tasks)
    labelled = (labels != UNKNOWN).any(1)
    if not labelled.any():
        return []
    for member in members[1:]:
        if "target" in member.table and (changed := int((labels_in(member.table) != labels_in(first)).any(1).sum())):
            echo(f"  {changed} labels of {member.name} differ from those of {members[0].name}, which are used as truth")
    labels = labels[labelled]
    by_member = {member.name: member.table["predicted"].to_numpy(np.int64)[labelled] for member in members}
    own = {name: scores_of(confusion_of(labels, predicted), tasks) for name, predicted in by_member.items()}
    main_score = headline_of(next(iter(own.values())))
    if main_score is None:
        echo("  not measurable: the labels are all of one class")
        return []
    by_score = {name: by_member[name] for name in sorted(by_member, key=lambda name: -(own[name][main_score] or 0))}
    together = {"ensemble": frame["predicted"].to_numpy(np.int64)[labelled]}
    predictions = {name: values[None] for name, values in (by_score | together).items()}
    persons = first["person_id"].to_numpy()[labelled].tolist()
    entries = paired_scores(labels, predictions, persons, np.random.default_rng(0), tasks=tasks)
    for entry in entries:
        low, high = entry["low"][main_score], entry["high"][main_score]
        against = f"{entry['difference'][main_score]:+.4f} ({low:+.4f} to {high:+.4f})"
        tail = "" if entry is entries[0] else f"   against the best {against}, 95 % over people"
        scores = f"{score_title(main_score)} {entry['scores'][main_score]:.4f}"
        scores += f"  accuracy {entry['scores']['accuracy']:.4f}" if entry["scores"]["accuracy"] is not None else ""
        echo(f"  {entry['name']:24} {scores}{tail}")
    return entries
