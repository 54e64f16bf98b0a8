"""The training loop: rows → batches → updates → scores over the epoch → checkpoints."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from data_manifests.errors import BackendError, ManifestError, StageError
from data_manifests.labels import UNKNOWN
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Manifest, Store
from pipeline.progress import show_progress
from pipeline.runs import TARGETS, Run
from train.data import Batch, embed_rows, epoch_seed, make_loader, set_epoch, to_device
from train.engine.epoch_records import Row, TrainingProgress, as_csv, last_epoch, prefixed, score_of, validation_scores
from train.engine.learner import Learner
from train.engine.losses import HeadLoss
from train.evaluation import EpochCounts, Scores, scores_of
from train.head_parts import tasks_of_head
from train.models import (
    Network,
    Trained,
    build_model,
    log_probability,
    n_outputs,
    needs_years,
    read_checkpoint,
    save_checkpoint,
)
from train.process_group import SINGLE_PROCESS, ProcessGroup, process_group_for
from train.rows import select_rows
from train.settings import TrainSettings, check_combination


def fit(
    manifest: Manifest,
    settings: TrainSettings,
    store: Store,
    run: Run,
    *,
    after_epoch: Callable[[TrainingProgress], None] = lambda progress: None,
) -> TrainingProgress:
    """Train until the last epoch, or until `patience` epochs have brought no better validation score.

    A run with a `last.pt` is resumed, to the same result as without the interruption. With `data.all_rows` there is no
    validation, and the last epoch is the best.
    """
    check_combination(settings)
    processes = process_group_for(settings.device)
    device = processes.device(settings.device)
    torch.set_num_threads(processes.threads(settings.threads))
    torch.manual_seed(settings.seed)
    with processes.main_first():
        weights = not (run.path / "last.pt").is_file()
        train, val, model = prepare_training(manifest, settings, store, device, weights=weights, processes=processes)
    data: Any = train.dataset
    criterion = HeadLoss(settings.loss, model.head, data.labels, data.age).to(device)
    model.shift_biases(criterion.first_bias)  # a label without training samples starts improbable
    learner = Learner(model, criterion, settings, len(train), processes)
    progress = _restore(run, learner)
    total = max(0, last_epoch(settings) - progress.epoch) * len(train)
    done = show_progress(range(total), "train", total, "batches") if processes.is_main else iter(())

    while not progress.is_done(settings):
        started = time.monotonic()
        torch.manual_seed(epoch_seed(settings.seed, progress.epoch))  # dropout and mixing; the same after a resume
        set_epoch(train, progress.epoch)
        row: Row = {"epoch": progress.epoch + 1, "lr": learner.schedule.lr}
        row |= prefixed(
            "train", train_epoch(learner, train, f"epoch {progress.epoch + 1}/{settings.optim.epochs}", done)
        )
        row |= prefixed("val", evaluate(learner.eval_model, val, criterion, processes)) if val else {}
        row["seconds"] = round(time.monotonic() - started, 1)
        _record_epoch(run, learner, progress, row, manifest.cuts)
        after_epoch(progress)
    return progress


def prepare_training(
    manifest: Manifest,
    settings: TrainSettings,
    store: Store,
    device: torch.device,
    *,
    weights: bool,
    processes: ProcessGroup = SINGLE_PROCESS,
) -> tuple[DataLoader[Batch], DataLoader[Batch] | None, Network]:
    """Return the loaders of training and validation (None with `data.all_rows`), and the network on its device.

    Raises ManifestError if the head needs ages in years and a row has only an age class.
    """
    selection = select_rows(manifest, settings.data, settings.model.head)
    ref = manifest.version.ref
    n_features = 0
    if name := settings.model.embedding:
        # both parts together, so that worker processes for new pictures start once
        n_features = embed_rows(pa.concat_tables([selection.train, selection.val]), store, name, ref).shape[1]
    model = build_model(settings.model, settings.data.size, manifest.cuts, weights=weights, n_features=n_features)
    ageless = sum(_without_years(part) for part in (selection.train, selection.val))
    if needs_years(model.head) and ageless:
        raise ManifestError(
            f"model.age={settings.model.age} needs ages in years, but {ageless} rows of {ref} have only an age class. "
            "Set model.age=classes."
        )
    model = model.to(device).to(memory_format=torch.channels_last)  # a third faster, on CPU and GPU
    options: Any = {"ref": ref, "network": model, "processes": processes}
    train = make_loader(selection.train, store, settings, train=True, **options)
    if settings.data.all_rows:
        return train, None, model
    return train, make_loader(selection.val, store, settings, train=False, **options), model


def _without_years(table: pa.Table) -> int:
    """Return the number of rows that have an age class but no age in years."""
    return int(pc.sum(pc.and_(pc.not_equal(table[TARGETS["age"]], UNKNOWN), table["age"].is_null())).as_py() or 0)


def train_epoch(learner: Learner, loader: DataLoader[Batch], title: str, done: Iterator[int] | None = None) -> Scores:
    """Train on the draws of one epoch; return loss and scores. Each batch takes one item of `done`, which reports it.

    Raises StageError when the loss is NaN or infinite.
    """
    counts, losses = EpochCounts(learner.device), []
    learner.model.train()
    learner.criterion.train()
    for group in grouped(loader, learner.settings.optim.accumulate):
        rows = learner.processes.sum(sum(len(batch.labels) for batch in group))
        for batch in group:
            loss, outputs, labels = learner.forward_loss(batch)
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                raise StageError(
                    f"the loss became {losses[-1]} in {title}, batch {len(losses)} (learning rate "
                    f"{learner.schedule.lr:.3g}). Lower optim.lr or set optim.clip_norm=1; a best.pt of an "
                    "earlier epoch stays valid."
                )
            learner.backward(loss * (len(labels) / rows))  # the gradient of one large batch
            counts.add(log_probability(outputs, learner.model.head), labels)
            next(done or iter(()), None)
        learner.update()
    return {"loss": float(np.mean(losses)), **scores_of(counts.counts(), tasks_of_head(learner.settings.model.head))}


def grouped(loader: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Yield batches in groups of `size`; the last group may be smaller."""
    batches = iter(loader)
    while group := list(itertools.islice(batches, size)):
        yield group


@torch.inference_mode()
def evaluate(
    model: Network, loader: DataLoader[Batch], criterion: torch.nn.Module, processes: ProcessGroup = SINGLE_PROCESS
) -> Scores:
    """Return loss (mean over pictures) and scores over all rows, of which each process has a share in its loader."""
    outputs, labels, age = forward(model, loader, processes=processes)
    counts = EpochCounts(outputs.device)
    counts.add(log_probability(outputs, model.head), labels)
    criterion.eval()
    scores = scores_of(counts.counts(), tasks_of_head(model.settings.head))
    return {"loss": float(criterion(outputs, labels, age)), **scores}


@torch.inference_mode()
def forward(
    model: Network, loader: DataLoader[Batch], title: str = "", processes: ProcessGroup = SINGLE_PROCESS
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return outputs float32 (N, n), labels (N, 3) and ages (N,) of all rows in order, on the network's device.

    Computes in full precision, so that scores during training and after it are equal.
    """
    device = next(model.parameters()).device
    model.eval()
    parts = []
    for batch in tqdm(loader, desc=title, unit="batch", leave=False, disable=not title or None):
        image, labels, age = to_device(batch, device)
        # the last batch may leave a process without rows
        outputs = model(image).float() if len(image) else torch.zeros(0, n_outputs(model.head), device=device)
        parts.append(processes.gather(outputs, labels, age))
    outputs, labels, age = (torch.cat(rows) for rows in zip(*parts, strict=True))
    return outputs, labels, age


def _record_epoch(run: Run, learner: Learner, progress: TrainingProgress, row: Row, cuts: AgeCuts) -> None:
    """Update the progress; write metrics.csv and the checkpoints: the best network, and the state to resume."""
    score = score_of(row, learner.settings)
    learner.schedule.after_epoch(score)
    is_best = progress.add(row, score, learner.settings)
    if not learner.processes.is_main:
        return
    trained = Trained(learner.eval_model, learner.settings, cuts, progress.epoch, validation_scores(row))
    if is_best:
        save_checkpoint(run, "best.pt", trained)
    save_checkpoint(run, "last.pt", trained, **learner.state_dict(), progress=vars(progress))
    run.write("metrics.csv", as_csv(progress.history))


def _restore(run: Run, learner: Learner) -> TrainingProgress:
    """Restore the state after the last finished epoch, if any. Raises BackendError if it does not fit."""
    if not (run.path / "last.pt").is_file():
        return TrainingProgress()
    state = read_checkpoint(run.path / "last.pt")
    try:
        learner.load_state_dict(state)
        return TrainingProgress(**state["progress"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        text = " ".join(str(error).split())[:160]
        raise BackendError(f"{run.path / 'last.pt'} does not fit this run ({text}). Train again.") from None
