"""All that changes while a run trains, in one place to be saved and put back."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import Tensor

from train.data import Batch, check_mix, mix, to_device
from train.distributed import ALONE, Team
from train.engine.optim import PRECISIONS, Schedule, make_optimizer, precision_name, precision_on
from train.models import HeadLoss, Network
from train.settings import TrainSettings


class Learner:
    """A network, the moving average of its weights if one is kept, its optimiser, loss scaler and schedule."""

    def __init__(
        self, model: Network, criterion: HeadLoss, settings: TrainSettings, batches_per_epoch: int, team: Team = ALONE
    ) -> None:
        check_mix(settings.data.mix)
        self.model, self.criterion, self.settings = model, criterion, settings
        self.device = next(model.parameters()).device
        self.optimizer = make_optimizer(settings.optim, model)
        self.schedule = Schedule(
            settings.optim, self.optimizer, math.ceil(batches_per_epoch / settings.optim.accumulate)
        )
        self.precision = precision_on(self.device, settings.optim.precision, model)
        self.scaler = self._scaler()
        # the average forgets the random start by growing its decay from 0 up to `ema`
        self.ema = ModelEmaV3(model, settings.optim.ema, use_warmup=True) if settings.optim.ema else None
        self.team, self.called = team, team.wrap(model)

    @property
    def judged(self) -> Network:
        """The network to be judged and kept: the moving average, if there is one."""
        return self.ema.module if self.ema else self.model

    def try_on(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Loss (scalar), outputs (B, n) and the classes (B,) that stand out in the pictures, mixed ones by the larger
        share; of the whole batch, of which `batch` is this process's share."""
        image, target, age = to_device(batch, self.device)
        data = self.settings.data
        image, share = mix(image, data.mix, data.mix_chance)
        with self._autocast():
            outputs = self.called(image)
        outputs, target, age, other, other_age = self.team.gather(
            outputs.float(), target, age, target.roll(1), age.roll(1)
        )
        loss = self.criterion(outputs, target, age)
        if share < 1:
            loss = share * loss + (1 - share) * self.criterion(outputs, other, other_age)
        return loss + self.model.sharing_penalty(), outputs.detach(), target if share >= 0.5 else other

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss to those there are."""
        self.scaler.scale(loss).backward()

    def update(self) -> None:
        """Take a step along the gradients, and forget them."""
        if self.settings.optim.clip_norm:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.optim.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.schedule.after_update()
        if self.ema:
            self.ema.update(self.model, step=self.schedule.updates)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the judged network, which the checkpoint holds anyway."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "precision": precision_name(self.precision),
            "learning_model": self.model.state_dict() if self.ema else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back a `state_dict`, with the judged network as `model`. Raises what torch does if it does not fit.

        A run goes on in the precision that it was begun in, also on a machine where `auto` would choose another.
        """
        self.model.load_state_dict(state["learning_model"] or state["model"])
        if self.ema:
            self.ema.module.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.precision = PRECISIONS[state["precision"]]
        self.scaler = self._scaler()
        self.scaler.load_state_dict(state["scaler"])

    def _scaler(self) -> torch.amp.GradScaler:
        """Half floats end at 6e-5: without scaling, small gradients would be rounded to nothing."""
        return torch.amp.GradScaler(self.device.type, enabled=self.precision is torch.float16)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, self.precision, enabled=self.precision is not None)
