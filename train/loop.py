"""Training, in one sitting: rows → batches → updates → scores over the epoch → checkpoints."""

from __future__ import annotations

import csv
import io
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from data_manifests.errors import StageError
from data_manifests.store import Store
from data_manifests.taxonomy import N_CLASSES
from data_manifests.version import Manifest
from train.checkpoint import Trained, read_checkpoint, save_checkpoint
from train.config import TrainSettings
from train.data import Batch, Vectors, make_loader, set_epoch
from train.heads import HeadLoss, log_probability
from train.metrics import EpochCounts, macro_f1, scores_of
from train.models import Network, build_model, choose_device
from train.optim import Schedule, make_optimizer
from train.runs import Run
from train.sampling import epoch_seed
from train.select import select_rows

Row = dict[str, float]  # one line of metrics.csv


@dataclass
class Progress:
    """Where a run stands after an epoch. `history` is metrics.csv."""

    epoch: int = 0  # epochs done
    best_f1: float = -1.0
    best_epoch: int = 0
    history: list[Row] = field(default_factory=list)


def fit(
    manifest: Manifest,
    settings: TrainSettings,
    store: Store,
    run: Run,
    *,
    after_epoch: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Train until the last epoch, or until `patience` epochs have brought no better validation macro F1.

    A run with a `last.pt` is gone on with; the result is the one that it would have had without the interruption.
    """
    device = choose_device(settings.device)
    torch.set_num_threads(settings.threads or os.cpu_count() or 1)
    torch.manual_seed(settings.seed)
    selection = select_rows(manifest, settings.data)
    ref, seed = manifest.version.ref, settings.seed
    train = make_loader(selection.train, store, settings, train=True, ref=ref)
    val = make_loader(selection.val, store, settings, train=False, ref=ref)
    n_features = val.dataset.vectors.shape[1] if isinstance(val.dataset, Vectors) else 0
    resumed = (run.path / "last.pt").is_file()
    model = build_model(settings.model, settings.data.size, weights=not resumed, n_features=n_features)
    model = model.to(device).to(memory_format=torch.channels_last)  # a third faster on CPU and GPU alike
    optimizer = make_optimizer(settings.optim, model)
    class_counts = np.bincount(selection.train.column("class_id").to_numpy(), minlength=N_CLASSES)
    criterion = HeadLoss(settings.loss, model.head, torch.from_numpy(class_counts)).to(device)
    schedule = Schedule(settings.optim, optimizer, len(train))
    progress = _go_on(run, model, optimizer, schedule)

    while progress.epoch < settings.optim.epochs and progress.epoch - progress.best_epoch < settings.optim.patience:
        started = time.monotonic()
        torch.manual_seed(epoch_seed(seed, progress.epoch))  # dropout; the same after a resume
        set_epoch(train, progress.epoch)
        bar = f"epoch {progress.epoch + 1}/{settings.optim.epochs}"
        row: Row = {"epoch": progress.epoch + 1, "lr": schedule.lr}
        row |= _named("train", train_epoch(model, train, criterion, optimizer, schedule, settings, bar))
        row |= _named("val", evaluate(model, val, criterion))
        row["seconds"] = round(time.monotonic() - started, 1)
        schedule.after_epoch(row["val_f1"])
        progress.epoch += 1
        progress.history.append(row)
        scores = _named("val", row, strip=True)
        trained = Trained(model, settings, manifest.cuts, progress.epoch, scores, n_features)
        if row["val_f1"] > progress.best_f1:
            progress.best_f1, progress.best_epoch = row["val_f1"], progress.epoch
            save_checkpoint(run, "best.pt", trained)
        state = {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(), "progress": vars(progress)}
        save_checkpoint(run, "last.pt", trained, **state)
        run.write("metrics.csv", _as_csv(progress.history))
        after_epoch(progress)
    return progress


def train_epoch(
    model: Network,
    loader: DataLoader[Batch],
    criterion: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    settings: TrainSettings,
    title: str,
) -> dict[str, float]:
    """One pass over the training draws. Raises StageError when the loss is no longer a number."""
    device = next(model.parameters()).device
    counts, losses = EpochCounts(device), []
    model.train()
    criterion.train()
    with tqdm(loader, desc=title, unit="batch", leave=False) as bar:
        for step, (image, target, _) in enumerate(bar):
            image = _to_device(image, device)
            target = target.to(device, non_blocking=True)
            outputs = model(image)  # (B, n)
            loss = criterion(outputs, target) + model.sharing_penalty()
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                raise StageError(
                    f"the loss became {losses[-1]} in {title}, batch {step + 1} (learning rate {schedule.lr:.3g}). "
                    "Lower optim.lr or set optim.clip_norm=1; best.pt, if there is one, is still good."
                )
            optimizer.zero_grad()
            loss.backward()
            if settings.optim.clip_norm:
                torch.nn.utils.clip_grad_norm_(model.parameters(), settings.optim.clip_norm)
            optimizer.step()
            schedule.after_update()
            counts.add(log_probability(outputs.detach(), model.head), target)
            if step % 10 == 9:
                bar.set_postfix(loss=f"{np.mean(losses[-50:]):.3f}", f1=f"{macro_f1(counts.counts()):.3f}")
    return {"loss": float(np.mean(losses)), **scores_of(counts.counts())}


@torch.inference_mode()
def evaluate(model: Network, loader: DataLoader[Batch], criterion: torch.nn.Module) -> dict[str, float]:
    """Loss (mean over pictures) and scores over every row of a loader."""
    outputs, target = forward(model, loader)
    counts = EpochCounts(outputs.device)
    counts.add(log_probability(outputs, model.head), target)
    criterion.eval()
    return {"loss": float(criterion(outputs, target)), **scores_of(counts.counts())}


@torch.inference_mode()
def forward(model: Network, loader: DataLoader[Batch], title: str = "") -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs float32 (N, n) and targets (N,) of every row of a loader, in order, on the network's device."""
    device = next(model.parameters()).device
    model.eval()
    outputs, targets = [], []
    for image, target, _ in tqdm(loader, desc=title, unit="batch", leave=False, disable=not title):
        outputs.append(model(_to_device(image, device)).float())
        targets.append(target)
    return torch.cat(outputs), torch.cat(targets).to(device)


def _to_device(image: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Pictures in the memory layout of the network; vectors as they are."""
    layout = torch.channels_last if image.dim() == 4 else torch.contiguous_format
    return image.to(device, memory_format=layout, non_blocking=True)


def _go_on(run: Run, model: torch.nn.Module, optimizer: torch.optim.Optimizer, schedule: Schedule) -> Progress:
    """Put back what the last finished epoch left, if there was one."""
    if not (run.path / "last.pt").is_file():
        return Progress()
    state = read_checkpoint(run.path / "last.pt")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    return Progress(**state["progress"])


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
