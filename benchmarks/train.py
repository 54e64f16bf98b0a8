"""Speed of training from JPEG files, compared with timm's own training script.

Baseline: timm's train.py, with timm's own parts: ImageDataset over folders of classes, create_loader with
create_transform's augmentation in two worker processes, and the loop of train_one_epoch. Both use the same photos,
network, size, batch, augmentation, optimiser and threads, and their own defaults: train.py trains channels first (see
--channels-last) in full precision; this toolkit uses mixed precision where the CPU has it, and is measured in full
precision as well. The baseline decodes every photo in every epoch. This toolkit decodes once; that time is reported
separately (`decode_once_s`), outside the ratio of epochs; after `epochs_to_pay` epochs it is recovered.

    speedup_vs_timm_style   images per second of an epoch, this toolkit over the baseline
    speedup_same_precision  the same with this toolkit in full precision
    cached_head_speedup     time of an end-to-end epoch over that of an epoch of a head on cached features
    loader_headroom         time of a training epoch over that of the loader alone: above 1, decoding is no bottleneck
    rss_mb                  memory after each epoch of this toolkit; constant
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import timm
import torch
from timm.data import ImageDataset, create_loader
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.utils import AverageMeter

from data_manifests.ingest import LAYOUTS
from data_manifests.splits.assign import assign_splits
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.metadata import Manifest
from data_manifests.versions.store import Store
from synth.demo_faces.dataset.demo_dataset import write_demo
from train.data.loader import set_epoch
from train.engine.learner import Learner
from train.engine.loop import prepare_training, train_epoch
from train.engine.losses import HeadLoss
from train.engine.optim import precision_name
from train.models.network import choose_device
from train.settings import TrainSettings

THREADS = 2
BATCH = 32
ROUNDS = 3
Figures = dict[str, Any]


def settings_of(backbone: str, side: int, precision: str, **model: Any) -> TrainSettings:
    augment = {} if model else {"flip": 0.5, "crop": 0.15, "color": 0.2}
    return TrainSettings.model_validate(
        {
            "threads": THREADS,
            "device": "cpu",
            "data": {"size": [side, side], "batch_size": BATCH, "sampler": "none", "augment": augment},
            "model": {"backbone": backbone, "pretrained": False, "head": "class", **model},
            "loss": {"label_smoothing": 0.1},
            "optim": {"name": "adamw", "lr": 3e-4, "weight_decay": 0.02, "precision": precision},
        }
    )


def photos(folder: Path, persons: int) -> tuple[Store, Manifest]:
    """Write rendered people of 384×512 as a manifest with a split."""
    write_demo(folder / "photos", persons, 3)
    store = Store(folder / "workspace")
    table = LAYOUTS["profiles"](folder / "photos", root_name="photos", cuts=AgeCuts())
    store.set_root("photos", folder / "photos")
    version = store.write("photos", assign_splits(table), "split")
    return store, store.read(version.ref)


class Ours:
    """Epochs of this toolkit's loop."""

    def __init__(self, store: Store, manifest: Manifest, settings: TrainSettings) -> None:
        torch.manual_seed(0)
        start = time.perf_counter()
        self.loader, _, model = prepare_training(manifest, settings, store, choose_device("cpu"), weights=False)
        self.prepare_s = time.perf_counter() - start
        data: Any = self.loader.dataset
        criterion = HeadLoss(settings.loss, model.head, data.labels, data.age)
        self.learner = Learner(model, criterion, settings, len(self.loader))
        self.rows, self.epoch = len(data), 0

    def train(self) -> None:
        set_epoch(self.loader, self.epoch)
        train_epoch(self.learner, self.loader, f"epoch {self.epoch}")
        self.epoch += 1

    def load(self) -> None:
        """Iterate over the loader without training."""
        for _ in self.loader:
            pass


class TimmStyle:
    """Epochs of timm's loop over folders of classes, which contain links to the same photos."""

    def __init__(
        self, store: Store, manifest: Manifest, backbone: str, side: int, folder: Path, channels_last: bool
    ) -> None:
        torch.manual_seed(0)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        rows = manifest.table.filter(pa.compute.field("split") == "train").to_pylist()
        for row in rows:
            target = folder / f"{row['class_id']:02d}" / f"{row['sample_id']}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(store.file_of(row["root"], row["path"]).resolve())
        self.model = timm.create_model(backbone, num_classes=18).to(memory_format=self.layout)
        about: Any = self.model.pretrained_cfg
        self.loader = create_loader(
            ImageDataset(str(folder)), (3, side, side), BATCH, is_training=True, scale=(0.85, 1.0), ratio=(0.95, 1.05),
            hflip=0.5, color_jitter=0.2, interpolation="bilinear", mean=about["mean"], std=about["std"],
            num_workers=THREADS, device=torch.device("cpu"), use_prefetcher=False,
        )  # fmt: skip
        self.loss = LabelSmoothingCrossEntropy(0.1)
        self.optimizer = create_optimizer_v2(self.model, "adamw", lr=3e-4, weight_decay=0.02)

    def train(self) -> None:
        self.model.train()
        losses = AverageMeter()
        for image, target in self.loader:
            self.optimizer.zero_grad()
            loss = self.loss(self.model(image.to(memory_format=self.layout)), target)
            loss.backward()
            self.optimizer.step()
            losses.update(loss.item(), image.size(0))


def seconds(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(backbone: str, side: int, persons: int, channels_last: bool) -> Figures:
    """Return all figures. The loops alternate, so that other load on the machine affects both."""
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as scratch:
        store, manifest = photos(Path(scratch), persons)
        ours = Ours(store, manifest, settings_of(backbone, side, "auto"))
        full = Ours(store, manifest, settings_of(backbone, side, "full"))
        theirs = TimmStyle(store, manifest, backbone, side, Path(scratch) / "classes", channels_last)
        loops = (ours, full, theirs)
        for one in loops:  # first epochs start worker processes and choose kernels
            one.train()
        memory, times = [rss_mb()], []
        for _ in range(ROUNDS):
            times.append([seconds(one.train) for one in loops])
            memory.append(rss_mb())
        ours_s, full_s, theirs_s = np.median(times, axis=0).tolist()
        load_s = seconds(ours.load)
        head = Ours(store, manifest, settings_of(backbone, side, "auto", freeze="backbone"))
        head.train()
        head_times = [seconds(head.train) for _ in range(5 * ROUNDS)]
        memory += list(rss_after(head, 5 * ROUNDS))
        head_s = float(np.median(head_times))
    saved = theirs_s - ours_s
    return {
        "backbone": backbone,
        "size": side,
        "opponent_channels_last": channels_last,
        "precision": precision_name(ours.learner.precision),
        "images": ours.rows,
        "speedup_vs_timm_style": round(theirs_s / ours_s, 2),
        "speedup_same_precision": round(theirs_s / full_s, 2),
        "cached_head_speedup": round(ours_s / head_s, 1),
        "ours_images_per_s": round(ours.rows / ours_s, 1),
        "timm_style_images_per_s": round(ours.rows / theirs_s, 1),
        "loader_headroom": round(ours_s / load_s, 1),
        "decode_once_s": round(ours.prepare_s, 2),
        "epochs_to_pay": round(ours.prepare_s / saved, 1) if saved > 0 else None,
        "head_images_per_s": round(head.rows / head_s),
        "features_once_s": round(head.prepare_s, 2),
        "rss_mb": [round(value) for value in memory],
        "memory_growth_mb": round(memory[-1] - memory[1]),
    }


def rss_after(run: Ours, epochs: int) -> Iterator[float]:
    """Train more epochs and yield the memory after every fifth, in MB."""
    for epoch in range(epochs):
        run.train()
        if epoch % 5 == 4:
            yield rss_mb()


def rss_mb() -> float:
    return psutil.Process(os.getpid()).memory_info().rss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet18", help="any timm name")
    parser.add_argument("--size", type=int, default=224, help="height and width in px")
    parser.add_argument("--persons", type=int, default=60, help="rendered people, seven photos each")
    parser.add_argument(
        "--channels-last", action="store_true", help="train the baseline channels last (an option of its train.py)"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object on the last line")
    options = parser.parse_args()
    figures = measure(options.backbone, options.size, options.persons, options.channels_last)
    for name, value in figures.items():
        print(f"{name:24} {value}")
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
