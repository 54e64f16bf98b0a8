"""The records of a run's epochs: the rows of metrics.csv, the score that decides, and the best epoch so far."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field
from typing import Any

from data_manifests.errors import StageError, must_be_one_of
from train.evaluation import Scores
from train.settings import TrainSettings

Row = dict[str, Any]  # one row of metrics.csv: numbers, or None for a score that cannot be measured


@dataclass
class TrainingProgress:
    """The state of a run after an epoch. `history` is metrics.csv."""

    epoch: int = 0  # epochs done
    best: float = -math.inf  # validation score by optim.metric, higher is better
    best_epoch: int = 0
    history: list[Row] = field(default_factory=list)

    def is_done(self, settings: TrainSettings) -> bool:
        """Return whether the last epoch is over, or `patience` epochs have brought no improvement."""
        optim = settings.optim
        waited = 0 if settings.data.all_rows else self.epoch - self.best_epoch
        return self.epoch >= last_epoch(settings) or waited >= optim.patience

    def add(self, row: Row, score: float, settings: TrainSettings) -> bool:
        """Add an epoch with its score; return whether it is the best so far. With `data.all_rows` the last one is."""
        self.epoch += 1
        self.history.append(row)
        is_best = score > self.best or settings.data.all_rows
        if is_best:
            self.best, self.best_epoch = score, self.epoch
        return is_best


def last_epoch(settings: TrainSettings) -> int:
    """Return the number of the last epoch, without early stopping."""
    return settings.optim.stop_epoch or settings.optim.epochs


def score_of(row: Row, settings: TrainSettings) -> float:
    """Return the validation score by `optim.metric`, higher is better. Raises StageError if it cannot be measured."""
    metric = settings.optim.metric
    if settings.data.all_rows:
        return math.inf
    score = row.get(f"val_{metric}")
    if score is None:
        measured = [name.removeprefix("val_") for name in row if name.startswith("val_") and row[name] is not None]
        raise StageError(must_be_one_of("optim.metric for these validation rows", ["auto", *measured], metric))
    return float(-score if metric == "loss" else score)


def prefixed(part: str, scores: Scores) -> Row:
    """Return scores under the names of metrics.csv: {"f1": …} → {"val_f1": …}."""
    return {f"{part}_{name}": value for name, value in scores.items()}


def validation_scores(row: Row) -> Scores:
    """Return the validation scores of a row of metrics.csv: {"val_f1": …} → {"f1": …}."""
    return {name.removeprefix("val_"): value for name, value in row.items() if name.startswith("val_")}


def as_csv(history: list[Row]) -> bytes:
    """Return metrics.csv; the cell of a score that cannot be measured is empty."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in history for name in row))  # a run of an older version has fewer scores
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if row.get(name) is None else f"{row[name]:.6g}" for name in names} for row in history)
    return text.getvalue().encode()
