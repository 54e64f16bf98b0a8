"""Several processes that train one network: `torchrun --nproc-per-node 2 -m train fit …`.

They do what one process does, to the last digits that adding in another order leaves:

- A batch is `data.batch_size` pictures whatever the number of processes; each takes every n-th picture of it.
- The outputs are gathered before the loss, so that losses which look at the whole batch (F1, class weights) see it.
- Batch normalisation takes its mean and variance over the whole batch.
- Validation is shared out in the same way and put back in order: every row once.

The one difference: MixUp and CutMix pair a picture with another of the same process's share, and processes drop out the
same places. accelerate starts the processes' group (NCCL on GPUs, gloo on CPUs) and wraps the network; one file is
written by one process, the main one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from functools import cache
from types import MethodType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import BatchSampler, Sampler

from data_manifests.errors import ConfigError, ToolkitError
from train.models import choose_device

PATIENCE = timedelta(hours=12)  # others wait while the main process predicts and writes the report
T = TypeVar("T")


class Team:
    """This process, alone."""

    rank, size = 0, 1

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        """The device of this process. Raises ConfigError if it is not there."""
        return choose_device(name)

    def threads(self, wanted: int) -> int:
        """CPU threads of this process: those wanted, or its share of the cores."""
        return wanted or max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))

    def wrap(self, model: nn.Module) -> nn.Module:
        """The network as it is called in training."""
        return model

    def gather(self, *shares: Tensor) -> tuple[Tensor, ...]:
        """Rows (b, …) of this process's share of a batch → rows (B, …) of the batch, in order.

        Where they have a gradient, each process's own rows hand it back as the mean over processes needs it.
        """
        return shares

    def total(self, count: int) -> int:
        """The sum over processes."""
        return count

    def main_first(self) -> AbstractContextManager[None]:
        """The main process goes through before the others: what it puts into a cache, they find there."""
        return nullcontext()

    def from_main(self, make: Callable[[], T]) -> T:
        """What the main process makes; a ToolkitError that it meets is raised in all."""
        return make()


class Processes(Team):
    """This process among those that torchrun has started."""

    def __init__(self, cpu: bool) -> None:
        from accelerate import Accelerator
        from accelerate.utils import InitProcessGroupKwargs

        here, gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if not cpu and here > gpus:
            raise ConfigError(
                f"{here} processes were started here, where {gpus} GPUs are. Start as many as GPUs, or set device=cpu."
            )
        self.accelerator = Accelerator(cpu=cpu, kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)])
        self.rank, self.size = self.accelerator.process_index, self.accelerator.num_processes

    def device(self, name: str) -> torch.device:
        return self.accelerator.device

    def wrap(self, model: nn.Module) -> nn.Module:
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.forward = MethodType(_synced_batch_norm, module)  # type: ignore[method-assign]
        return self.accelerator.prepare_model(model)

    def gather(self, *shares: Tensor) -> tuple[Tensor, ...]:
        rows = self.total(len(shares[0]))
        return tuple(self._gather(share, rows) for share in shares)

    def _gather(self, share: Tensor, rows: int) -> Tensor:
        places = -(-rows // self.size)  # of the largest share
        padding = share.new_zeros(places - len(share), *share.shape[1:])
        shares = self.accelerator.gather(torch.cat([share.detach(), padding])[None])  # (size, places, …)
        if share.requires_grad:
            # DistributedDataParallel takes the mean of the gradients, but they add up to the one of the whole batch
            own = torch.cat([share * self.size - share.detach() * (self.size - 1), padding])
            shares = torch.cat([shares[: self.rank], own[None], shares[self.rank + 1 :]])
        return shares.transpose(0, 1).flatten(0, 1)[:rows]

    def total(self, count: int) -> int:
        counts = torch.tensor(count, device=self.accelerator.device)
        return int(self.accelerator.reduce(counts, "sum"))

    def main_first(self) -> AbstractContextManager[None]:
        return self.accelerator.main_process_first()

    def from_main(self, make: Callable[[], T]) -> T:
        from accelerate.utils import broadcast_object_list

        made: list[Any] = [None, None]
        if self.is_main:
            try:
                made[0] = make()
            except ToolkitError as error:
                made[1] = error
        broadcast_object_list(made)
        if made[1] is not None:
            raise made[1]
        return made[0]


ALONE = Team()


def team_for(device: str) -> Team:
    """The processes that torchrun has started, or this one alone. Raises ConfigError for a device they cannot share."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device must be one of {{auto, cpu, cuda}} for several processes. Got {device!r} instead.")
    return _processes(device == "cpu" or not torch.cuda.is_available())


@cache
def _processes(cpu: bool) -> Processes:
    return Processes(cpu)


class SharedBatches(BatchSampler):
    """Batches of which this process takes every n-th draw."""

    def __init__(self, sampler: Sampler[Any], batch_size: int, drop_last: bool, team: Team) -> None:
        super().__init__(sampler, batch_size, drop_last)
        self.team = team

    def __iter__(self) -> Iterator[Any]:
        for batch in super().__iter__():
            yield batch[self.team.rank :: self.team.size]


def _synced_batch_norm(self: _BatchNorm, image: Tensor) -> Tensor:
    """Batch normalisation (B, C, …) over the shares of all processes.

    torch.nn.SyncBatchNorm does it on CUDA alone. timm's layers have an activation within.
    """
    if not self.training:
        return type(self).forward(self, image)
    axes = [0, *range(2, image.dim())]
    values = image.float()
    sums = torch.cat([values.sum(axes), values.new_tensor([values.numel() / values.shape[1]])])
    *_, count = summed = _Sum.apply(sums)
    mean = _along(summed[:-1] / count, values)
    variance = _Sum.apply((values - mean).square().sum(axes)) / count
    if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.detach().flatten(), share)
        self.running_var.lerp_(variance.detach() * (count / (count - 1)), share)
    out = (values - mean) * _along((variance + self.eps).rsqrt(), values)
    if self.affine:
        out = out * _along(self.weight, values) + _along(self.bias, values)
    for name in ("drop", "act"):  # timm's BatchNormAct2d
        out = getattr(self, name)(out) if hasattr(self, name) else out
    return out.to(image.dtype)


class _Sum(torch.autograd.Function):
    """The sum over processes; so is its gradient, because what each gives goes into what all get."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        values = values.clone()
        dist.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        dist.all_reduce(gradient)
        return gradient


def _along(values: Tensor, image: Tensor) -> Tensor:
    """(C,) → (1, C, 1, …), to be laid over an image (B, C, …)."""
    return values.view(1, -1, *[1] * (image.dim() - 2))
