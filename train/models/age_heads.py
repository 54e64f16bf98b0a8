"""Encodings of age in a head: as one of three classes, or in finer steps from which the class follows.

age (years) ─ step_of ─▶ step        outputs (B, n) ─ log_steps ─▶ (B, F steps) ─ log_classes ─▶ (B, 3)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from data_manifests.taxonomy import MAX_AGE, MIN_AGE, N_AGE_CLASSES, AgeCuts, age_class_of

SPREAD_YEARS = 2.0  # standard deviation of the label distribution; Gao et al. 2017 use 2 for ages with a single label


@dataclass(frozen=True)
class AgeSteps:
    """Age intervals (F,) in order, each within one age class: the probability of a class is the sum over its steps."""

    starts: Tensor  # (F,) first age of each step, years
    class_of: Tensor  # (F,) its age class
    n_outputs: int
    log_steps: Callable[[Tensor], Tensor]  # outputs (B, n_outputs) → log-probabilities (B, F)
    outputs_of: Callable[[Tensor], Tensor]  # the inverse: shares of the steps (F,) → outputs (n_outputs,)
    spread_years: float = 0.0  # above 0: trained on a distribution around the age instead of on loss.terms

    def step_of(self, age: Tensor) -> Tensor:
        """Return the step (B,) of each age (B,) in years."""
        return (torch.bucketize(age, self.starts.to(age.device), right=True) - 1).clamp_min(0)

    def log_classes(self, outputs: Tensor) -> Tensor:
        """Return log-probabilities of the age classes (B, 3) from outputs (B, n_outputs)."""
        steps = self.log_steps(outputs)
        within = [steps[:, self.class_of.to(outputs.device) == age_class] for age_class in range(N_AGE_CLASSES)]
        return torch.stack([part.logsumexp(1) for part in within], dim=1)

    def distribution_loss(self, outputs: Tensor, age: Tensor) -> Tensor:
        """Return the divergence (scalar) from a normal distribution around each age (B,).

        Label distribution learning (Gao et al. 2017).
        """
        distance = self.starts.to(age.device) - age[:, None]  # (B, F)
        wanted = (-(distance**2) / (2 * self.spread_years**2)).softmax(1)
        return functional.kl_div(self.log_steps(outputs), wanted, reduction="batchmean")


def corn_log_steps(outputs: Tensor) -> Tensor:
    """Return log-probabilities of the steps (B, F) from outputs (B, F - 1).

    Output k is the logit that the age lies beyond step k, given that it reaches step k: conditional ordinal regression,
    CORN (Shi, Cao and Raschka 2021). The cross entropy of the result is CORN's loss, averaged over pictures instead of
    over the binary tasks.
    """
    beyond = functional.logsigmoid(outputs)
    start = outputs.new_zeros(len(outputs), 1)
    reached = torch.cat([start, beyond], 1).cumsum(1)  # log P(age reaches step k)
    return reached + torch.cat([functional.logsigmoid(-outputs), start], 1)


def corn_outputs_of(shares: Tensor) -> Tensor:
    """Return the outputs (F - 1,) for which `corn_log_steps` gives these shares of the steps (F,)."""
    beyond = shares.flip(0).cumsum(0).flip(0)[1:]
    return (beyond / shares[:-1]).log()


def _softmax(outputs: Tensor) -> Tensor:
    return outputs.log_softmax(1)


def ten_starts(cuts: AgeCuts) -> list[int]:
    """Return the first ages of ten steps: three below the first cut, five between the cuts, two above.

    For 30,60 they are 0, 20, 25 · 30, 36, 42, 48, 54 · 60, 65.
    """
    width = cuts.old - cuts.middle
    between = [cuts.middle + round(width * part / 5) for part in range(5)]
    starts = [MIN_AGE, cuts.middle - 10, cuts.middle - 5, *between, cuts.old, cuts.old + 5]
    return sorted({start for start in starts if MIN_AGE <= start <= MAX_AGE})


def _steps(starts: list[int], cuts: AgeCuts, **encoding: object) -> AgeSteps:
    first = torch.tensor(starts)
    return AgeSteps(first, age_class_of(first, cuts), **encoding)  # type: ignore[arg-type]


def _bins(cuts: AgeCuts) -> AgeSteps:
    starts = ten_starts(cuts)
    return _steps(starts, cuts, n_outputs=len(starts), log_steps=_softmax, outputs_of=torch.log)


def _corn(cuts: AgeCuts) -> AgeSteps:
    starts = ten_starts(cuts)
    return _steps(starts, cuts, n_outputs=len(starts) - 1, log_steps=corn_log_steps, outputs_of=corn_outputs_of)


def _distribution(cuts: AgeCuts) -> AgeSteps:
    starts = list(range(MIN_AGE, MAX_AGE + 1))
    return _steps(
        starts, cuts, n_outputs=len(starts), log_steps=_softmax, outputs_of=torch.log, spread_years=SPREAD_YEARS
    )


# name → the steps that ages are predicted in; None: the three classes, which need no ages in years
AGE_HEADS: dict[str, Callable[[AgeCuts], AgeSteps | None]] = {
    "classes": lambda cuts: None,
    "bins": _bins,  # ten steps
    "corn": _corn,  # ten steps, as an ordinal regression
    "distribution": _distribution,  # single years
}
