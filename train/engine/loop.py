"""Training, in one sitting: rows → batches → updates → scores over the epoch → checkpoints."""

from __future__ import annotations

import csv
import io
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from data_manifests.errors import BackendError, ManifestError, StageError
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Manifest, Store
from train.data import Batch, embed_rows, epoch_seed, make_loader, select_rows, set_epoch, to_device
from train.distributed import ALONE, Team, team_for
from train.engine.learner import Learner
from train.evaluation import EpochCounts, macro_f1, scores_of
from train.models import (
    HeadLoss,
    Network,
    Trained,
    build_model,
    log_probability,
    n_outputs,
    needs_years,
    read_checkpoint,
    save_checkpoint,
)
from train.runs import Run
from train.settings import TrainSettings, check_together

Row = dict[str, float]  # one line of metrics.csv


@dataclass
class Progress:
    """Where a run stands after an epoch. `history` is metrics.csv."""

    epoch: int = 0  # epochs done
    best: float = -math.inf  # validation score by optim.metric, higher being better
    best_epoch: int = 0
    history: list[Row] = field(default_factory=list)

    def is_done(self, settings: TrainSettings) -> bool:
        """Whether the last epoch is over, or `patience` epochs have brought nothing better."""
        optim = settings.optim
        waited = 0 if settings.data.all_rows else self.epoch - self.best_epoch
        return self.epoch >= (optim.stop_epoch or optim.epochs) or waited >= optim.patience


def fit(
    manifest: Manifest,
    settings: TrainSettings,
    store: Store,
    run: Run,
    *,
    after_epoch: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Train until the last epoch, or until `patience` epochs have brought no better validation score.

    A run with a `last.pt` is gone on with; the result is the one that it would have had without the interruption.
    With `data.all_rows` there is nobody to be judged by, and the last epoch is the best.
    """
    check_together(settings)
    team = team_for(settings.device)
    device = team.device(settings.device)
    torch.set_num_threads(team.threads(settings.threads))
    torch.manual_seed(settings.seed)
    with team.main_first():
        weights = not (run.path / "last.pt").is_file()
        train, val, model = prepare(manifest, settings, store, device, weights=weights, team=team)
    data: Any = train.dataset
    criterion = HeadLoss(settings.loss, model.head, data.target, data.age).to(device)
    model.shift_biases(criterion.first_bias)  # what training never shows is not told by the chance of the start
    learner = Learner(model, criterion, settings, len(train), team)
    progress = _go_on(run, learner)

    while not progress.is_done(settings):
        started = time.monotonic()
        torch.manual_seed(epoch_seed(settings.seed, progress.epoch))  # dropout and mixing; the same after a resume
        set_epoch(train, progress.epoch)
        row: Row = {"epoch": progress.epoch + 1, "lr": learner.schedule.lr}
        row |= _named("train", train_epoch(learner, train, f"epoch {progress.epoch + 1}/{settings.optim.epochs}"))
        row |= _named("val", evaluate(learner.judged, val, criterion, team)) if val else {}
        row["seconds"] = round(time.monotonic() - started, 1)
        _after_epoch(run, learner, progress, row, manifest.cuts)
        after_epoch(progress)
    return progress


def prepare(
    manifest: Manifest,
    settings: TrainSettings,
    store: Store,
    device: torch.device,
    *,
    weights: bool,
    team: Team = ALONE,
) -> tuple[DataLoader[Batch], DataLoader[Batch] | None, Network]:
    """Loaders of training and of validation (None with `data.all_rows`), and the network on its device."""
    selection = select_rows(manifest, settings.data)
    ref = manifest.version.ref
    n_features = 0
    if name := settings.model.embedding:
        # both parts at once, so that the workers that look at new pictures start once
        n_features = embed_rows(pa.concat_tables([selection.train, selection.val]), store, name, ref).shape[1]
    model = build_model(settings.model, settings.data.size, manifest.cuts, weights=weights, n_features=n_features)
    ageless = selection.train.column("age").null_count + selection.val.column("age").null_count
    if needs_years(model.head) and ageless:
        raise ManifestError(
            f"model.age={settings.model.age} needs ages in years, and {ageless} rows of {ref} have only an age class. "
            "Set model.age=classes."
        )
    model = model.to(device).to(memory_format=torch.channels_last)  # a third faster on CPU and GPU alike
    train = make_loader(selection.train, store, settings, train=True, ref=ref, network=model, team=team)
    if settings.data.all_rows:
        return train, None, model
    return train, make_loader(selection.val, store, settings, train=False, ref=ref, network=model, team=team), model


def train_epoch(learner: Learner, loader: DataLoader[Batch], title: str) -> dict[str, float]:
    """One pass over the training draws. Raises StageError when the loss is no longer a number."""
    counts, losses = EpochCounts(learner.device), []
    learner.model.train()
    learner.criterion.train()
    with tqdm(total=len(loader), desc=title, unit="batch", leave=False) as bar:
        for group in grouped(loader, learner.settings.optim.accumulate):
            rows = learner.team.total(sum(len(batch.target) for batch in group))
            for batch in group:
                loss, outputs, target = learner.try_on(batch)
                losses.append(float(loss.detach()))
                if not math.isfinite(losses[-1]):
                    raise StageError(
                        f"the loss became {losses[-1]} in {title}, batch {len(losses)} (learning rate "
                        f"{learner.schedule.lr:.3g}). Lower optim.lr or set optim.clip_norm=1; best.pt, if there is "
                        "one, is still good."
                    )
                learner.backward(loss * (len(target) / rows))  # as if the group were one large batch
                counts.add(log_probability(outputs, learner.model.head), target)
                bar.update()
                if len(losses) % 10 == 0:
                    bar.set_postfix(loss=f"{np.mean(losses[-50:]):.3f}", f1=f"{macro_f1(counts.counts()):.3f}")
            learner.update()
    return {"loss": float(np.mean(losses)), **scores_of(counts.counts())}


def grouped(loader: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Batches in groups of `size`; the last may be smaller."""
    batches = iter(loader)
    while group := list(itertools.islice(batches, size)):
        yield group


@torch.inference_mode()
def evaluate(
    model: Network, loader: DataLoader[Batch], criterion: torch.nn.Module, team: Team = ALONE
) -> dict[str, float]:
    """Loss (mean over pictures) and scores over every row of a loader; each process of a team has its share of it."""
    outputs, target, age = forward(model, loader, team=team)
    counts = EpochCounts(outputs.device)
    counts.add(log_probability(outputs, model.head), target)
    criterion.eval()
    return {"loss": float(criterion(outputs, target, age)), **scores_of(counts.counts())}


@torch.inference_mode()
def forward(
    model: Network, loader: DataLoader[Batch], title: str = "", team: Team = ALONE
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Outputs float32 (N, n), classes (N,) and ages (N,) of every row of a loader, in order, on the network's device.

    In full precision, so that scores during training and after it are the same.
    """
    device = next(model.parameters()).device
    model.eval()
    parts = []
    for batch in tqdm(loader, desc=title, unit="batch", leave=False, disable=not title or None):
        image, target, age = to_device(batch, device)
        # a process may have no row of a small last batch
        outputs = model(image).float() if len(image) else torch.zeros(0, n_outputs(model.head), device=device)
        parts.append(team.gather(outputs, target, age))
    outputs, target, age = (torch.cat(rows) for rows in zip(*parts, strict=True))
    return outputs, target, age


def _after_epoch(run: Run, learner: Learner, progress: Progress, row: Row, cuts: AgeCuts) -> None:
    """Note what an epoch brought, and write the checkpoints: the best network, and all that is needed to go on."""
    metric = learner.settings.optim.metric
    score = row.get(f"val_{metric}", math.inf) * (-1 if metric == "loss" else 1)
    learner.schedule.after_epoch(score)
    progress.epoch += 1
    progress.history.append(row)
    is_best = score > progress.best or learner.settings.data.all_rows
    if is_best:
        progress.best, progress.best_epoch = score, progress.epoch
    if not learner.team.is_main:
        return
    trained = Trained(learner.judged, learner.settings, cuts, progress.epoch, _named("val", row, strip=True))
    if is_best:
        save_checkpoint(run, "best.pt", trained)
    save_checkpoint(run, "last.pt", trained, **learner.state_dict(), progress=vars(progress))
    run.write("metrics.csv", _as_csv(progress.history))


def _go_on(run: Run, learner: Learner) -> Progress:
    """Put back what the last finished epoch left, if there was one. Raises BackendError if it does not fit."""
    if not (run.path / "last.pt").is_file():
        return Progress()
    state = read_checkpoint(run.path / "last.pt")
    try:
        learner.load_state_dict(state)
        return Progress(**state["progress"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        text = " ".join(str(error).split())[:160]
        raise BackendError(f"{run.path / 'last.pt'} does not fit this run ({text}). Train again.") from None


def _named(part: str, scores: dict[str, float], strip: bool = False) -> dict[str, float]:
    """{"f1": …} → {"val_f1": …}, or the other way, leaving out other parts."""
    if strip:
        return {name.removeprefix(f"{part}_"): value for name, value in scores.items() if name.startswith(f"{part}_")}
    return {f"{part}_{name}": value for name, value in scores.items()}


def _as_csv(history: list[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in history)
    return text.getvalue().encode()
