"""The settings of a run: a YAML file below `configs/train/`, with `key=value` words laid over it.

Nothing here needs torch, so that a wrong setting is told at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.config import Settings, load_settings

Size = tuple[Annotated[int, Field(ge=16, le=2048)], Annotated[int, Field(ge=16, le=2048)]]
Share = Annotated[float, Field(ge=0, lt=1)]


class DataSettings(Settings):
    """Which rows are used, how pictures are prepared (once, then cached) and varied (at every draw)."""

    size: Size = (224, 224)  # height, width in px
    prepare: dict[str, float | list[float]] = Field(default_factory=dict)  # names: train/prepare.py
    augment: dict[str, float] = Field(default_factory=lambda: {"flip": 0.5, "crop": 0.15})  # train/augment.py
    batch_size: int = Field(default=32, ge=2)
    sampler: str = "class"  # train/sampling.py lists them
    workers: int = Field(default=0, ge=0)  # loader processes; pictures are decoded before, so 0 will do
    synthetic_val: bool = False  # whether synthetic rows of the validation split count in the validation scores
    allow_shared_persons: bool = False  # a person in train and in val: refused, except to show what the leak claims


class ModelSettings(Settings):
    """The network."""

    backbone: str = "resnet18"  # any timm name
    pretrained: bool = True
    embedding: str = ""  # instead of training a backbone, a head on what a frozen one says; train/features.py
    hidden: int = Field(default=0, ge=0)  # width of a layer between an embedding and the outputs; 0: none
    head: str = "class"  # train/heads.py lists them
    networks: Literal["shared", "separate"] = "shared"  # one backbone for all parts of the head, or one for each
    soft_sharing: float = Field(default=0.0, ge=0)  # pull between separate networks, times their squared distance
    freeze: int | Literal["none", "backbone"] = "none"  # how many stages from the stem on, or all but the head
    drop_rate: Share = 0.0
    drop_path_rate: Share = 0.0


class LossSettings(Settings):
    """What is minimised."""

    terms: dict[str, float] = Field(default_factory=lambda: {"cross_entropy": 1.0})  # train/losses.py lists the names
    label_smoothing: Share = 0.0  # of cross_entropy
    gamma: float = Field(default=2.0, ge=0)  # of focal
    weighting: str = "none"  # of the classes; train/losses.py lists them
    logit_adjustment: float = Field(default=0.0, ge=0)
    tasks: dict[str, float] = Field(default_factory=dict)  # weight of each part of the head; 1 where not given


class OptimSettings(Settings):
    """How it is minimised, and when to stop."""

    name: str = "adamw"  # any timm optimiser
    lr: float = Field(default=3e-4, gt=0)
    weight_decay: float = Field(default=0.02, ge=0)
    schedule: str = "cosine"  # train/optim.py lists them
    warmup_epochs: int = Field(default=0, ge=0)
    decay_epochs: int = Field(default=10, ge=1)  # `step`: how often the rate falls; `plateau`: how long it waits
    decay_rate: float = Field(default=0.1, gt=0, le=1)
    epochs: int = Field(default=20, ge=1)
    patience: int = Field(default=5, ge=1)  # stop after so many epochs without a better validation macro F1
    clip_norm: float = Field(default=0.0, ge=0)  # 0: gradients are not clipped


class TrainSettings(Settings):
    """All of a run."""

    seed: int = Field(default=0, ge=0)
    device: str = "auto"  # auto, cpu, cuda, cuda:1, mps
    threads: int = Field(default=0, ge=0)  # CPU threads of torch; 0: one per core
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    loss: LossSettings = LossSettings()
    optim: OptimSettings = OptimSettings()


def load_train_settings(file: Path | None = None, overrides: Mapping[str, str] | None = None) -> TrainSettings:
    """Read and check the settings. Raises ConfigError with the choices."""
    return load_settings(TrainSettings, file, overrides)
