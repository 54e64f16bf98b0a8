"""Checkpoints: tensors and plain values only, so that they load with `weights_only=True` and run no code.

A checkpoint is enough to predict: its settings hold the preparation of pictures (`data.size`, `data.prepare`) and their
augmentation (`data.augment`, `data.mix`), the network's buffers the mean and standard deviation.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from data_manifests.errors import BackendError, ManifestError
from data_manifests.taxonomy import AgeCuts, class_names
from pipeline.runs import Run
from train.head_parts import tasks_of_head
from train.models.network import Network, build_model
from train.settings import TrainSettings

_NEEDED = ("settings", "age_cuts", "n_features", "model", "classes", "epoch", "scores")
KIND = "face-curation-toolkit checkpoint 1"


@dataclass(frozen=True)
class Trained:
    """A trained network with its settings, age cuts, epoch and validation scores."""

    model: Network
    settings: TrainSettings
    cuts: AgeCuts
    epoch: int
    scores: dict[str, float | None]

    @property
    def n_features(self) -> int:
        """Width of the input vectors of a network on an embedding; 0 for a network on pictures."""
        return self.model.n_features

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that the network predicts, in the order of TASKS; its other labels get equal probabilities."""
        return tasks_of_head(self.settings.model.head)

    def check_taxonomy(self, cuts: AgeCuts, ref: str) -> None:
        """Check that a manifest has the network's classes. Raises ManifestError otherwise."""
        if class_names(cuts) != class_names(self.cuts):
            raise ManifestError(
                f"the checkpoint has the age classes {', '.join(self.cuts.names)}, but {ref} has "
                f"{', '.join(cuts.names)}. Train on {ref}, or ingest it with the age cuts "
                f"{self.cuts.middle},{self.cuts.old}."
            )


def save_checkpoint(run: Run, name: str, trained: Trained, **more: Any) -> None:
    """Write a checkpoint into a run, with `more` tensors and plain values. Raises StageError when the disk is full."""
    buffer = io.BytesIO()
    values = {
        "kind": KIND,
        "model": trained.model.state_dict(),
        "classes": class_names(trained.cuts),
        "age_cuts": [trained.cuts.middle, trained.cuts.old],
        "settings": trained.settings.model_dump(mode="json"),
        "n_features": trained.n_features,
        "epoch": trained.epoch,
        "scores": trained.scores,
    }
    torch.save(values | more, buffer)
    run.write(name, buffer.getvalue())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read the values of a checkpoint, on the CPU. Raises BackendError if it is missing, broken or foreign."""
    if not path.is_file():
        raise BackendError(f"checkpoint {path} does not exist. Make one with: facecurate train fit REF")
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises exceptions of many types for a broken file
        text = " ".join(str(error).split())[:160]
        raise BackendError(f"checkpoint {path} is broken ({type(error).__name__}: {text}). Train again.") from None
    if not isinstance(values, dict) or values.get("kind") != KIND:
        raise BackendError(f"{path} is not a checkpoint of this toolkit ({KIND!r}).")
    return values


def load_trained(path: Path, device: torch.device) -> Trained:
    """Load the network of a checkpoint, in evaluation mode. Raises BackendError if it is broken."""
    values = read_checkpoint(path)
    if missing := [name for name in _NEEDED if name not in values]:
        raise BackendError(f"checkpoint {path} has no {missing[0]!r}. Train again.")
    try:
        settings = TrainSettings.model_validate(values["settings"])
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise BackendError(f"checkpoint {path} is of another version: unknown setting {key}. Train again.") from None
    try:
        cuts = AgeCuts(*values["age_cuts"])
    except (ManifestError, TypeError) as error:
        raise BackendError(f"checkpoint {path} has no usable age cuts: {error} Train again.") from None
    model = build_model(settings.model, settings.data.size, cuts, weights=False, n_features=values["n_features"])
    try:
        model.load_state_dict(values["model"])
    except (RuntimeError, TypeError, AttributeError) as error:  # the last two: its weights are no dictionary
        text = " ".join(str(error).split())[:160]
        raise BackendError(f"checkpoint {path} does not fit {settings.model.backbone}: {text}. Train again.") from None
    if class_names(cuts) != values["classes"]:
        raise BackendError(
            f"checkpoint {path} has other classes than this toolkit: {values['classes'][:3]} …. Train again."
        )
    return Trained(model.to(device).eval(), settings, cuts, values["epoch"], values["scores"])
