"""Optimiser (timm's) and learning-rate schedule."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from typing import Any

import torch
from timm.optim import create_optimizer_v2, list_optimizers
from torch.optim.lr_scheduler import ReduceLROnPlateau

from data_manifests.errors import ConfigError, must_be_one_of
from train.config import OptimSettings

# name → share of the learning rate after so many epochs (a fraction counts updates within one)
SCHEDULES: dict[str, Callable[[OptimSettings, float], float]] = {
    "constant": lambda settings, epoch: 1.0,
    "cosine": lambda settings, epoch: 0.5 * (1 + math.cos(math.pi * min(1.0, epoch / settings.epochs))),
    "step": lambda settings, epoch: settings.decay_rate ** int(epoch / settings.decay_epochs),
    "plateau": lambda settings, epoch: 1.0,  # lowered after an epoch, by the validation score
}


def make_optimizer(settings: OptimSettings, model: torch.nn.Module) -> torch.optim.Optimizer:
    """timm's optimiser of that name, without weight decay on biases and norms. Raises ConfigError."""
    if settings.name not in list_optimizers():
        close = difflib.get_close_matches(settings.name, list_optimizers(), 5, 0.3) or ["adamw", "adam", "sgd"]
        raise ConfigError(must_be_one_of("optim.name", [*close, "… (timm.optim.list_optimizers())"], settings.name))
    return create_optimizer_v2(model, settings.name, lr=settings.lr, weight_decay=settings.weight_decay)


class Schedule:
    """Sets the learning rate of every parameter group, update by update; a linear warm-up comes before all.

    timm's schedulers are not used: theirs for `plateau` is deprecated and does not save how long it has waited, so a
    resumed run would differ from an uninterrupted one.
    """

    def __init__(self, settings: OptimSettings, optimizer: torch.optim.Optimizer, updates_per_epoch: int) -> None:
        if settings.schedule not in SCHEDULES:
            raise ConfigError(must_be_one_of("optim.schedule", SCHEDULES, settings.schedule))
        self.settings, self.optimizer, self.per_epoch = settings, optimizer, updates_per_epoch
        self.base = [float(group["lr"]) for group in optimizer.param_groups]
        # ReduceLROnPlateau watches a stand-in whose rate is the share that is left
        self.share = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        self.plateau = ReduceLROnPlateau(self.share, "max", settings.decay_rate, settings.decay_epochs)
        self.updates = 0
        self._set()

    @property
    def lr(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def after_update(self) -> None:
        self.updates += 1
        self._set()

    def after_epoch(self, score: float) -> None:
        """`score` is the validation macro F1, which `plateau` watches."""
        if self.settings.schedule == "plateau":
            self.plateau.step(score)
            self._set()

    def state_dict(self) -> dict[str, Any]:
        return {
            "updates": self.updates,
            "share": self.share.param_groups[0]["lr"],
            "plateau": self.plateau.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]
        self.share.param_groups[0]["lr"] = state["share"]
        self.plateau.load_state_dict(state["plateau"])
        self._set()

    def _set(self) -> None:
        epoch = self.updates / self.per_epoch
        warmed = min(1.0, (self.updates + 1) / (self.settings.warmup_epochs * self.per_epoch + 1))
        share = warmed * SCHEDULES[self.settings.schedule](self.settings, epoch) * self.share.param_groups[0]["lr"]
        for group, base in zip(self.optimizer.param_groups, self.base, strict=True):
            group["lr"] = base * share
