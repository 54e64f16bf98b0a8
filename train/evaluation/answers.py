"""Files of answers, one line per picture: ImageID,ans or, for a network of fewer tasks, a column per task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from data_manifests.errors import StageError
from data_manifests.files import csv_bytes, read_csv_frame, read_parquet
from data_manifests.labels import TASK_COLUMN, TASKS, UNKNOWN, label_names, labels_of_class
from data_manifests.taxonomy import N_CLASSES, AgeCuts
from data_manifests.versions import Store, write_atomic
from pipeline.runs import Run
from train.evaluation.evaluate import load_best, usable_rows
from train.evaluation.metrics import task_probabilities
from train.evaluation.predict import PROBABILITIES, predict_photos, predict_rows
from train.manifest_photos import original_names
from train.models import Trained
from train.photo_folder import FolderPhotos, prepare_folder

Echo = Callable[[str], None]
_OF_CLASS = labels_of_class(np.arange(N_CLASSES))


@dataclass(frozen=True)
class Answers:
    """Predictions by `ImageID` of the pictures of a source, `reasons` of those without, and `remarks` on others.

    `left_out` has the entries of a folder that are no picture.
    """

    frame: pd.DataFrame
    tasks: Sequence[str] = TASKS
    cuts: AgeCuts = field(default_factory=AgeCuts)
    reasons: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


def predict_to_csv(
    store: Store,
    run: Run,
    source: str | FolderPhotos,
    out: Path,
    *,
    probabilities: bool,
    tta: Sequence[str] = (),
    echo: Echo,
) -> Answers:
    """Write the answers for a manifest's usable rows or a folder's pictures, with the reason where there is none."""
    answers = predict_source(load_best(run), store, run, source, None, tta)
    write_answers(out, answers, probabilities)
    for path, reason in answers.reasons.items():
        echo(f"  no answer for {path}: {reason}")
    if answers.left_out:
        first, reason = next(iter(answers.left_out.items()))
        echo(f"  {len(answers.left_out)} other entries left out, first {first}: {reason}")
    if answers.remarks:
        first, remark = next(iter(answers.remarks.items()))
        echo(f"  {len(answers.remarks)} answers are uncertain, first {first}: {remark}")
    count = len(answers.frame)
    if set(answers.tasks) == set(TASKS):
        echo(f"  {legend(answers.cuts)}")
    echo(f"{run.name}: {count} of {count + len(answers.reasons)} pictures predicted; wrote {out}")
    return answers


def legend(cuts: AgeCuts) -> str:
    """Return the meaning of `ans` in one line: ans = 6 × mask (0 worn, 1 incorrect, 2 none) + …"""
    parts, size = [], N_CLASSES
    for task in TASKS:
        names = label_names(task, cuts)
        size //= len(names)
        numbers = ", ".join(f"{code} {name}" for code, name in enumerate(names))
        parts.append(f"{f'{size} × ' if size > 1 else ''}{task} ({numbers})")
    return f"ans = {' + '.join(parts)}"


def predict_source(
    trained: Trained, store: Store, run: Run, source: str | FolderPhotos, split: str | None, tta: Sequence[str]
) -> Answers:
    """Return the answers of a run, whose network is `trained`, for a folder's pictures or a manifest's rows.

    Raises ManifestError if the manifest has other age cuts than the network.
    """
    if isinstance(source, str) and Path(source).is_dir():
        source = prepare_folder(store, run, Path(source))
    if isinstance(source, FolderPhotos):
        frame, unread = predict_photos(trained, source, store, tta)
        reasons, remarks = source.reasons | unread, source.remarks
        named = frame.rename(columns={"path": "ImageID"})
        return Answers(named, trained.tasks, trained.cuts, reasons, remarks, source.left_out)
    manifest = store.read(source)
    trained.check_taxonomy(manifest.cuts, manifest.version.ref)
    rows = usable_rows(manifest, split)
    frame = predict_rows(trained, rows, store, manifest.version.ref, "predict", tta)
    names = original_names(manifest, store)
    frame.insert(
        0, "ImageID", [names.get(row, path) for row, path in zip(frame["sample_id"], frame["path"], strict=True)]
    )
    return Answers(frame.drop(columns="path"), trained.tasks, trained.cuts)


def write_answers(out: Path, answers: Answers, probabilities: bool) -> None:
    """Write the CSV: the competition's ImageID,ans where all tasks are predicted, else a column per task.

    On request, probabilities follow. Pictures without an answer come last; a column `reason` is there if any has one.
    """
    frame, tasks = answers.frame, answers.tasks
    codes = labels_of_class(frame["predicted"].to_numpy(np.int64))
    table = frame[["ImageID"]].copy()
    if set(tasks) == set(TASKS):
        table["ans"] = frame["predicted"].to_numpy(np.int64)
    for task in tasks if "ans" not in table else ():
        names = np.array(label_names(task, answers.cuts))
        table[TASK_COLUMN[task]] = names[codes[:, TASKS.index(task)]]
    if probabilities:
        known = [name for name in ("sample_id", "confidence") if name in frame]
        table = pd.concat([table, frame[known], _probabilities(answers)], axis=1)
    without = {**answers.reasons, **answers.left_out}
    if without or answers.remarks:
        table["reason"] = [answers.remarks.get(name, "") for name in table["ImageID"]]
        unread = pd.DataFrame({"ImageID": list(without), "reason": list(without.values())})
        table = pd.concat([table, unread])
    if "ans" in table:
        table["ans"] = table["ans"].astype("Int64")
    write_atomic(out, csv_bytes(table))


def _probabilities(answers: Answers) -> pd.DataFrame:
    """Return the columns of probabilities: p_00 … p_17, or p_mask_worn … of the tasks that are predicted."""
    if PROBABILITIES[0] not in answers.frame:
        return pd.DataFrame(index=answers.frame.index)
    of_class = answers.frame[PROBABILITIES]
    if set(answers.tasks) == set(TASKS):
        return of_class
    columns: dict[str, np.ndarray] = {}
    for task in answers.tasks:
        shares = task_probabilities(of_class.to_numpy(), task)
        columns |= dict(zip(_probability_names(task, answers.cuts), shares.T, strict=True))
    return pd.DataFrame(columns, index=answers.frame.index)


def _probability_names(task: str, cuts: AgeCuts) -> list[str]:
    return [f"p_{task}_{name}" for name in label_names(task, cuts)]


def read_answers(file: Path) -> pd.DataFrame:
    """Read a file of `predict`, `evaluate` or `ensemble`, or any with ImageID,ans. Raises StageError for others."""
    try:
        if file.suffix == ".parquet":
            table = read_parquet(file, error=StageError).to_pandas()
        else:
            table = read_csv_frame(file, ["ImageID", "path", "sample_id"], error=StageError)
    except StageError as error:
        raise StageError(f"predictions {file} cannot be read: {error}") from None
    table = table.rename(columns={"path": "ImageID", "ans": "predicted"})
    if "predicted" not in table and set(TASK_COLUMN.values()) & set(table.columns):
        table = _compose(table)
    if not {"ImageID", "predicted"} <= set(table.columns):
        raise StageError(f"{file} has no ImageID and ans. Make it with: facecurate train predict RUN REF --out {file}")
    return table[table["predicted"].notna()]


def tasks_in(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the tasks that a table of `read_answers` has answers for: all of them if it has no column of a task."""
    return tuple(task for task in TASKS if TASK_COLUMN[task] in table) or TASKS


def _compose(table: pd.DataFrame) -> pd.DataFrame:
    """Add the classes of a file with a column per task; labels of the other tasks get equal probabilities."""
    probability = np.ones((len(table), N_CLASSES))
    has_answer = np.ones(len(table), bool)
    for position, task in enumerate(TASKS):
        if TASK_COLUMN[task] not in table:
            continue
        given = table[TASK_COLUMN[task]]
        has_answer &= given.notna().to_numpy()
        names = [column for column in table if str(column).startswith(f"p_{task}_")]
        shares = table[names].to_numpy(np.float64) if names else _one_hot(given, task)
        probability *= shares[:, _OF_CLASS[:, position]]
    probability /= np.maximum(probability.sum(1, keepdims=True), 1e-12)
    predicted = pd.array(probability.argmax(1), dtype="Int64")
    predicted[~has_answer] = pd.NA
    return table.assign(predicted=predicted, **dict(zip(PROBABILITIES, probability.T, strict=True)))


def _one_hot(given: pd.Series, task: str) -> np.ndarray:
    """Return labels (N,) as probabilities (N, K); ages such as "<30", "30-59", ">=60" by their first character."""
    if task == "age":
        codes = given.map(lambda name: UNKNOWN if pd.isna(name) else {"<": 0, ">": 2}.get(str(name)[0], 1))
    else:
        names = label_names(task, AgeCuts())
        codes = given.map(lambda name: names.index(name) if name in names else UNKNOWN)
    return (codes.to_numpy(np.int64)[:, None] == np.arange(len(label_names(task, AgeCuts())))).astype(np.float64)


def by_sample(table: pd.DataFrame) -> pd.DataFrame:
    """Index a table by sample_id, or by ImageID where there is none, as with folders."""
    return table.set_index("sample_id" if "sample_id" in table else table["ImageID"].rename("sample_id"))
