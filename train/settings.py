"""The settings of a run: a YAML file below `configs/train/`, overridden by `key=value` arguments.

This module imports no torch, so that an invalid setting is reported at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from data_manifests.errors import ConfigError
from pipeline.settings import Settings, load_settings
from train.head_parts import AUTO, part_names

Size = tuple[Annotated[int, Field(ge=16, le=2048)], Annotated[int, Field(ge=16, le=2048)]]
Metric = Literal[
    "auto", "f1", "accuracy", "tasks_f1", "mask_f1", "mask_accuracy", "gender_f1", "gender_accuracy", "age_f1",
    "age_accuracy", "loss",
]  # fmt: skip
Share = Annotated[float, Field(ge=0, lt=1)]


class DataSettings(Settings):
    """The rows to use, and how pictures are prepared (once, then cached) and augmented (at every draw)."""

    size: Size = (224, 224)  # height, width in px
    prepare: dict[str, float | list[float]] = Field(default_factory=dict)  # names: train/data/image_preparation.py
    augment: dict[str, float] = Field(default_factory=lambda: {"flip": 0.5, "crop": 0.15})  # train/data/augment.py
    mix: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)  # mixup, cutmix: their alpha
    mix_chance: float = Field(default=1.0, gt=0, le=1)  # probability that a batch is mixed, by one of `mix`
    batch_size: int = Field(default=32, ge=2)
    sampler: str = "none"  # names: train/data/sampling.py
    workers: int = Field(default=0, ge=0)  # loader processes; pictures are decoded beforehand, so 0 is enough
    synthetic_val: bool = False  # count synthetic rows of the validation split in the validation scores
    fold: int | None = Field(default=None, ge=0)  # validate on the people of this fold, train on those of the others
    all_rows: bool = False  # train on the validation rows as well; `train refit` sets it, with a fixed stop_epoch
    allow_shared_persons: bool = False  # accept a person in both train and val, to measure split leakage


class ModelSettings(Settings):
    """The network."""

    backbone: str = "resnet18"  # any timm name
    # auto: the backbone's weights if they are at hand, else a head on the packaged face embedding (train/start.py)
    pretrained: bool | Literal["auto"] = "auto"
    embedding: str = ""  # a head on vectors of a face descriptor, without a backbone; train/data/feature_cache.py
    hidden: int = Field(default=0, ge=0)  # width of a layer between an embedding and the outputs; 0: none
    # auto: the 18 classes, or one part for each labelled task; names: train/head_parts.py; tasks joined: mask+gender
    head: str = AUTO
    age: str = "classes"  # encoding of ages in the head; names: train/models/age_heads.py
    networks: Literal["shared", "separate"] = "shared"  # one backbone for all parts of the head, or one for each
    soft_sharing: float = Field(default=0.0, ge=0)  # weight of the squared distance between separate networks
    # number of frozen stages from the stem on, or all but the head. Without augmentation (data.augment={}) the features
    # of a frozen backbone are computed once per picture and cached
    freeze: int | Literal["none", "backbone"] = "none"
    drop_rate: Share = 0.0
    drop_path_rate: Share = 0.0


class LossSettings(Settings):
    """The loss to minimise."""

    terms: dict[str, float] = Field(default_factory=lambda: {"cross_entropy": 1.0})  # names: train/engine/losses.py
    label_smoothing: Share = 0.0  # of cross_entropy
    gamma: float = Field(default=2.0, ge=0)  # of focal
    weighting: str = "none"  # of the classes; names: train/engine/losses.py
    logit_adjustment: float = Field(default=0.0, ge=0)
    tasks: dict[str, float] = Field(default_factory=dict)  # weight of each part of the head; default 1


class OptimSettings(Settings):
    """The optimiser, its schedule and the stopping rule."""

    name: str = "adamw"  # any timm optimiser
    lr: float = Field(default=3e-4, gt=0)
    weight_decay: float = Field(default=0.02, ge=0)
    schedule: str = "cosine"  # names: train/engine/optim.py
    warmup_epochs: int = Field(default=0, ge=0)
    decay_epochs: int = Field(default=10, ge=1)  # `step`: epochs between decays; `plateau`: its patience
    decay_rate: float = Field(default=0.1, gt=0, le=1)
    layer_decay: float = Field(default=1.0, gt=0, le=1)  # learning rate of a layer over that of the layer above it
    epochs: int = Field(default=20, ge=1)
    stop_epoch: int = Field(default=0, ge=0)  # stop after this epoch, with the schedule of `epochs`; 0: off
    # validation metric for best.pt, `patience` and `plateau`; auto: the first that can be measured of f1, tasks_f1 (the
    # mean of the tasks' macro F1) and the macro F1 of the task
    metric: Metric = "auto"
    patience: int = Field(default=5, ge=1)  # stop after this many epochs without improvement
    accumulate: int = Field(default=1, ge=1)  # batches per update
    clip_norm: float = Field(default=0.0, ge=0)  # 0: gradients are not clipped
    ema: Share = 0.0  # decay of a moving average of the weights, which is evaluated and saved instead; 0: off
    precision: Literal["auto", "full", "bf16", "fp16"] = "auto"  # auto: mixed where it is faster


class TrainSettings(Settings):
    """All settings of a run."""

    seed: int = Field(default=0, ge=0)
    device: str = "auto"  # auto, cpu, cuda, cuda:1, mps
    threads: int = Field(default=0, ge=0)  # CPU threads of torch; 0: one per core
    tracker: str = "tensorboard"  # in addition to metrics.csv; names: train/engine/tracking.py
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    loss: LossSettings = LossSettings()
    optim: OptimSettings = OptimSettings()


def load_train_settings(file: Path | None = None, overrides: Mapping[str, str] | None = None) -> TrainSettings:
    """Read and check the settings of a run. Raises ConfigError with the allowed values."""
    settings = load_settings(TrainSettings, file, overrides)
    if settings.model.embedding:
        settings = _without_augment(settings)
    if settings.model.head != AUTO:
        part_names(settings.model.head)  # raises an error for an unknown head before a manifest is read
    check_combination(settings)
    return settings


def _without_augment(settings: TrainSettings) -> TrainSettings:
    """Clear the default augmentation: an embedding is computed once, of the picture as it is.

    Raises ConfigError if augmentation was set explicitly.
    """
    if "augment" in settings.data.model_fields_set and settings.data.augment:
        raise ConfigError(
            f"data.augment varies pictures, but model.embedding={settings.model.embedding} computes one vector of each "
            f"unchanged picture. Got {settings.data.augment} instead of {{}}; omit data.augment, or train a backbone."
        )
    return settings.model_copy(update={"data": settings.data.model_copy(update={"augment": {}})})


def check_combination(settings: TrainSettings) -> None:
    """Check settings that are valid one by one but not together. Raises ConfigError."""
    data, model, optim = settings.data, settings.model, settings.optim
    for is_wrong, message in (
        (model.embedding and data.mix, "data.mix mixes pictures, but model.embedding trains on vectors. Remove one of "
         "the two"),
        (model.soft_sharing and model.networks == "shared", "model.soft_sharing needs model.networks=separate"),
        (data.all_rows and data.fold is not None, "data.all_rows leaves no fold to validate on. Set one of the two"),
        (data.all_rows and optim.schedule == "plateau", "optim.schedule=plateau needs a validation score, which a run "
         "with data.all_rows=true does not have. Choose another schedule"),
    ):  # fmt: skip
        if is_wrong:
            raise ConfigError(f"{message}.")
