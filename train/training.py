"""What the commands do: each is one function over a store, with `say` for what people are told."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pyarrow as pa

from data_manifests.errors import ManifestError, StageError, ToolkitError
from data_manifests.taxonomy import N_CLASSES
from data_manifests.versions import Manifest, Store
from train.data import absent_classes, make_augment, select_rows
from train.distributed import team_for
from train.engine import Progress, Row, fit, tracking
from train.evaluation import fold_lines, predict_rows, train_folds
from train.models import choose_device, load_trained, read_checkpoint
from train.queue import job_of_this_process
from train.reports import confusion_png, summarise, write_report
from train.runs import Run, find_run, new_run, same_run
from train.settings import DataSettings, TrainSettings, check_together

Say = Callable[[str], None]


def train_and_report(
    store: Store, ref: str, settings: TrainSettings, *, once: bool, say: Say, each_epoch: bool = True
) -> Run:
    """Train, predict, report. With `once`, a run of the same rows, settings and tools is taken, or gone on with.

    `each_epoch` says a line for each epoch: too much where many runs follow one another.
    """
    manifest = store.read(ref)
    select_rows(manifest, settings.data)  # what is wrong with the rows is said before a run is begun

    def claim() -> tuple[Path, bool]:
        """The folder of the run, and whether there is nothing left to do."""
        known = same_run(store, manifest.version, settings) if once else None
        done = known is not None and known.about()["state"] == "finished" and not settings.data.all_rows
        return (known or new_run(store, manifest.version, settings)).path, done

    path, done = team_for(settings.device).from_main(claim)
    run = Run(path)
    if done:
        say(f"{run.name}: known; {headline(run)}; report: {run.path / 'report.html'}")
        return run
    return _train(store, manifest, run, settings, say, each_epoch)


def resume_and_report(store: Store, name: str, *, say: Say) -> Run:
    """Go on with an interrupted run. Raises ManifestError if its manifest has changed since."""
    run = find_run(store, name)
    about = run.about()
    if about["state"] == "finished":
        raise StageError(f"run {run.name!r} is finished. To train again: python -m train fit {about['manifest']}")
    return _train(store, _same_manifest(store, run), run, run.settings(), say)


def refit_run(store: Store, name: str, *, say: Say) -> Run:
    """Train as a finished run was, on its validation people as well, up to the epoch that was its best."""
    source = find_run(store, name)
    about, settings = source.about(), source.settings()
    if about["state"] != "finished" or settings.data.all_rows or settings.data.fold is not None:
        raise StageError(f"run {source.name!r} chose no epoch: refit takes a finished run that has a validation split.")
    data = settings.data.model_copy(update={"all_rows": True})
    optim = settings.optim.model_copy(update={"stop_epoch": about["best_epoch"]})
    settings = settings.model_copy(update={"data": data, "optim": optim})
    check_together(settings)
    manifest = _same_manifest(store, source)

    def claim() -> Path:
        run = new_run(store, manifest.version, settings)
        run.update(refit_of=source.name)
        return run.path

    return _train(store, manifest, Run(team_for(settings.device).from_main(claim)), settings, say)


def folds_and_scores(store: Store, ref: str, settings: TrainSettings, *, say: Say) -> Path:
    """Cross-validate; gives the folder with the out-of-fold predictions. Known runs are taken."""

    def train(chosen: TrainSettings) -> Run:
        return train_and_report(store, ref, chosen, once=True, say=say, each_epoch=False)

    folder = train_folds(store, ref, settings, train)
    for line in fold_lines(folder):
        say(line)
    return folder


def _same_manifest(store: Store, run: Run) -> Manifest:
    """The manifest of a run. Raises ManifestError if it has changed since."""
    about = run.about()
    manifest = store.read(about["manifest"])
    if manifest.version.content_hash != about["content_hash"]:
        raise ManifestError(f"{about['manifest']} is no longer what run {run.name!r} was begun with.")
    return manifest


def _train(
    store: Store, manifest: Manifest, run: Run, settings: TrainSettings, say: Say, each_epoch: bool = True
) -> Run:
    """Train and finish; of several processes, the main one alone writes into the run."""
    team = team_for(settings.device)
    with run.lock if team.is_main else nullcontext():
        say(f"{run.name}: training on {manifest.version.ref}")
        try:
            with tracking(run, settings) if team.is_main else nullcontext(lambda progress: None) as after_epoch:
                team.from_main(lambda: run.update(**job_of_this_process()))

                def tell(progress: Progress) -> None:
                    after_epoch(progress)
                    if each_epoch:
                        say(epoch_line(progress.history[-1], settings.optim.epochs))

                progress = fit(manifest, settings, store, run, after_epoch=tell)
            team.from_main(lambda: _finish(store, manifest, run, settings, progress.best_epoch))
        except ToolkitError as error:
            if team.is_main:
                run.update(state="failed", error=str(error))
            raise
    if settings.data.all_rows:
        say(f"{run.name}: trained on all rows for {progress.best_epoch} epochs, judged by none: {run.path / 'best.pt'}")
    else:
        say(f"{run.name}: {headline(run)}; report: {run.path / 'report.html'}")
    return run


def _finish(store: Store, manifest: Manifest, run: Run, settings: TrainSettings, best_epoch: int) -> None:
    """Predict all rows used with the best network, and write what follows from it; nothing without a validation."""
    device = choose_device(settings.device)
    selection = select_rows(manifest, settings.data)
    about = {"best_epoch": best_epoch, "device": str(device), "ledger": dict(selection.ledger)}
    about["precision"] = read_checkpoint(run.path / "last.pt")["precision"]
    if settings.data.all_rows:
        run.update(**about, state="finished")
        return
    trained = load_trained(run.path / "best.pt", device)
    rows = pa.concat_tables([selection.val, selection.train])
    predictions = predict_rows(trained, rows, store, manifest.version.ref, "predict")
    run.write_table("predictions.parquet", predictions)
    summary = summarise(predictions, manifest.cuts, settings.seed)
    run.write_json("scores.json", summary)
    title = f"{run.name} on {manifest.version.ref}, validation, best epoch {best_epoch}"
    run.write("confusion.png", confusion_png(summary, manifest.cuts, title))
    run.update(
        **about,
        without_landmarks=rows.column("landmarks_xy").null_count if settings.model.embedding else 0,
        absent=absent_classes(selection, N_CLASSES),
        transform=described(settings.data),
        config_text=(run.path / "config.yaml").read_text("utf8"),
    )
    write_report(run, store)
    run.update(state="finished")


def described(data: DataSettings) -> dict[str, str]:
    """What is done to pictures before the network sees them: once to all, and to each draw of training."""
    height, width = data.size
    steps = [f"{name} {value}" for name, value in data.prepare.items()]
    varied = " ".join(repr(make_augment(data.augment, data.size)).split())
    return {"all": ", ".join([*steps, f"resize to {width}×{height}"]), "training": varied}


def epoch_line(row: Row, epochs: int) -> str:
    """An epoch in one line, which a log keeps where a progress bar leaves nothing."""
    parts = [f"{part} loss {row[f'{part}_loss']:.3f} F1 {row[f'{part}_f1']:.3f}" for part in ("train", "val")
             if f"{part}_loss" in row]  # fmt: skip
    return f"  epoch {row['epoch']:.0f}/{epochs}: {', '.join(parts)}, {row['seconds']:.0f} s"


def headline(run: Run) -> str:
    """The scores in one line."""
    scores = run.read_json("scores.json")["scores"]
    tasks = ", ".join(f"{task} {scores[f'{task}_f1']:.3f}" for task in ("mask", "gender", "age"))
    return f"macro F1 {scores['f1']:.3f}, accuracy {scores['accuracy']:.3f} (F1 of {tasks})"
