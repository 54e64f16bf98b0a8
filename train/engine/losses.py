"""The loss functions, in a table by name; several may be summed with weights, and each part of a head has its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from data_manifests.errors import ConfigError, must_be_one_of
from train.models import Head, Part, split_outputs
from train.settings import LossSettings


def cross_entropy(logits: Tensor, target: Tensor, settings: LossSettings, weight: Tensor) -> Tensor:
    """Return the weighted cross entropy with label smoothing."""
    return functional.cross_entropy(logits, target, weight, label_smoothing=settings.label_smoothing)


def focal(logits: Tensor, target: Tensor, settings: LossSettings, weight: Tensor) -> Tensor:
    """Return the weighted mean of (1 - p)^gamma times the cross entropy of each sample (Lin et al. 2017)."""
    entropy = functional.cross_entropy(logits, target, reduction="none")
    sample_weight = weight[target]
    return ((1 - torch.exp(-entropy)) ** settings.gamma * entropy * sample_weight).sum() / sample_weight.sum()


def bce(logits: Tensor, target: Tensor, settings: LossSettings, weight: Tensor) -> Tensor:
    """Return the weighted mean binary cross entropy, one sigmoid per class (Wightman et al. 2021)."""
    truth = functional.one_hot(target, logits.shape[1]).to(logits.dtype)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(1)
    sample_weight = weight[target]
    return (entropy * sample_weight).sum() / sample_weight.sum()


def soft_f1(logits: Tensor, target: Tensor, settings: LossSettings, weight: Tensor) -> Tensor:
    """Return 1 - macro F1 over the classes in the batch, with probabilities in place of counts."""
    probability = logits.softmax(1)  # (B, K)
    truth = functional.one_hot(target, logits.shape[1]).to(probability.dtype)
    hits = (probability * truth).sum(0)
    f1 = 2 * hits / (probability.sum(0) + truth.sum(0)).clamp_min(1e-7)
    return 1 - f1[truth.sum(0) > 0].mean()


# name → (logits (B, K), targets (B,), settings, class weights (K,)) → scalar
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
    """The weighted sum of the terms of `loss.terms`: logits (B, K), targets (B,) → scalar.

    `counts` (K,) is the number of training samples of each class; a class without any has weight 1. With
    `logit_adjustment` τ, τ·log(prior) is added to the logits in training (Menon et al. 2021). Class weights and a
    balancing sampler have the same effect, so use one of the three.
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


class HeadLoss(nn.Module):
    """The sum of the losses of a head's parts, each times its weight in `loss.tasks`.

    outputs (B, n), labels of mask, gender and age (B, 3), ages in years (B,) → scalar. `labels` and `age` (N,) are
    those of the training rows, from which class counts are taken. A row without a label of a part does not count in the
    part's loss, and a part that no row of a batch has a label for adds nothing.
    """

    def __init__(self, settings: LossSettings, head: Head, labels: Tensor, age: Tensor) -> None:
        super().__init__()
        for name in settings.tasks:
            if name not in head:
                raise ConfigError(must_be_one_of("loss.tasks of this head", head, name))
        self.head, self.task_weight = head, settings.tasks
        self.losses = nn.ModuleDict()
        biases = []
        for name, part in head.items():
            steps = part.steps(labels, age)
            counts = torch.bincount(steps[steps >= 0], minlength=part.n_steps)
            self.losses[name] = Loss(settings, counts)
            shares = torch.where(counts > 0, 1.0, 0.5 / max(1, len(labels)))
            biases.append(part.age_steps.outputs_of(shares) if part.age_steps else shares.log())
        self.first_bias = torch.cat(biases)  # (n,): equal for all labels, except those without training samples

    def forward(self, outputs: Tensor, labels: Tensor, age: Tensor) -> Tensor:
        total = outputs.sum() * 0
        for name, values in split_outputs(outputs, self.head).items():
            part = self.head[name]
            steps = part.steps(labels, age)  # (B,)
            labelled = steps >= 0
            if labelled.any():
                loss = self._part_loss(name, part, values[labelled], steps[labelled], age[labelled])
                total = total + self.task_weight.get(name, 1.0) * loss
        return total

    def _part_loss(self, name: str, part: Part, outputs: Tensor, steps: Tensor, age: Tensor) -> Tensor:
        if part.age_steps and part.age_steps.spread_years:
            return part.age_steps.distribution_loss(outputs, age)
        return self.losses[name](part.age_steps.log_steps(outputs) if part.age_steps else outputs, steps)
