"""The start of a network: pretrained weights of its backbone, or a head on the packaged face embedding.

With `model.pretrained=auto`, the weights are taken if they are on this machine or the hub can be reached, and the head
otherwise: it needs nothing but the packages. This module imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from data_manifests.errors import BackendError
from train.pretrained_weights import (
    cached_files,
    how_to_get,
    hub_host,
    hub_is_reachable,
    missing_weights_message,
    require_weights,
)
from train.settings import ModelSettings, TrainSettings, load_train_settings

Echo = Callable[[str], None]

# the settings of configs/train/embedding.yaml, which is not part of the installed package
EMBEDDING: Mapping[str, str] = {
    "model.embedding": "dlib", "model.drop_rate": "0.5", "data.batch_size": "64", "loss.label_smoothing": "0.05",
    "optim.lr": "0.003", "optim.weight_decay": "0.1", "optim.epochs": "30", "optim.patience": "30",
}  # fmt: skip
_OF_PICTURES = ("model.backbone", "model.freeze", "model.drop_path_rate", "data.size", "data.prepare", "data.augment",
                "data.mix")  # fmt: skip


def choose_start(config: Path | None, overrides: Mapping[str, str], echo: Echo) -> TrainSettings:
    """Return the settings of a file and `key=value` overrides without `auto` in `model.pretrained`; report the choice.

    A head on the embedding replaces the settings of the file, which are those of a backbone, and keeps the overrides.
    Raises ConfigError for invalid settings, BackendError if weights are missing and the settings allow no embedding.
    """
    settings = load_train_settings(config, overrides)
    model = settings.model
    if model.embedding or model.pretrained is False:
        return _with(settings, {"pretrained": False})
    if model.pretrained is True:
        require_weights(model.backbone)
        return settings
    cached = cached_files(model.backbone)
    if cached:
        echo(
            f"start: {model.backbone} with the pretrained weights in {cached[0]} (another start: model.embedding=dlib)"
        )
    elif hub_is_reachable():
        echo(f"start: {model.backbone}, pretrained: {how_to_get(model.backbone)}; timm downloads it once "
             "(without a download: model.embedding=dlib)")  # fmt: skip
    elif not _allows_embedding(model, overrides):
        raise BackendError(missing_weights_message(model.backbone))
    else:
        echo(f"start: a head on the packaged face embedding (model.embedding=dlib), because {hub_host()} cannot be "
             f"reached and no weights of {model.backbone} are on this machine")  # fmt: skip
        echo(f"  to start from a pretrained network: {how_to_get(model.backbone)}; then set model.pretrained=true. "
             "From scratch: model.pretrained=false")  # fmt: skip
        return load_train_settings(None, {**EMBEDDING, **overrides, "model.pretrained": "false"})
    return _with(settings, {"pretrained": True})


def _allows_embedding(model: ModelSettings, overrides: Mapping[str, str]) -> bool:
    """Return whether no setting asks for a network on pictures; a file that names a backbone must say `auto`."""
    is_open = "backbone" not in model.model_fields_set or "pretrained" in model.model_fields_set
    return is_open and model.freeze == "none" and not any(key.startswith(_OF_PICTURES) for key in overrides)


def _with(settings: TrainSettings, values: Mapping[str, object]) -> TrainSettings:
    return settings.model_copy(update={"model": settings.model.model_copy(update=values)})
