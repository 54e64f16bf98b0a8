"""A script that torchrun runs in the tests: compare the gradients of several processes with those of one.

Prints a JSON line for each of the settings given: the largest differences of gradients and buffers, as a share of the
largest value, and whether the validation rows are in order.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from data_manifests.versions.store import Store
from tests.support.train_drawn import tiny_settings
from train.data.loader import set_epoch
from train.engine.learner import Learner
from train.engine.loop import forward, prepare_training
from train.engine.losses import HeadLoss
from train.process_group import SINGLE_PROCESS, ProcessGroup, process_group_for
from train.settings import TrainSettings


def after_two_batches(
    store: Store, settings: TrainSettings, processes: ProcessGroup
) -> tuple[Learner, float, torch.Tensor]:
    """Return a learner with the gradients of two batches, the last of uneven shares; its loss; validation targets."""
    torch.manual_seed(0)
    train, val, model = prepare_training(
        store.read("drawn"), settings, store, torch.device("cpu"), weights=False, processes=processes
    )
    data: Any = train.dataset
    criterion = HeadLoss(settings.loss, model.head, data.labels, data.age)
    learner = Learner(model, criterion, settings, len(train), processes)
    set_epoch(train, 0)
    model.train()
    *_, before, batch = iter(train)
    learner.backward(learner.forward_loss(before)[0])
    loss, outputs, _ = learner.forward_loss(batch)
    learner.backward(loss)
    assert val is not None
    _, targets, _ = forward(model, val, processes=processes)
    assert len(outputs) == len(data) % settings.data.batch_size
    return learner, float(loss.detach()), targets


def difference(expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> float:
    largest = max(float(value.abs().max()) for value in expected.values())
    return max(float((expected[name] - found[name]).abs().max()) for name in expected) / largest


def main(workspace: str, *sections: str) -> None:
    torch.set_num_threads(1)
    store, processes = Store(Path(workspace)), process_group_for("cpu")
    for section in sections:
        settings = tiny_settings(**json.loads(section))
        together, loss, targets = after_two_batches(store, settings, processes)
        alone, expected, in_order = after_two_batches(store, settings, SINGLE_PROCESS)
        gradients = [{name: p.grad for name, p in one.model.named_parameters()} for one in (alone, together)]
        buffers = [{name: b.float() for name, b in one.model.named_buffers() if b.numel()} for one in (alone, together)]
        found = {
            "size": processes.size, "gradients": len(gradients[0]), "loss": abs(loss / expected - 1),
            "gradient": difference(*gradients), "buffer": difference(*buffers),
            "validation": torch.equal(targets, in_order),
        }  # fmt: skip
        if processes.is_main:
            print(json.dumps(found), flush=True)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
