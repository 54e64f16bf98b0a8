"""How a network tells an age: as one of three classes, or as something finer from which the class follows.

age (years) ─ step_of ─▶ step        outputs (B, n) ─ log_steps ─▶ (B, F steps) ─ log_classes ─▶ (B, 3)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from data_manifests.taxonomy import MAX_AGE, MIN_AGE, N_AGE_CLASSES, AgeCuts

SPREAD_YEARS = 2.0  # deviation of the label distribution; Gao et al. 2017 use 2 where nobody has voted on the ages


@dataclass(frozen=True)
class Ages:
    """Steps of age (F,), in order. Each lies within one age class: the chance of a class is the sum over its steps."""

    starts: Tensor  # (F,) first age of each step, years
    class_of: Tensor  # (F,) its age class
    n_outputs: int
    log_steps: Callable[[Tensor], Tensor]  # outputs (B, n_outputs) → log-probabilities (B, F)
    outputs_of: Callable[[Tensor], Tensor]  # the other way: shares (F,) → outputs (n_outputs,) that say so
    spread_years: float = 0.0  # above 0: learnt as a distribution around the age, instead of by loss.terms

    def step_of(self, age: Tensor) -> Tensor:
        """Ages (B,) in years → steps (B,)."""
        return (torch.bucketize(age, self.starts.to(age.device), right=True) - 1).clamp_min(0)

    def log_classes(self, outputs: Tensor) -> Tensor:
        """outputs (B, n_outputs) → log-probabilities of the age classes (B, 3)."""
        steps = self.log_steps(outputs)
        within = [steps[:, self.class_of.to(outputs.device) == age_class] for age_class in range(N_AGE_CLASSES)]
        return torch.stack([part.logsumexp(1) for part in within], dim=1)

    def distribution_loss(self, outputs: Tensor, age: Tensor) -> Tensor:
        """Divergence from a normal distribution around each age (B,) (label distribution learning, Gao et al. 2017)."""
        distance = self.starts.to(age.device) - age[:, None]  # (B, F)
        wanted = (-(distance**2) / (2 * self.spread_years**2)).softmax(1)
        return functional.kl_div(self.log_steps(outputs), wanted, reduction="batchmean")


def corn_log_steps(outputs: Tensor) -> Tensor:
    """outputs (B, F - 1), of which k says whether the age is beyond step k given that it is not below → (B, F).

    Conditional ordinal regression, CORN (Shi, Cao and Raschka 2021). The cross entropy of these is its loss, but for
    being averaged over pictures instead of over the questions asked of them.
    """
    beyond = functional.logsigmoid(outputs)
    start = outputs.new_zeros(len(outputs), 1)
    reached = torch.cat([start, beyond], 1).cumsum(1)  # log P(age reaches step k)
    return reached + torch.cat([functional.logsigmoid(-outputs), start], 1)


def corn_outputs_of(shares: Tensor) -> Tensor:
    """Shares of the steps (F,) → the outputs (F - 1,) of which `corn_log_steps` makes them."""
    beyond = shares.flip(0).cumsum(0).flip(0)[1:]
    return (beyond / shares[:-1]).log()


def _softmax(outputs: Tensor) -> Tensor:
    return outputs.log_softmax(1)


def ten_starts(cuts: AgeCuts) -> list[int]:
    """First ages of ten steps: three below the first cut, five between the cuts, two above; for 30,60 they are
    0, 20, 25 · 30, 36, 42, 48, 54 · 60, 65."""
    width = cuts.old - cuts.middle
    between = [cuts.middle + round(width * part / 5) for part in range(5)]
    starts = [MIN_AGE, cuts.middle - 10, cuts.middle - 5, *between, cuts.old, cuts.old + 5]
    return sorted({start for start in starts if MIN_AGE <= start <= MAX_AGE})


def _steps(starts: list[int], cuts: AgeCuts, **how: object) -> Ages:
    first = torch.tensor(starts)
    classes = (first >= cuts.middle).long() + (first >= cuts.old).long()
    return Ages(first, classes, **how)  # type: ignore[arg-type]


def _bins(cuts: AgeCuts) -> Ages:
    starts = ten_starts(cuts)
    return _steps(starts, cuts, n_outputs=len(starts), log_steps=_softmax, outputs_of=torch.log)


def _corn(cuts: AgeCuts) -> Ages:
    starts = ten_starts(cuts)
    return _steps(starts, cuts, n_outputs=len(starts) - 1, log_steps=corn_log_steps, outputs_of=corn_outputs_of)


def _distribution(cuts: AgeCuts) -> Ages:
    starts = list(range(MIN_AGE, MAX_AGE + 1))
    return _steps(
        starts, cuts, n_outputs=len(starts), log_steps=_softmax, outputs_of=torch.log, spread_years=SPREAD_YEARS
    )


# name → the steps that an age is told in; None: the three classes themselves, for which no years need be known
AGES: dict[str, Callable[[AgeCuts], Ages | None]] = {
    "classes": lambda cuts: None,
    "bins": _bins,  # ten steps
    "corn": _corn,  # ten steps, told as an order
    "distribution": _distribution,  # single years
}
