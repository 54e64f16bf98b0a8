"""What is minimised, chosen from a visible table; several may be summed with weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from data_manifests.errors import ConfigError, must_be_one_of
from train.settings import LossSettings


def cross_entropy(logits: Tensor, target: Tensor, settings: LossSettings, weight: Tensor) -> Tensor:
    """Weighted, with label smoothing."""
    return functional.cross_entropy(logits, target, weight, label_smoothing=settings.label_smoothing)


def focal(logits: Tensor, target: Tensor, settings: LossSettings, weight: Tensor) -> Tensor:
    """(1 - p)^gamma times the cross entropy of each sample, then the weighted mean (Lin et al. 2017)."""
    entropy = functional.cross_entropy(logits, target, reduction="none")
    sample_weight = weight[target]
    return ((1 - torch.exp(-entropy)) ** settings.gamma * entropy * sample_weight).sum() / sample_weight.sum()


def bce(logits: Tensor, target: Tensor, settings: LossSettings, weight: Tensor) -> Tensor:
    """Binary cross entropy: each class against the rest, a sigmoid each (Wightman et al. 2021), weighted mean."""
    truth = functional.one_hot(target, logits.shape[1]).to(logits.dtype)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(1)
    sample_weight = weight[target]
    return (entropy * sample_weight).sum() / sample_weight.sum()


def soft_f1(logits: Tensor, target: Tensor, settings: LossSettings, weight: Tensor) -> Tensor:
    """1 - macro F1 of the batch with probabilities in place of counts, over the classes that the batch holds."""
    probability = logits.softmax(1)  # (B, K)
    truth = functional.one_hot(target, logits.shape[1]).to(probability.dtype)
    hits = (probability * truth).sum(0)
    f1 = 2 * hits / (probability.sum(0) + truth.sum(0)).clamp_min(1e-7)
    return 1 - f1[truth.sum(0) > 0].mean()


LOSSES: dict[str, Callable[[Tensor, Tensor, LossSettings, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "focal": focal,
    "bce": bce,
    "f1": soft_f1,
}

# name → weight of each class from its count in training (K,); scaled to a mean of 1 over the samples
WEIGHTINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": torch.ones_like,
    "inverse": lambda counts: 1 / counts,
    # (1 - beta) / (1 - beta^n), beta 0.999 (Cui et al. 2019)
    "effective": lambda counts: (1 - 0.999) / (1 - 0.999**counts),
}


class Loss(nn.Module):
    """logits (B, K), targets (B,) → scalar: the weighted sum of the chosen terms.

    `counts` (K,) is how often each class stands in training; one that never does weighs 1 where it is judged. With
    `logit_adjustment` τ, τ·log(prior) is added to the logits while training (Menon et al. 2021); it does what weights
    or an evening sampler do, so use one of the three.
    """

    weight: Tensor
    adjustment: Tensor

    def __init__(self, settings: LossSettings, counts: Tensor) -> None:
        super().__init__()
        for name in settings.terms:
            if name not in LOSSES:
                raise ConfigError(must_be_one_of("loss.terms", LOSSES, name))
        if settings.weighting not in WEIGHTINGS:
            raise ConfigError(must_be_one_of("loss.weighting", WEIGHTINGS, settings.weighting))
        self.settings = settings
        counts = counts.float()
        weight = WEIGHTINGS[settings.weighting](counts.clamp_min(1))
        weight = weight * counts.sum() / (weight * counts).sum()
        prior = counts.clamp_min(0.5) / counts.sum().clamp_min(1)
        self.register_buffer("weight", torch.where(counts > 0, weight, 1.0))
        self.register_buffer("adjustment", settings.logit_adjustment * prior.log())

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        adjusted = logits + self.adjustment if self.training else logits
        terms = self.settings.terms.items()
        losses = [share * LOSSES[name](adjusted, target, self.settings, self.weight) for name, share in terms]
        return torch.stack(losses).sum()
