"""Backbones of timm: their creation with or without weights, frozen stages, and the normalisation they expect.

Loading timm takes seconds, and a network on an embedding does not need it: `network.py` imports this module late.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pickle import UnpicklingError
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from timm.data import resolve_model_data_config
from timm.models import group_parameters
from torch import Tensor, nn

from data_manifests.errors import BackendError, ConfigError, must_be_one_of
from train.pretrained_weights import cached_files, hub_is_reachable, missing_weights_message
from train.settings import ModelSettings

# raised by timm, torch and safetensors for weights that are missing, broken or do not fit, and for unknown options
_CREATION_ERRORS = (OSError, RuntimeError, TypeError, SafetensorError, UnpicklingError)


def normalisation(backbone: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the mean and the standard deviation of pictures in [0, 1] that a backbone expects, each (1, 3, 1, 1)."""
    data_config = resolve_model_data_config(backbone)
    mean, std = (torch.tensor(data_config[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    return mean, std


def build_backbone(settings: ModelSettings, outputs: int, size: tuple[int, int], weights: bool) -> nn.Module:
    _check_name(settings.backbone)
    # not every network accepts these two; one that does not raises an error with the name
    rates = {"drop_rate": settings.drop_rate, "drop_path_rate": settings.drop_path_rate}
    options: dict[str, Any] = {name: rate for name, rate in rates.items() if rate}
    pretrained_cfg = timm.get_pretrained_cfg(settings.backbone)
    if pretrained_cfg is not None and pretrained_cfg.fixed_input_size:
        options["img_size"] = size
    if settings.pretrained and weights:
        options |= _weights_from(settings.backbone, pretrained_cfg)
    try:
        return timm.create_model(settings.backbone, num_classes=outputs, **options)
    except _CREATION_ERRORS as error:
        reason = " ".join(str(error).split())
        raise BackendError(f"backbone {settings.backbone!r} cannot be created: {reason}") from None


def freeze(backbone: Any, stages: int | str) -> None:
    """Freeze the first `stages` from the stem on; "backbone" freezes all but the classifier, "none" nothing."""
    if stages == "none":
        return
    classifier = {id(parameter) for parameter in _classifier_parameters(backbone)}
    stage_of = _stages(backbone)
    n_stages = max(stage_of.values())
    if stages != "backbone" and int(stages) > n_stages:
        raise ConfigError(
            f"model.freeze must be 0 to {n_stages} stages of {backbone.__class__.__name__}, none or backbone. "
            f"Got {stages} instead."
        )
    for name, parameter in backbone.named_parameters():
        if id(parameter) not in classifier and (stages == "backbone" or stage_of[name] < int(stages)):
            parameter.requires_grad_(False)


def _stages(backbone: Any) -> dict[str, int]:
    """Return the stage of each parameter by name, 0 for the stem."""
    if hasattr(backbone, "group_matcher"):
        return group_parameters(backbone, backbone.group_matcher(coarse=True), reverse=True)
    stage, found = 0, {}  # MetaFormer and a few others have no group_matcher; their parameters are in layer order
    for name, _ in backbone.named_parameters():
        match = re.match(r"(?:stages|layers|blocks)\.(\d+)", name)
        stage = int(match[1]) + 1 if match else stage
        found[name] = stage
    return found


def _classifier_parameters(backbone: Any) -> Iterator[nn.Parameter]:
    """Yield the parameters of the last layer, or layers: distilled networks have two."""
    classifier = backbone.get_classifier()
    for layer in classifier if isinstance(classifier, tuple) else (classifier,):
        yield from layer.parameters()


def _weights_from(backbone: str, pretrained_cfg: Any) -> dict[str, Any]:
    """Return timm's options that load the weights, from the local cache if there, else from the hub."""
    if pretrained_cfg is None or not (pretrained_cfg.hf_hub_id or pretrained_cfg.url):
        raise BackendError(f"timm has no pretrained weights of {backbone!r}. Set model.pretrained=false.")
    name = str(pretrained_cfg.hf_hub_id or "").removeprefix("timm/")
    cached = cached_files(name) if name else []
    if cached:
        return {"pretrained": True, "pretrained_cfg_overlay": {"file": str(cached[0])}}
    if not hub_is_reachable():
        raise BackendError(missing_weights_message(backbone))
    return {"pretrained": True}


def _check_name(backbone: str) -> None:
    if timm.is_model(backbone):
        return
    close = difflib.get_close_matches(backbone, timm.list_models(), 5, 0.4)
    raise ConfigError(
        must_be_one_of("model.backbone", [*close, f"… ({len(timm.list_models())} names: timm.list_models())"], backbone)
    )
