"""What is done with trained networks: judge, predict, let several vote. Each is one function over a store."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ManifestError, StageError
from data_manifests.schema import USABLE
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Manifest, Store, write_atomic
from train.data import COLUMNS
from train.evaluation.ensemble import PROBABLE, Member, join, vote, vote_by_task, weights_of
from train.evaluation.metrics import TASKS, confusion_of, scores_of
from train.evaluation.paired_scores import paired_scores
from train.evaluation.predict import PROBABILITIES, as_frame, predict_folder, predict_rows
from train.models import Trained, choose_device, load_trained
from train.runs import Run, find_run

Say = Callable[[str], None]
_KNOWN = ["ImageID", "target", "person_id"]  # of a sample, beside what is said of it


def best_of(run: Run) -> Trained:
    """The best network of a run, on the device that the run asks for."""
    return load_trained(run.path / "best.pt", choose_device(run.settings().device))


def evaluate_run(
    store: Store, name: str, ref: str | None, split: str, *, tta: Sequence[str] = (), say: Say
) -> dict[str, float]:
    """Scores of a run's best network on one split of a manifest; writes them and the predictions into the run."""
    run = find_run(store, name)
    manifest = store.read(ref or run.about()["manifest"])
    trained = best_of(run)
    trained.check_taxonomy(manifest.cuts, manifest.version.ref)
    rows = rows_of(manifest, split, labelled=True)
    predictions = predict_rows(trained, rows, store, manifest.version.ref, "evaluate", tta)
    scores = scores_of(confusion_of(predictions["target"].to_numpy(np.int64), predictions["predicted"].to_numpy()))
    target = "-".join(["evaluate", manifest.version.name, str(manifest.version.number), split, *tta])
    run.write_table(f"{target}.parquet", predictions)
    about = {"manifest": manifest.version.ref, "split": split, "tta": list(tta), "scores": scores}
    run.write_json(f"{target}.json", about)
    for task in ("", "mask_", "gender_", "age_"):
        label = task.rstrip("_") or "18 classes"
        say(f"  {label:10}  macro F1 {scores[f'{task}f1']:.4f}  accuracy {scores[f'{task}accuracy']:.4f}")
    say(f"{run.name} on {len(predictions)} rows of {manifest.version.ref}, {split}: wrote {run.path / target}.json")
    return scores


def predict_to_csv(
    store: Store, name: str, source: str, out: Path, *, probabilities: bool, tta: Sequence[str] = (), say: Say
) -> None:
    """Write ImageID,ans for a manifest's usable rows or a folder's pictures. An unreadable picture has no answer."""
    run = find_run(store, name)
    frame, reasons = _predict(best_of(run), store, source, None, tta)
    write_answers(out, frame, reasons, probabilities)
    for path, reason in reasons.items():
        say(f"  no answer for {path}: {reason}")
    say(f"{run.name}: {len(frame)} of {len(frame) + len(reasons)} pictures predicted; wrote {out}")


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
    say: Say,
) -> dict[str, Any]:
    """Let members vote and write ImageID,ans; where labels are known, say what each and all together are worth.

    A member is a run or a file of predictions. With a `source`, a manifest (or a split of it) or a folder, runs predict
    that; without one they bring the predictions of their own validation rows. Returns what is written beside the CSV
    as JSON.
    """
    if len(set(names)) < 2:
        raise StageError(f"an ensemble needs at least two members. Got {', '.join(names) or 'none'} instead.")
    reasons: dict[str, str] = {}
    loaded = [_load(store, name, source, split, tta, reasons) for name in names]
    if len({cuts for _, cuts in loaded if cuts}) > 1:
        raise ManifestError("the members tell different ages apart. Train them on manifests with the same age cuts.")
    members = join([member for member, _ in loaded], common)
    if how in PROBABLE and not all(member.has_probabilities for member in members):
        lacking = next(member.name for member in members if not member.has_probabilities)
        raise StageError(f"{lacking} has no probabilities: predict with --probabilities, or use --how hard.")
    probability = np.stack([member.probabilities() for member in members])
    scores = {task: f"{task}_f1" for task in TASKS[1:]} if by_task else {"class": "f1"}
    used = {task: weights_of(members, weights, how, score) for task, score in scores.items()}
    merit = vote_by_task(how, probability, used) if by_task else vote(how, probability, used["class"])
    first = members[0].table
    frame = first[[name for name in _KNOWN if name in first]].reset_index(names="sample_id")
    said = as_frame(merit) if how in PROBABLE else pd.DataFrame({"predicted": merit.argmax(1)})
    frame = pd.concat([frame, said], axis=1)
    write_answers(out, frame, reasons, probabilities and how in PROBABLE)
    about: dict[str, Any] = {
        "how": how,
        "by_task": by_task,
        "members": [member.name for member in members],
        "weights": {task: values.tolist() for task, values in used.items()},
        "source": source,
        "tta": list(tta),
        "pictures": len(frame),
        "judged": _judge(members, frame, say),
    }
    write_atomic(out.with_suffix(".json"), json.dumps(about, indent=2, ensure_ascii=False).encode())
    for path, reason in reasons.items():
        say(f"  no answer for {path}: {reason}")
    way = f"{how} vote by task" if by_task else f"{how} vote"
    say(f"{way} of {len(members)} over {len(frame)} pictures; wrote {out} and {out.with_suffix('.json').name}")
    return about


def rows_of(manifest: Manifest, split: str | None = None, *, labelled: bool = False) -> pa.Table:
    """The usable rows of a manifest with train/select.COLUMNS; class -1 where no label is.

    Raises ManifestError when there are none.
    """
    condition = pc.field("status").isin(USABLE)
    if split:
        condition = condition & (pc.field("split") == split)
    if labelled:
        condition = condition & pc.is_valid(pc.field("class_id"))
    rows = manifest.table.filter(condition).select(list(COLUMNS))
    if rows.num_rows == 0:
        kind, where = "labelled row" if labelled else "row", f" in the split {split!r}" if split else ""
        raise ManifestError(f"{manifest.version.ref} has no usable {kind}{where}.")
    place = rows.column_names.index("class_id")
    return rows.set_column(place, "class_id", pc.fill_null(rows["class_id"], -1))


def write_answers(out: Path, frame: pd.DataFrame, reasons: dict[str, str], probabilities: bool) -> None:
    """The competition's CSV: ImageID,ans, and more columns if wished. A picture without an answer keeps its line."""
    frame = frame.rename(columns={"predicted": "ans"})
    extra = [name for name in ("sample_id", "confidence", *PROBABILITIES) if name in frame] if probabilities else []
    unread = pd.DataFrame({"ImageID": list(reasons)})
    table = pd.concat([frame[["ImageID", "ans", *extra]], unread]).astype({"ans": "Int64"})
    write_atomic(out, table.to_csv(index=False).encode())


def _predict(
    trained: Trained, store: Store, source: str, split: str | None, tta: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Predictions of a folder's pictures or a manifest's rows, with ImageID; and why some could not be read."""
    if Path(source).is_dir():
        frame, reasons = predict_folder(trained, Path(source), store, tta)
    else:
        manifest = store.read(source)
        trained.check_taxonomy(manifest.cuts, manifest.version.ref)
        frame, reasons = (
            predict_rows(trained, rows_of(manifest, split), store, manifest.version.ref, "predict", tta),
            {},
        )
    return frame.rename(columns={"path": "ImageID"}), reasons


def _load(
    store: Store, name: str, source: str | None, split: str | None, tta: Sequence[str], reasons: dict[str, str]
) -> tuple[Member, AgeCuts | None]:
    """A member from a run or a file; with its age cuts, which a file does not tell."""
    if Path(name).suffix in (".csv", ".parquet"):
        return Member(name, _by_sample(_read_answers(Path(name)))), None
    run = find_run(store, name)
    scores = run.read_json("scores.json")["scores"] if (run.path / "scores.json").is_file() else {}
    if source is None:
        run.read_json("scores.json")  # says what is missing, if it did not finish
        table = pd.read_parquet(run.path / "predictions.parquet").rename(columns={"path": "ImageID"})
        return Member(run.name, _by_sample(table[table["split"] == "val"]), scores), AgeCuts(*run.about()["age_cuts"])
    trained = best_of(run)
    frame, failed = _predict(trained, store, source, split, tta)
    reasons.update(failed)
    return Member(run.name, _by_sample(frame), scores), trained.cuts


def _read_answers(file: Path) -> pd.DataFrame:
    """A file of `predict`, `evaluate` or `ensemble`, or any with ImageID,ans. Raises StageError if it is not such."""
    try:
        table = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, dtype={"ImageID": str})
    except (OSError, ValueError, pa.ArrowInvalid) as error:
        raise StageError(f"predictions {file} cannot be read: {' '.join(str(error).split())[:160]}") from None
    table = table.rename(columns={"path": "ImageID", "ans": "predicted"})
    if not {"ImageID", "predicted"} <= set(table.columns):
        raise StageError(f"{file} has no ImageID and ans. Make it with: python -m train predict RUN REF --out {file}")
    return table[table["predicted"].notna()]


def _by_sample(table: pd.DataFrame) -> pd.DataFrame:
    """Indexed by sample_id; by ImageID where there is none, as with folders."""
    return table.set_index("sample_id" if "sample_id" in table else table["ImageID"].rename("sample_id"))


def _judge(members: Sequence[Member], frame: pd.DataFrame, say: Say) -> list[dict[str, Any]]:
    """Scores of the members, best first, and of all together, against the best with a paired interval over people."""
    first = members[0].table
    if "target" not in first or "person_id" not in first:
        return []
    known = (first["target"] >= 0).to_numpy()
    if not known.any():
        return []
    for member in members[1:]:
        if "target" in member.table and (changed := int((member.table["target"] != first["target"]).sum())):
            say(f"  {changed} labels of {member.name} differ from those of {members[0].name}, which are the truth here")
    target = first["target"].to_numpy(np.int64)[known]
    alone = {member.name: member.table["predicted"].to_numpy(np.int64)[known] for member in members}
    f1 = {name: scores_of(confusion_of(target, predicted))["f1"] for name, predicted in alone.items()}
    order = sorted(alone, key=lambda name: -f1[name])
    together = {"ensemble": frame["predicted"].to_numpy(np.int64)[known]}
    predictions = {name: values[None] for name, values in ({name: alone[name] for name in order} | together).items()}
    persons = first["person_id"].to_numpy()[known].tolist()
    judged = paired_scores(target, predictions, persons, np.random.default_rng(0))
    for entry in judged:
        against = f"{entry['difference']['f1']:+.4f} ({entry['low']['f1']:+.4f} to {entry['high']['f1']:+.4f})"
        tail = "" if entry is judged[0] else f"   against the best {against}, 95 % over people"
        scores = f"macro F1 {entry['scores']['f1']:.4f}  accuracy {entry['scores']['accuracy']:.4f}"
        say(f"  {entry['name']:24} {scores}{tail}")
    return judged
