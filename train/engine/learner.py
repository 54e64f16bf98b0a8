"""The state that changes in training: network, moving average, optimiser, loss scaler and schedule."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import Tensor

from train.data import Batch, check_mix, mix, to_device
from train.engine.losses import HeadLoss
from train.engine.optim import PRECISIONS, Schedule, make_optimizer, precision_name, precision_on
from train.models import Network
from train.process_group import SINGLE_PROCESS, ProcessGroup
from train.settings import TrainSettings


class Learner:
    """A network with the moving average of its weights (optional), its optimiser, loss scaler and schedule."""

    def __init__(
        self,
        model: Network,
        criterion: HeadLoss,
        settings: TrainSettings,
        batches_per_epoch: int,
        processes: ProcessGroup = SINGLE_PROCESS,
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
        # the decay rises from 0 to `ema`, so that the random initial weights are forgotten
        self.ema = ModelEmaV3(model, settings.optim.ema, use_warmup=True) if settings.optim.ema else None
        self.processes, self.train_model = processes, processes.wrap(model)

    @property
    def eval_model(self) -> Network:
        """The network to evaluate and save: the moving average if there is one."""
        return self.ema.module if self.ema else self.model

    def forward_loss(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return loss (scalar), outputs (B, n) and labels (B, 3) of the whole batch, from this process's share.

        The labels of a mixed picture are those of its larger share.
        """
        image, labels, age = to_device(batch, self.device)
        data = self.settings.data
        image, share = mix(image, data.mix, data.mix_chance)
        with self._autocast():
            outputs = self.train_model(image)
        outputs, labels, age, other, other_age = self.processes.gather(
            outputs.float(), labels, age, labels.roll(1, 0), age.roll(1)
        )
        loss = self.criterion(outputs, labels, age)
        if share < 1:
            loss = share * loss + (1 - share) * self.criterion(outputs, other, other_age)
        return loss + self.model.sharing_penalty(), outputs.detach(), labels if share >= 0.5 else other

    def backward(self, loss: Tensor) -> None:
        """Accumulate the gradients of a loss."""
        self.scaler.scale(loss).backward()

    def update(self) -> None:
        """Take an optimiser step and clear the gradients."""
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
        """Return the state without `eval_model`, which the checkpoint holds as `model`."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "precision": precision_name(self.precision),
            "learning_model": self.model.state_dict() if self.ema else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a `state_dict` with `eval_model` added as `model`. Raises the errors of torch if it does not fit.

        A run resumes in its first precision, also on a machine where `auto` would choose another.
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
        """Return the loss scaler of fp16, whose smallest normal number is 6e-5: small gradients would become 0."""
        return torch.amp.GradScaler(self.device.type, enabled=self.precision is torch.float16)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, self.precision, enabled=self.precision is not None)
