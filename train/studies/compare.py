"""Comparison of manifests: one training recipe, trained on several manifests, evaluated on one set of photos.

Labels come from one manifest (`val_ref`, the most curated one). Every other manifest is evaluated on its own pictures
of the same ingested photos (joined by `source_id`), so a network trained on crops is evaluated on crops. A photo counts
only if all manifests still have it, and none of its people may be in the training rows of any manifest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from data_manifests.errors import ConfigError, ManifestError, StageError
from data_manifests.schema import USABLE
from data_manifests.versions import Manifest, Store, write_atomic
from pipeline.runs import TARGETS, Run
from reporting.mistakes import labels_in
from reporting.tables import TASK_TITLES, score_text
from train.data import embed_rows
from train.engine import choose_head, command_line, train_and_report
from train.evaluation import (
    NOT_TRAINED,
    TASKS,
    confusion_of,
    evaluate_run,
    headline_of,
    not_measurable,
    paired_scores,
    score_title,
    usable_rows,
)
from train.head_parts import tasks_of_head
from train.process_group import process_group_for
from train.reports import render
from train.rows import has_label, labels_of_rows
from train.settings import TrainSettings
from train.studies.split_leakage import leakage_lines, leakage_table

Train = Callable[[str, TrainSettings], Run]
Echo = Callable[[str], None]


def compare_manifests(
    store: Store,
    refs: Sequence[str],
    settings: TrainSettings,
    seeds: int,
    val_ref: str,
    leak_ref: str | None,
    *,
    echo: Echo,
) -> dict[str, Any]:
    """Compare manifests, and measure the split leakage of `leak_ref` if given; write a page and its values as JSON.

    Returns plain JSON values: those of `compare`, `leak` (or None), and the files written as `report` and `values`.
    """

    def train(ref: str, chosen: TrainSettings) -> Run:
        return train_and_report(store, ref, chosen, once=True, echo=echo, each_epoch=False)

    def test(run: Run) -> pd.DataFrame:
        evaluated = evaluate_run(store, run.name, None, "test", echo=lambda line: None)
        return pd.read_parquet(evaluated["predictions"])

    if process_group_for(settings.device).size > 1:
        raise ConfigError("compare runs in one process. Train the runs with torchrun first; compare then takes them.")
    if settings.model.embedding:
        _embed_all([store.read(ref) for ref in refs], store, settings.model.embedding)
    settings = choose_head(settings, store.read(refs[0]), echo)  # one head for all manifests
    result = compare(store, refs, settings, seeds, val_ref, train)
    if leak_ref:
        result["leak"] = leakage_table(store, leak_ref, settings, seeds, train, test, np.random.default_rng(0))
    page = write_comparison(result, store)
    for line in [*comparison_lines(result), *(leakage_lines(result["leak"]) if leak_ref else [])]:
        echo(line)
    of_people = f" of {result['people']} people" if unit_of(result) == "people" else ""
    echo(f"{result['rows']} photos{of_people}, labels of {result['val']}; report: {page}")
    return result | {"report": str(page), "values": str(page.with_suffix(".json"))}


def compare(
    store: Store, refs: Sequence[str], settings: TrainSettings, seeds: int, val_ref: str, train: Train
) -> dict[str, Any]:
    """Train each manifest with each seed (`train` may return existing runs) and compare them with the first.

    Returns plain JSON values: `rows`, `people`, and for each manifest its scores (mean over seeds), their spread, and
    the difference from the first manifest with a paired 95 % interval over people; `headline` is the name of the score
    that decides, and `settled` names the manifests whose interval in it excludes zero. Raises ManifestError if the
    validation labels measure no score.
    """
    manifests = {ref: store.read(ref) for ref in refs}
    tasks = tasks_of_head(settings.model.head)
    truth = common_truth(store.read(val_ref), list(manifests.values()), settings.model.head)
    labels = labels_in(truth)
    reasons = not_measurable(confusion_of(labels, np.zeros(len(labels), np.int64)), tasks)
    measured = [name for name in TASKS[1:] if name not in reasons]
    if not measured:
        causes = ", ".join(f"{task} is {score_text(None, reasons[task])}" for task in tasks)
        raise ManifestError(f"the validation photos of {val_ref} measure no score: {causes}. Choose another --val.")
    predictions: dict[str, np.ndarray] = {}
    runs: dict[str, list[str]] = {}
    for ref, manifest in manifests.items():
        trained = [train(ref, settings.model_copy(update={"seed": seed})) for seed in range(seeds)]
        predictions[ref] = np.stack([_predictions_on(run, manifest, truth) for run in trained])
        runs[ref] = [run.name for run in trained]
    people = truth["person_id"].tolist()
    entries = paired_scores(labels, predictions, people, np.random.default_rng(0), tasks=tasks)
    headline = headline_of(entries[0]["scores"])
    for entry in entries:
        version = manifests[entry["name"]].version
        entry |= {"manifest": version.ref, "runs": runs[entry["name"]], "operation": version.operation}
    return {
        "val": store.version(val_ref).ref,
        "rows": len(truth),
        "people": int(truth["person_id"].nunique()),
        "seeds": seeds,
        "compared": entries,
        "headline": headline,
        "not_measurable": reasons,
        "settled": [entry["name"] for entry in entries if entry["low"][headline] > 0 or entry["high"][headline] < 0],
        "leak": None,  # set by compare_manifests on request
        "command": command_line(),
    }


def common_truth(val: Manifest, manifests: Sequence[Manifest], head: str = "class") -> pd.DataFrame:
    """Return source_id, person_id and labels (TARGETS) of the real validation photos that all manifests still have.

    The photos have labels that the head can be scored on, in all manifests.

    Raises ManifestError when no photo is common, when age cuts differ, or when a manifest trains on one of the people.
    """
    truth = _photos(val)
    truth = truth[(truth["split"] == "val") & has_label(labels_in(truth), head)]
    for manifest in manifests:
        ref = manifest.version.ref
        if manifest.version.age_cuts != val.version.age_cuts:
            raise ManifestError(
                f"{ref} has other age cuts than {val.version.ref}. Compare versions ingested with the same --age-cuts."
            )
        photos = _photos(manifest, synthetic=True)
        both = sorted(set(photos.loc[photos["split"] == "train", "person_id"]) & set(truth["person_id"]))
        if both:
            raise ManifestError(
                f"{ref} trains on {len(both)} people of the validation photos of {val.version.ref}, the first "
                f"{both[0]!r}. Compare versions that come from one split."
            )
        is_scored = (photos["split"] == "val") & ~photos["is_synthetic"] & has_label(labels_in(photos), head)
        present = photos.loc[is_scored, "source_id"]
        truth = truth[truth["source_id"].isin(present)]
    if truth.empty:
        raise ManifestError(
            f"no validation photo of {val.version.ref} is in all of the manifests. Compare versions of one data set."
        )
    return truth[["source_id", "person_id", *TARGETS.values()]].reset_index(drop=True)


def unit_of(result: Mapping[str, Any]) -> str:
    """Return what the intervals of a result are over: `people`, or `photos` where each is of another person.

    In a folder of single photos it is not known who is in them.
    """
    return "photos" if result["people"] == result["rows"] else "people"


def comparison_lines(result: dict[str, Any]) -> list[str]:
    """Format the comparison as a table of text."""
    name, has_classes = result["headline"], "class" not in result["not_measurable"]
    title, width = score_title(name), max(9, len(score_title(name)))
    accuracy = f" {'accuracy':>9}" if has_classes else ""
    against = f"F1 against the first, 95 % over {unit_of(result)}"
    lines = [f"{'manifest':24} {title:>{width}} {'± seeds':>8}{accuracy}   {against}"]
    for entry in result["compared"]:
        against = f"{entry['difference'][name]:+.4f} ({entry['low'][name]:+.4f} to {entry['high'][name]:+.4f})"
        accuracy = f" {entry['scores']['accuracy']:9.4f}" if has_classes else ""
        lines.append(
            f"{entry['name']:24} {entry['scores'][name]:{width}.4f} {entry['spread'][name]:8.4f}{accuracy}"
            f"   {'' if entry is result['compared'][0] else against}".rstrip()
        )
    return lines + [f"{title}: {score_text(None, reason)}" for title, reason in _unmeasured(result).items()]


def write_comparison(result: dict[str, Any], store: Store) -> Path:
    """Write compare-<serial>.json and .html below `workspace/comparisons`; return the page.

    Raises StageError when the disk is full.
    """
    folder = store.workspace / "comparisons"
    folder.mkdir(parents=True, exist_ok=True)
    serial = 1
    while True:
        try:
            (folder / f"compare-{serial:04d}.json").touch(exist_ok=False)  # claims the serial number
            break
        except FileExistsError:
            serial += 1
    name = folder / f"compare-{serial:04d}"
    main = result["headline"]
    bound = max(max(abs(entry["low"][main]), abs(entry["high"][main]), 1e-3) for entry in result["compared"])
    try:
        page = render(
            "compare.html.j2",
            result=result,
            name=name.name,
            bound=bound,
            main=main,
            title=score_title(main),
            unit=unit_of(result),
            unmeasured=_unmeasured(result),
            tasks=_measured(result),
        )
        write_atomic(name.with_suffix(".html"), page.encode())
        write_atomic(name.with_suffix(".json"), json.dumps(result, indent=2).encode())
    except OSError as error:
        name.with_suffix(".json").unlink()
        raise StageError(f"{name}.html could not be written: {error.strerror}. Free some space.") from None
    return name.with_suffix(".html")


def _unmeasured(result: dict[str, Any]) -> dict[str, str]:
    """Return the reason for each task, by its title, that is trained but cannot be measured."""
    reasons = result["not_measurable"].items()
    return {TASK_TITLES[task]: reason for task, reason in reasons if reason != NOT_TRAINED}


def _measured(result: dict[str, Any]) -> list[str]:
    """Return the tasks, `class` included, whose scores are shown beside the main one."""
    return [task for task in TASKS if task not in result["not_measurable"] and f"{task}_f1" != result["headline"]]


def _photos(manifest: Manifest, synthetic: bool = False) -> pd.DataFrame:
    columns = ["sample_id", "source_id", "person_id", "split", "status", "is_synthetic"]
    labels = pd.DataFrame(labels_of_rows(manifest.table), columns=list(TARGETS.values()))
    table = pd.concat([manifest.table.select(columns).to_pandas(), labels], axis=1)
    table = table[table["status"].isin(USABLE)]
    return table if synthetic else table[~table["is_synthetic"]]


def _predictions_on(run: Run, manifest: Manifest, truth: pd.DataFrame) -> np.ndarray:
    """Return the predicted classes (N,) of a run for the photos of `truth`, in their order."""
    predictions = run.predictions(["sample_id", "predicted"]).to_pandas()
    photos = _photos(manifest)[["sample_id", "source_id"]]
    predicted = photos.merge(predictions, on="sample_id").set_index("source_id")["predicted"]
    return predicted.loc[truth["source_id"]].to_numpy(np.int64)


def _embed_all(manifests: Sequence[Manifest], store: Store, embedding: str) -> None:
    """Compute the vectors of all pictures in one step, so that worker processes start once; runs find them cached."""
    rows = pa.concat_tables([usable_rows(manifest) for manifest in manifests])
    _, first = np.unique(rows["sample_id"].to_pylist(), return_index=True)
    embed_rows(rows.take(pa.array(np.sort(first))), store, embedding, manifests[0].version.ref)
