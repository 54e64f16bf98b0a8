"""What is minimised, chosen from a visible table."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from data_manifests.errors import ConfigError, must_be_one_of
from train.config import LossSettings

# name → what makes the loss of (logits (B, 18), targets (B,)) → scalar
LOSSES: dict[str, Callable[[LossSettings], nn.Module]] = {
    "cross_entropy": lambda settings: nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing),
}


def make_loss(settings: LossSettings) -> nn.Module:
    """The loss. Raises ConfigError with the choices."""
    if settings.name not in LOSSES:
        raise ConfigError(must_be_one_of("loss.name", LOSSES, settings.name))
    return LOSSES[settings.name](settings)
