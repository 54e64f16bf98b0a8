"""Distributed training: `torchrun --nproc-per-node 2 -m train fit …`.

Several processes compute what one process computes, up to the rounding of another order of summation:

- A batch is `data.batch_size` pictures whatever the number of processes; each process takes every n-th picture of it.
- Outputs are gathered before the loss, so that losses over the whole batch (F1, class weights) see all of it.
- Batch normalisation takes its mean and variance over the whole batch.
- Validation rows are divided in the same way and returned to their order: every row once.

One difference remains: MixUp and CutMix pair pictures within the share of one process, and dropout masks are the same
in all processes. accelerate starts the process group (NCCL on GPUs, gloo on CPUs) and wraps the network; files are
written by the main process alone.
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

TIMEOUT = timedelta(hours=12)  # the other processes wait while the main one predicts and writes the report
T = TypeVar("T")


class ProcessGroup:
    """The processes that train one network; this base class is a group of one."""

    rank, size = 0, 1

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        """Return the device of this process. Raises ConfigError if it does not exist."""
        return choose_device(name)

    def threads(self, wanted: int) -> int:
        """Return the number of CPU threads of this process: `wanted`, or for 0 its share of the cores."""
        return wanted or max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the module to call in training instead of `model`."""
        return model

    def gather(self, *shares: Tensor) -> tuple[Tensor, ...]:
        """Return the rows (B, …) of the whole batch in order, from this process's rows (b, …).

        Gradients flow to this process's own rows, scaled so that their mean over processes is that of the whole batch.
        """
        return shares

    def sum(self, count: int) -> int:
        """Return the sum of `count` over the processes."""
        return count

    def main_first(self) -> AbstractContextManager[None]:
        """Let the main process run the block before the others, which then find its results in the caches."""
        return nullcontext()

    def run_on_main(self, function: Callable[[], T]) -> T:
        """Call a function in the main process and return its result in all. Raises its ToolkitError in all."""
        return function()


class TorchrunGroup(ProcessGroup):
    """The processes that torchrun started."""

    def __init__(self, cpu: bool) -> None:
        from accelerate import Accelerator
        from accelerate.utils import InitProcessGroupKwargs

        here, gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if not cpu and here > gpus:
            raise ConfigError(
                f"torchrun started {here} processes on a machine with {gpus} GPUs. Start at most one process for each "
                "GPU, or set device=cpu."
            )
        self.accelerator = Accelerator(cpu=cpu, kwargs_handlers=[InitProcessGroupKwargs(timeout=TIMEOUT)])
        self.rank, self.size = self.accelerator.process_index, self.accelerator.num_processes

    def device(self, name: str) -> torch.device:
        return self.accelerator.device

    def wrap(self, model: nn.Module) -> nn.Module:
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.forward = MethodType(_synced_batch_norm, module)  # type: ignore[method-assign]
        return self.accelerator.prepare_model(model)

    def gather(self, *shares: Tensor) -> tuple[Tensor, ...]:
        rows = self.sum(len(shares[0]))
        return tuple(self._gather(share, rows) for share in shares)

    def _gather(self, share: Tensor, rows: int) -> Tensor:
        longest = -(-rows // self.size)  # rows of the largest share
        padding = share.new_zeros(longest - len(share), *share.shape[1:])
        shares = self.accelerator.gather(torch.cat([share.detach(), padding])[None])  # (size, longest, …)
        if share.requires_grad:
            # DistributedDataParallel takes the mean of the gradients, but their sum is that of the whole batch
            own = torch.cat([share * self.size - share.detach() * (self.size - 1), padding])
            shares = torch.cat([shares[: self.rank], own[None], shares[self.rank + 1 :]])
        return shares.transpose(0, 1).flatten(0, 1)[:rows]

    def sum(self, count: int) -> int:
        counts = torch.tensor(count, device=self.accelerator.device)
        return int(self.accelerator.reduce(counts, "sum"))

    def main_first(self) -> AbstractContextManager[None]:
        return self.accelerator.main_process_first()

    def run_on_main(self, function: Callable[[], T]) -> T:
        from accelerate.utils import broadcast_object_list

        result: list[Any] = [None, None]  # value, error
        if self.is_main:
            try:
                result[0] = function()
            except ToolkitError as error:
                result[1] = error
        broadcast_object_list(result)
        if result[1] is not None:
            raise result[1]
        return result[0]


SINGLE_PROCESS = ProcessGroup()


def process_group_for(device: str) -> ProcessGroup:
    """Return the group that torchrun started, or SINGLE_PROCESS. Raises ConfigError for a device it cannot share."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return SINGLE_PROCESS
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device must be one of {{auto, cpu, cuda}} for several processes. Got {device!r} instead.")
    return _torchrun_group(device == "cpu" or not torch.cuda.is_available())


@cache
def _torchrun_group(cpu: bool) -> TorchrunGroup:
    return TorchrunGroup(cpu)


class ShardedBatches(BatchSampler):
    """Batches of draws, of which this process takes every n-th draw."""

    def __init__(self, sampler: Sampler[Any], batch_size: int, drop_last: bool, processes: ProcessGroup) -> None:
        super().__init__(sampler, batch_size, drop_last)
        self.processes = processes

    def __iter__(self) -> Iterator[Any]:
        for batch in super().__iter__():
            yield batch[self.processes.rank :: self.processes.size]


def _synced_batch_norm(self: _BatchNorm, image: Tensor) -> Tensor:
    """Normalise a batch (B, C, …) by the mean and variance over all processes.

    torch.nn.SyncBatchNorm does this on CUDA only. Layers of timm include an activation, which is applied as well.
    """
    if not self.training:
        return type(self).forward(self, image)
    axes = [0, *range(2, image.dim())]
    values = image.float()
    sums = torch.cat([values.sum(axes), values.new_tensor([values.numel() / values.shape[1]])])
    *_, count = summed = _Sum.apply(sums)
    mean = _broadcast(summed[:-1] / count, values)
    variance = _Sum.apply((values - mean).square().sum(axes)) / count
    if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.detach().flatten(), share)
        self.running_var.lerp_(variance.detach() * (count / (count - 1)), share)
    out = (values - mean) * _broadcast((variance + self.eps).rsqrt(), values)
    if self.affine:
        out = out * _broadcast(self.weight, values) + _broadcast(self.bias, values)
    for name in ("drop", "act"):  # timm's BatchNormAct2d
        out = getattr(self, name)(out) if hasattr(self, name) else out
    return out.to(image.dtype)


class _Sum(torch.autograd.Function):
    """The sum over processes. Its gradient is a sum too: each process's values enter the result of every process."""

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


def _broadcast(values: Tensor, image: Tensor) -> Tensor:
    """Reshape (C,) to (1, C, 1, …), so that it broadcasts over an image (B, C, …)."""
    return values.view(1, -1, *[1] * (image.dim() - 2))
