"""The network: a timm backbone with a head of 18 outputs."""

from __future__ import annotations

import difflib
from pickle import UnpicklingError
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from timm.data import resolve_model_data_config

from data_manifests.errors import BackendError, ConfigError, must_be_one_of
from train.config import ModelSettings
from train.data import Normalise
from train.pretrained import cached_files, hub_is_reachable, no_weights

# what timm, torch and safetensors raise for weights that are absent, broken or do not fit, and for unknown options
_CANNOT_BE_MADE = (OSError, RuntimeError, TypeError, SafetensorError, UnpicklingError)


def build_model(
    settings: ModelSettings, n_outputs: int, size: tuple[int, int], *, weights: bool = True
) -> tuple[torch.nn.Module, Normalise]:
    """The network (B, 3, H, W) → logits (B, n_outputs), and the normalisation that it expects.

    With `weights=False` pretrained weights are not loaded, because a checkpoint follows. Raises ConfigError for an
    unknown name, BackendError when weights cannot be had.
    """
    _check_name(settings.backbone)
    # not every network knows these two; one that does not refuses them by name
    rates = {"drop_rate": settings.drop_rate, "drop_path_rate": settings.drop_path_rate}
    options: dict[str, Any] = {name: rate for name, rate in rates.items() if rate}
    pretrained_cfg = timm.get_pretrained_cfg(settings.backbone)
    if pretrained_cfg is not None and pretrained_cfg.fixed_input_size:
        options["img_size"] = size
    if settings.pretrained and weights:
        options |= _weights_from(settings.backbone, pretrained_cfg)
    try:
        model = timm.create_model(settings.backbone, num_classes=n_outputs, **options)
    except _CANNOT_BE_MADE as error:
        raise BackendError(f"backbone {settings.backbone!r} cannot be made: {' '.join(str(error).split())}") from None
    about = resolve_model_data_config(model)
    return model, Normalise(tuple(about["mean"]), tuple(about["std"]))


def _weights_from(backbone: str, pretrained_cfg: Any) -> dict[str, Any]:
    """timm's options that load the weights: from this machine without asking the hub, or from the hub."""
    if pretrained_cfg is None or not (pretrained_cfg.hf_hub_id or pretrained_cfg.url):
        raise BackendError(f"timm has no pretrained weights of {backbone!r}. Set model.pretrained=false.")
    name = str(pretrained_cfg.hf_hub_id or "").removeprefix("timm/")
    cached = cached_files(name) if name else []
    if cached:
        return {"pretrained": True, "pretrained_cfg_overlay": {"file": str(cached[0])}}
    if not hub_is_reachable():
        raise BackendError(no_weights(backbone))
    return {"pretrained": True}


def _check_name(backbone: str) -> None:
    if timm.is_model(backbone):
        return
    close = difflib.get_close_matches(backbone, timm.list_models(), 5, 0.4)
    raise ConfigError(
        must_be_one_of("model.backbone", [*close, f"… ({len(timm.list_models())} names: timm.list_models())"], backbone)
    )


def choose_device(name: str) -> torch.device:
    """`auto` takes CUDA, then MPS, then the CPU. Raises ConfigError for a device that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    found = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    found += ["mps"] if torch.backends.mps.is_available() else []
    if name not in (*found, *(["cuda"] if len(found) > 1 and "cuda:0" in found else [])):
        raise ConfigError(must_be_one_of("device on this machine", ["auto", *found], name))
    return torch.device(name)
