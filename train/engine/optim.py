"""The optimiser (of timm), the learning-rate schedule and the numeric precision."""

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

# name → (settings, epochs done, with updates as a fraction) → factor of the learning rate
SCHEDULES: dict[str, Callable[[OptimSettings, float], float]] = {
    "constant": lambda settings, epoch: 1.0,
    "cosine": lambda settings, epoch: 0.5 * (1 + math.cos(math.pi * min(1.0, epoch / settings.epochs))),
    "step": lambda settings, epoch: settings.decay_rate ** int(epoch / settings.decay_epochs),
    "plateau": lambda settings, epoch: 1.0,  # reduced after an epoch, by the validation score
}


# name → type of mixed precision; `auto` depends on the device
PRECISIONS = {"full": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def precision_on(device: torch.device, name: str, model: torch.nn.Module) -> torch.dtype | None:
    """Return the type for mixed precision, or None for full precision.

    `auto` is mixed where that is faster: on CUDA, and on a CPU with bf16 instructions, unless the network has depthwise
    convolutions (EfficientNet, tiny ViT), which are slower in bf16 on such CPUs.
    """
    if name != "auto":
        return PRECISIONS[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    mixed = device.type == "cpu" and _cpu_has_bf16() and not any(map(_is_depthwise, model.modules()))
    return torch.bfloat16 if mixed else None


def precision_name(dtype: torch.dtype | None) -> str:
    """Return the name of a type in PRECISIONS."""
    return next(name for name, value in PRECISIONS.items() if value is dtype)


def _is_depthwise(layer: torch.nn.Module) -> bool:
    return isinstance(layer, torch.nn.Conv2d) and 1 < layer.groups == layer.in_channels


def _cpu_has_bf16() -> bool:
    """Return whether the CPU has bf16 instructions; emulated bf16 is slower than full precision."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def make_optimizer(settings: OptimSettings, model: torch.nn.Module) -> torch.optim.Optimizer:
    """Create timm's optimiser of this name, without weight decay on biases and norms. Raises ConfigError.

    `layer_decay` is the learning rate of a layer over that of the layer above it, from the head down.
    """
    if settings.name not in list_optimizers():
        close = difflib.get_close_matches(settings.name, list_optimizers(), 5, 0.3) or ["adamw", "adam", "sgd"]
        raise ConfigError(must_be_one_of("optim.name", [*close, "… (timm.optim.list_optimizers())"], settings.name))
    groups = [group for part in getattr(model, "backbones", [model]) for group in _groups(part, settings)]
    return create_optimizer_v2(groups, settings.name, lr=settings.lr, weight_decay=settings.weight_decay)


def _groups(network: torch.nn.Module, settings: OptimSettings) -> list[dict[str, Any]]:
    """Return the parameters of one network grouped by weight decay and, with `layer_decay`, by layer."""
    without_decay: set[str] = getattr(network, "no_weight_decay", set)()  # position embeddings and the like
    if settings.layer_decay == 1:
        return param_groups_weight_decay(network, settings.weight_decay, no_weight_decay_list=without_decay)
    return param_groups_layer_decay(
        network, settings.weight_decay, no_weight_decay_list=without_decay, layer_decay=settings.layer_decay
    )


class Schedule:
    """A learning-rate schedule over updates, with a linear warm-up, for all parameter groups.

    timm's schedulers are not used: its `plateau` is deprecated and does not save its waiting time, so a resumed run
    would differ from an uninterrupted one. Raises ConfigError for an unknown name.
    """

    def __init__(self, settings: OptimSettings, optimizer: torch.optim.Optimizer, updates_per_epoch: int) -> None:
        if settings.schedule not in SCHEDULES:
            raise ConfigError(must_be_one_of("optim.schedule", SCHEDULES, settings.schedule))
        self.settings, self.optimizer, self.per_epoch = settings, optimizer, updates_per_epoch
        self.base = [float(group["lr"]) * group.get("lr_scale", 1.0) for group in optimizer.param_groups]
        # ReduceLROnPlateau works on a dummy optimiser, whose rate is the factor left by `plateau`
        self.dummy = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        self.plateau = ReduceLROnPlateau(self.dummy, "max", settings.decay_rate, settings.decay_epochs)
        self.updates = 0
        self._set()

    @property
    def lr(self) -> float:
        """The learning rate of the head."""
        return float(max(group["lr"] for group in self.optimizer.param_groups))

    def after_update(self) -> None:
        """Set the learning rate of the next update."""
        self.updates += 1
        self._set()

    def after_epoch(self, score: float) -> None:
        """Reduce the rate under `plateau`; `score` is the validation score, higher is better."""
        if self.settings.schedule == "plateau":
            self.plateau.step(score)
            self._set()

    def state_dict(self) -> dict[str, Any]:
        return {
            "updates": self.updates,
            "share": self.dummy.param_groups[0]["lr"],
            "plateau": self.plateau.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]
        self.dummy.param_groups[0]["lr"] = state["share"]
        self.plateau.load_state_dict(state["plateau"])
        self._set()

    def _set(self) -> None:
        epoch = self.updates / self.per_epoch
        warmup = min(1.0, (self.updates + 1) / (self.settings.warmup_epochs * self.per_epoch + 1))
        factor = warmup * SCHEDULES[self.settings.schedule](self.settings, epoch) * self.dummy.param_groups[0]["lr"]
        for group, base in zip(self.optimizer.param_groups, self.base, strict=True):
            group["lr"] = base * factor
