"""The settings of a run: a YAML file below `configs/train/`, with `key=value` words laid over it.

Nothing here needs torch, so that a wrong setting is told at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from data_manifests.errors import ConfigError
from pipeline.settings import Settings, load_settings

Size = tuple[Annotated[int, Field(ge=16, le=2048)], Annotated[int, Field(ge=16, le=2048)]]
Metric = Literal[
    "f1", "accuracy", "mask_f1", "mask_accuracy", "gender_f1", "gender_accuracy", "age_f1", "age_accuracy", "loss"
]
Share = Annotated[float, Field(ge=0, lt=1)]


class DataSettings(Settings):
    """Which rows are used, how pictures are prepared (once, then cached) and varied (at every draw)."""

    size: Size = (224, 224)  # height, width in px
    prepare: dict[str, float | list[float]] = Field(default_factory=dict)  # names: train/data/image_preparation.py
    augment: dict[str, float] = Field(default_factory=lambda: {"flip": 0.5, "crop": 0.15})  # train/data/augment.py
    mix: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)  # mixup, cutmix: their alpha
    mix_chance: float = Field(default=1.0, gt=0, le=1)  # of a batch to be mixed, by one of `mix`
    batch_size: int = Field(default=32, ge=2)
    sampler: str = "none"  # train/data/sampling.py lists them
    workers: int = Field(default=0, ge=0)  # loader processes; pictures are decoded before, so 0 will do
    synthetic_val: bool = False  # whether synthetic rows of the validation split count in the validation scores
    fold: int | None = Field(default=None, ge=0)  # judged by the people of this fold, trained on those of the others
    all_rows: bool = False  # train on the rows of val as well; `train refit` sets it, with the epoch chosen before
    allow_shared_persons: bool = False  # a person in train and in val: refused, except to show what the leak claims


class ModelSettings(Settings):
    """The network."""

    backbone: str = "resnet18"  # any timm name
    pretrained: bool = True
    embedding: str = ""  # instead of a backbone, a head on what a describer says of a face; train/data/feature_cache.py
    hidden: int = Field(default=0, ge=0)  # width of a layer between an embedding and the outputs; 0: none
    head: str = "class"  # train/models/heads.py lists them
    age: str = "classes"  # how the parts that tell an age do so; train/models/age_heads.py
    networks: Literal["shared", "separate"] = "shared"  # one backbone for all parts of the head, or one for each
    soft_sharing: float = Field(default=0.0, ge=0)  # pull between separate networks, times their squared distance
    # how many stages from the stem on, or all but the head. Where nothing varies the pictures (data.augment={}), what
    # a frozen backbone says of them is taken once and kept
    freeze: int | Literal["none", "backbone"] = "none"
    drop_rate: Share = 0.0
    drop_path_rate: Share = 0.0


class LossSettings(Settings):
    """What is minimised."""

    terms: dict[str, float] = Field(default_factory=lambda: {"cross_entropy": 1.0})  # train/models/losses.py
    label_smoothing: Share = 0.0  # of cross_entropy
    gamma: float = Field(default=2.0, ge=0)  # of focal
    weighting: str = "none"  # of the classes; train/models/losses.py lists them
    logit_adjustment: float = Field(default=0.0, ge=0)
    tasks: dict[str, float] = Field(default_factory=dict)  # weight of each part of the head; 1 where not given


class OptimSettings(Settings):
    """How it is minimised, and when to stop."""

    name: str = "adamw"  # any timm optimiser
    lr: float = Field(default=3e-4, gt=0)
    weight_decay: float = Field(default=0.02, ge=0)
    schedule: str = "cosine"  # train/engine/optim.py lists them
    warmup_epochs: int = Field(default=0, ge=0)
    decay_epochs: int = Field(default=10, ge=1)  # `step`: how often the rate falls; `plateau`: how long it waits
    decay_rate: float = Field(default=0.1, gt=0, le=1)
    layer_decay: float = Field(default=1.0, gt=0, le=1)  # share of the rate that each layer has of the one above it
    epochs: int = Field(default=20, ge=1)
    stop_epoch: int = Field(default=0, ge=0)  # end here, the schedule being that of `epochs`; 0: do not
    metric: Metric = "f1"  # what is best on validation, for best.pt, `patience` and `plateau`
    patience: int = Field(default=5, ge=1)  # stop after so many epochs without a better one
    accumulate: int = Field(default=1, ge=1)  # batches to an update
    clip_norm: float = Field(default=0.0, ge=0)  # 0: gradients are not clipped
    ema: Share = 0.0  # decay of a moving average of the weights, which is then judged and kept; 0: none
    precision: Literal["auto", "full", "bf16", "fp16"] = "auto"  # auto: mixed where it is quicker


class TrainSettings(Settings):
    """All of a run."""

    seed: int = Field(default=0, ge=0)
    device: str = "auto"  # auto, cpu, cuda, cuda:1, mps
    threads: int = Field(default=0, ge=0)  # CPU threads of torch; 0: one per core
    tracker: str = "tensorboard"  # beside metrics.csv; train/engine/tracking.py lists them
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    loss: LossSettings = LossSettings()
    optim: OptimSettings = OptimSettings()


def load_train_settings(file: Path | None = None, overrides: Mapping[str, str] | None = None) -> TrainSettings:
    """Read and check the settings. Raises ConfigError with the choices."""
    settings = load_settings(TrainSettings, file, overrides)
    if settings.model.embedding:
        settings = _without_augment(settings)
    check_together(settings)
    return settings


def _without_augment(settings: TrainSettings) -> TrainSettings:
    """An embedding is taken of each picture once, as it is: the run's settings say so. Raises ConfigError if variation
    was asked for."""
    if "augment" in settings.data.model_fields_set and settings.data.augment:
        raise ConfigError(
            f"data.augment varies pictures, but model.embedding={settings.model.embedding} looks at each once, as it "
            f"is. Got {settings.data.augment} instead of {{}}; leave data.augment out, or train a backbone."
        )
    return settings.model_copy(update={"data": settings.data.model_copy(update={"augment": {}})})


def check_together(settings: TrainSettings) -> None:
    """Raise ConfigError for settings that are right one by one but mean nothing together."""
    data, model, optim = settings.data, settings.model, settings.optim
    for wrong, why in (
        (model.embedding and data.mix, "data.mix mixes pictures, but with model.embedding there are only vectors"),
        (model.soft_sharing and model.networks == "shared", "model.soft_sharing needs model.networks=separate"),
        (data.all_rows and data.fold is not None, "data.all_rows leaves no fold to be judged by: set one of the two"),
        (data.all_rows and optim.schedule == "plateau", "optim.schedule=plateau needs a validation score, which a run "
         "with data.all_rows=true does not have"),
    ):  # fmt: skip
        if wrong:
            raise ConfigError(f"{why}.")
