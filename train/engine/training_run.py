"""Training runs: from a manifest to a finished run folder with checkpoints, predictions, scores and report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from data_manifests.errors import ManifestError, StageError, ToolkitError
from data_manifests.labels import TASKS
from data_manifests.taxonomy import N_CLASSES
from data_manifests.versions import Manifest, Store
from pipeline.runs import CONFIG, Run, find_run
from reporting.confusion import confusion_png
from reporting.tables import score_text
from train.data import make_augment
from train.engine.auto_settings import choose_auto
from train.engine.epoch_records import Row, TrainingProgress, last_epoch
from train.engine.loop import fit
from train.engine.new_run import new_run, same_run
from train.engine.tracking import tracking
from train.evaluation import NOT_TRAINED, headline_of, predict_rows
from train.models import choose_device, load_trained, read_checkpoint
from train.process_group import process_group_for
from train.queue import job_of_this_process
from train.reports import summarise, write_report
from train.rows import absent_classes, select_rows
from train.settings import DataSettings, TrainSettings, check_combination, load_train_settings

Echo = Callable[[str], None]


def train_and_report(
    store: Store, ref: str, settings: TrainSettings, *, once: bool, echo: Echo, each_epoch: bool = True
) -> Run:
    """Train on a manifest, predict its rows and write the report; return the run.

    With `once`, an existing run of the same rows, settings and tools is returned, or resumed if it is unfinished.
    `each_epoch` prints a line per epoch. Raises ManifestError if no rows can be selected, StageError if training fails.
    """
    manifest = store.read(ref)
    settings = choose_auto(settings, manifest, echo)  # raises errors before a run folder is created

    def claim() -> tuple[Path, bool]:
        """Return the folder of the run, and whether it is finished already."""
        existing = same_run(store, manifest.version, settings) if once else None
        is_done = existing is not None and existing.about()["state"] == "finished" and not settings.data.all_rows
        return (existing or new_run(store, manifest.version, settings)).path, is_done

    path, is_done = process_group_for(settings.device).run_on_main(claim)
    run = Run(path)
    if is_done:
        echo(f"{run.name}: exists already; {score_line(run)}; report: {run.path / 'report.html'}")
        return run
    return _train(store, manifest, run, settings, echo, each_epoch)


def resume_and_report(store: Store, name: str, *, echo: Echo) -> Run:
    """Resume an interrupted run. Raises StageError if it is finished, ManifestError if its manifest has changed."""
    run = find_run(store, name)
    about = run.about()
    if about["state"] == "finished":
        raise StageError(f"run {run.name!r} is finished. To train again: facecurate train fit {about['manifest']}")
    return _train(store, _same_manifest(store, run), run, load_train_settings(run.path / CONFIG), echo)


def refit_run(store: Store, name: str, *, echo: Echo) -> Run:
    """Train with the settings of a finished run on its training and validation people, up to its best epoch.

    Raises StageError if the run has no best epoch.
    """
    source = find_run(store, name)
    about, settings = source.about(), load_train_settings(source.path / CONFIG)
    if about["state"] != "finished" or settings.data.all_rows or settings.data.fold is not None:
        raise StageError(
            f"run {source.name!r} has no best epoch to train to. Give refit a finished run with a validation split."
        )
    data = settings.data.model_copy(update={"all_rows": True})
    optim = settings.optim.model_copy(update={"stop_epoch": about["best_epoch"]})
    settings = settings.model_copy(update={"data": data, "optim": optim})
    check_combination(settings)
    manifest = _same_manifest(store, source)

    def claim() -> Path:
        run = new_run(store, manifest.version, settings)
        run.update(refit_of=source.name)
        return run.path

    path = process_group_for(settings.device).run_on_main(claim)
    return _train(store, manifest, Run(path), settings, echo)


def _same_manifest(store: Store, run: Run) -> Manifest:
    """Return the manifest of a run. Raises ManifestError if it has changed since."""
    about = run.about()
    manifest = store.read(about["manifest"])
    if manifest.version.content_hash != about["content_hash"]:
        raise ManifestError(
            f"{about['manifest']} has changed since run {run.name!r} started. "
            f"Train again: facecurate train fit {about['manifest']}"
        )
    return manifest


def _train(
    store: Store, manifest: Manifest, run: Run, settings: TrainSettings, echo: Echo, each_epoch: bool = True
) -> Run:
    """Train and finish a run; of several processes, only the main one writes into the folder."""
    processes = process_group_for(settings.device)
    with run.lock if processes.is_main else nullcontext():
        echo(f"{run.name}: training on {manifest.version.ref}, {rows_text(manifest, settings)}")
        try:
            with tracking(run, settings) if processes.is_main else nullcontext(lambda progress: None) as log:
                processes.run_on_main(lambda: run.update(**job_of_this_process()))

                def after_epoch(progress: TrainingProgress) -> None:
                    log(progress)
                    if each_epoch:
                        with tqdm.external_write_mode():  # a bar below is drawn again
                            echo(epoch_line(progress.history[-1], last_epoch(settings)))

                progress = fit(manifest, settings, store, run, after_epoch=after_epoch)
            processes.run_on_main(lambda: _finish(store, manifest, run, settings, progress.best_epoch))
        except ToolkitError as error:
            if processes.is_main:
                run.update(state="failed", error=str(error))
            raise
    if settings.data.all_rows:
        echo(f"{run.name}: trained on all rows for {progress.best_epoch} epochs, not evaluated: {run.path / 'best.pt'}")
    else:
        echo(f"{run.name}: {score_line(run)}; report: {run.path / 'report.html'}")
    return run


def _finish(store: Store, manifest: Manifest, run: Run, settings: TrainSettings, best_epoch: int) -> None:
    """Predict all rows with the best network, and write predictions, scores and report, if there is a validation."""
    device = choose_device(settings.device)
    selection = select_rows(manifest, settings.data, settings.model.head)
    about: dict[str, Any] = {"best_epoch": best_epoch, "device": str(device), "ledger": dict(selection.ledger)}
    about["precision"] = read_checkpoint(run.path / "last.pt")["precision"]
    if settings.data.all_rows:
        run.update(**about, state="finished")
        return
    trained = load_trained(run.path / "best.pt", device)
    rows = pa.concat_tables([selection.val, selection.train])
    predictions = predict_rows(trained, rows, store, manifest.version.ref, "predict")
    run.write_table("predictions.parquet", predictions)
    summary = summarise(predictions, manifest.cuts, settings.seed, trained.tasks)
    run.write_json("scores.json", summary)
    title = f"{run.name} on {manifest.version.ref}, validation, best epoch {best_epoch}"
    confusion = {task: rows for task, rows in summary["confusion"].items() if task not in summary["not_measurable"]}
    if confusion:
        run.write("confusion.png", confusion_png(confusion, manifest.cuts, title))
    run.update(
        **about,
        without_landmarks=rows.column("landmarks_xy").null_count if settings.model.embedding else 0,
        tasks=list(trained.tasks),
        not_measurable=summary["not_measurable"],
        absent=absent_classes(selection, N_CLASSES),
        transform=describe_transforms(settings.data),
        config_text=(run.path / CONFIG).read_text("utf8"),
    )
    write_report(run, store)
    run.update(state="finished")


def rows_text(manifest: Manifest, settings: TrainSettings) -> str:
    """Return the number of rows by usage as text: "12 train, 6 val, 3 without a label of mask"."""
    ledger = select_rows(manifest, settings.data, settings.model.head).ledger
    return ", ".join(f"{count:,} {usage}" for usage, count in ledger.items())


def describe_transforms(data: DataSettings) -> dict[str, str]:
    """Describe the transforms of pictures as text: `all` for every picture, `training` for each training draw."""
    height, width = data.size
    steps = [f"{name} {value}" for name, value in data.prepare.items()]
    augmentation = " ".join(repr(make_augment(data.augment, data.size)).split())
    return {"all": ", ".join([*steps, f"resize to {width}×{height}"]), "training": augmentation}


def epoch_line(row: Row, epochs: int) -> str:
    """Format the losses and scores of an epoch as one line, for logs that show no progress bar."""
    parts = [f"{part} loss {row[f'{part}_loss']:.3f}{_score_text(row, part)}" for part in ("train", "val")
             if f"{part}_loss" in row]  # fmt: skip
    return f"  epoch {row['epoch']:.0f}/{epochs}: {', '.join(parts)}, {row['seconds']:.0f} s"


def _score_text(row: Row, part: str) -> str:
    """Return the main score of a part of an epoch, such as " F1 0.512" or " mask F1 0.913"; empty without one."""
    name = headline_of({name.removeprefix(f"{part}_"): value for name, value in row.items()})
    return "" if name is None else f" {name.replace('_f1', ' F1').replace('f1', 'F1')} {row[f'{part}_{name}']:.3f}"


def score_line(run: Run) -> str:
    """Format the validation scores of a finished run as one line."""
    summary = run.scores()
    scores, reasons = summary["scores"], summary.get("not_measurable", {})
    tasks = [
        f"{task} {score_text(scores[f'{task}_f1'], reasons.get(task, ''))}"
        for task in TASKS
        if reasons.get(task) != NOT_TRAINED
    ]
    whole = f"macro F1 {scores['f1']:.3f}, accuracy {scores['accuracy']:.3f}" if scores["f1"] is not None else ""
    return f"{whole} (F1 of {', '.join(tasks)})" if whole else f"macro F1 of {', '.join(tasks)}"
