"""Optimiser (timm's) and learning-rate schedule."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from typing import Any

import torch
from timm.optim import create_optimizer_v2, list_optimizers, param_groups_layer_decay, param_groups_weight_decay
from torch.optim.lr_scheduler import ReduceLROnPlateau

from data_manifests.errors import ConfigError, must_be_one_of
from train.settings import OptimSettings

# name → share of the learning rate after so many epochs (a fraction counts updates within one)
SCHEDULES: dict[str, Callable[[OptimSettings, float], float]] = {
    "constant": lambda settings, epoch: 1.0,
    "cosine": lambda settings, epoch: 0.5 * (1 + math.cos(math.pi * min(1.0, epoch / settings.epochs))),
    "step": lambda settings, epoch: settings.decay_rate ** int(epoch / settings.decay_epochs),
    "plateau": lambda settings, epoch: 1.0,  # lowered after an epoch, by the validation score
}


# name → type of mixed precision; `auto` is chosen by the device
PRECISIONS = {"full": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def precision_on(device: torch.device, name: str, model: torch.nn.Module) -> torch.dtype | None:
    """The type that most of a network's forward pass is done in; None for full precision.

    `auto` mixes where that is quicker: on CUDA, and on a CPU that has bf16 instructions, unless the network has
    depthwise convolutions (EfficientNet, tiny ViT), which such CPUs do slower in bf16 than in full precision.
    """
    if name != "auto":
        return PRECISIONS[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    mixed = device.type == "cpu" and _cpu_has_bf16() and not any(map(_is_depthwise, model.modules()))
    return torch.bfloat16 if mixed else None


def precision_name(kind: torch.dtype | None) -> str:
    """The name of a type in PRECISIONS."""
    return next(name for name, known in PRECISIONS.items() if known is kind)


def _is_depthwise(layer: torch.nn.Module) -> bool:
    return isinstance(layer, torch.nn.Conv2d) and 1 < layer.groups == layer.in_channels


def _cpu_has_bf16() -> bool:
    """Without the instructions bf16 is emulated, and slower than full precision."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def make_optimizer(settings: OptimSettings, model: torch.nn.Module) -> torch.optim.Optimizer:
    """timm's optimiser of that name, without weight decay on biases and norms. Raises ConfigError.

    With `layer_decay` a layer's rate is that share of the rate of the layer above it, from the head down.
    """
    if settings.name not in list_optimizers():
        close = difflib.get_close_matches(settings.name, list_optimizers(), 5, 0.3) or ["adamw", "adam", "sgd"]
        raise ConfigError(must_be_one_of("optim.name", [*close, "… (timm.optim.list_optimizers())"], settings.name))
    groups = [group for part in getattr(model, "backbones", [model]) for group in _groups(part, settings)]
    return create_optimizer_v2(groups, settings.name, lr=settings.lr, weight_decay=settings.weight_decay)


def _groups(network: torch.nn.Module, settings: OptimSettings) -> list[dict[str, Any]]:
    """Parameters of one network by how they decay, and by layer where layers differ."""
    ask = getattr(network, "no_weight_decay", set)  # position embeddings and the like
    if settings.layer_decay == 1:
        return param_groups_weight_decay(network, settings.weight_decay, no_weight_decay_list=ask())
    return param_groups_layer_decay(
        network, settings.weight_decay, no_weight_decay_list=ask(), layer_decay=settings.layer_decay
    )


class Schedule:
    """Sets the learning rate of every parameter group, update by update; a linear warm-up comes before all.

    timm's schedulers are not used: theirs for `plateau` is deprecated and does not save how long it has waited, so a
    resumed run would differ from an uninterrupted one.
    """

    def __init__(self, settings: OptimSettings, optimizer: torch.optim.Optimizer, updates_per_epoch: int) -> None:
        if settings.schedule not in SCHEDULES:
            raise ConfigError(must_be_one_of("optim.schedule", SCHEDULES, settings.schedule))
        self.settings, self.optimizer, self.per_epoch = settings, optimizer, updates_per_epoch
        self.base = [float(group["lr"]) * group.get("lr_scale", 1.0) for group in optimizer.param_groups]
        # ReduceLROnPlateau watches a stand-in whose rate is the share that is left
        self.share = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        self.plateau = ReduceLROnPlateau(self.share, "max", settings.decay_rate, settings.decay_epochs)
        self.updates = 0
        self._set()

    @property
    def lr(self) -> float:
        """That of the head."""
        return float(max(group["lr"] for group in self.optimizer.param_groups))

    def after_update(self) -> None:
        self.updates += 1
        self._set()

    def after_epoch(self, score: float) -> None:
        """`score` is the validation score, higher being better, which `plateau` watches."""
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
