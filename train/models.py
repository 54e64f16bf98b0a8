"""The network: timm backbones with the outputs that a head asks for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pickle import UnpicklingError
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from timm.data import resolve_model_data_config
from timm.models import group_parameters
from torch import Tensor, nn

from data_manifests.errors import BackendError, ConfigError, must_be_one_of
from train.config import ModelSettings
from train.heads import Part, head_of, n_outputs
from train.pretrained import cached_files, hub_is_reachable, no_weights

# what timm, torch and safetensors raise for weights that are absent, broken or do not fit, and for unknown options
_CANNOT_BE_MADE = (OSError, RuntimeError, TypeError, SafetensorError, UnpicklingError)


class Network(nn.Module):
    """Pictures (B, 3, H, W) in [0, 1], or vectors (B, D) → outputs (B, n), which `head` gives their meaning.

    `backbones` holds one network for all parts of the head, or one for each part in its order. Pictures are brought
    to the mean and deviation that the backbone expects here, so that a checkpoint carries them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbones: Sequence[nn.Module], head: Mapping[str, Part], settings: ModelSettings) -> None:
        super().__init__()
        self.backbones, self.head, self.settings = nn.ModuleList(backbones), head, settings
        if settings.embedding:
            self.register_buffer("mean", torch.zeros(1))
            self.register_buffer("std", torch.ones(1))
            return
        about = resolve_model_data_config(backbones[0])
        self.register_buffer("mean", torch.tensor(about["mean"]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(about["std"]).view(1, 3, 1, 1))
        for backbone in backbones:
            _freeze(backbone, settings.freeze)

    def forward(self, image: Tensor) -> Tensor:
        image = (image - self.mean) / self.std
        return torch.cat([backbone(image) for backbone in self.backbones], dim=1)

    def train(self, mode: bool = True) -> Network:
        """A module without a single trained parameter keeps to evaluation: its running means are frozen as well."""
        super().train(mode)
        for module in self.modules():
            parameters = list(module.parameters())
            if mode and parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()
        return self

    def sharing_penalty(self) -> Tensor:
        """Soft sharing: the mean squared distance of the separate networks' like weights from their mean (scalar)."""
        if not self.settings.soft_sharing or len(self.backbones) == 1:
            return torch.zeros((), device=next(self.parameters()).device)
        like = zip(*(backbone.parameters() for backbone in self.backbones), strict=True)
        stacks = [torch.stack(weights) for weights in like if len({weight.shape for weight in weights}) == 1]
        squares = torch.stack([(stack - stack.mean(0)).square().sum() for stack in stacks]).sum()
        return self.settings.soft_sharing * squares / len(self.backbones)


def build_model(
    settings: ModelSettings, size: tuple[int, int], *, weights: bool = True, n_features: int = 0
) -> Network:
    """The network for pictures of a size, or for vectors (B, n_features) of an embedding.

    With `weights=False` pretrained weights are not loaded, because a checkpoint follows. Raises ConfigError for an
    unknown name, BackendError when weights cannot be had.
    """
    head = head_of(settings.head)
    sizes = [n_outputs(head)] if settings.networks == "shared" else [part.size for part in head.values()]
    if settings.embedding:
        return Network([_on_vectors(settings, n_features, outputs) for outputs in sizes], head, settings)
    return Network([_build_backbone(settings, outputs, size, weights) for outputs in sizes], head, settings)


def _on_vectors(settings: ModelSettings, n_features: int, outputs: int) -> nn.Module:
    """Vectors (B, n_features) → (B, outputs): standardised, then linear, or with one hidden layer."""
    dropout, width = nn.Dropout(settings.drop_rate), settings.hidden or n_features
    hidden = [nn.Linear(n_features, width), nn.GELU(), nn.Dropout(settings.drop_rate)] if settings.hidden else []
    return nn.Sequential(nn.BatchNorm1d(n_features, affine=False), dropout, *hidden, nn.Linear(width, outputs))


def _build_backbone(settings: ModelSettings, outputs: int, size: tuple[int, int], weights: bool) -> nn.Module:
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
        return timm.create_model(settings.backbone, num_classes=outputs, **options)
    except _CANNOT_BE_MADE as error:
        raise BackendError(f"backbone {settings.backbone!r} cannot be made: {' '.join(str(error).split())}") from None


def _freeze(backbone: Any, how: int | str) -> None:
    """Switch off the training of the first stages, the stem being the first, or of all but the classifier."""
    if how == "none":
        return
    classifier = {id(parameter) for parameter in backbone.get_classifier().parameters()}
    stage_of = group_parameters(backbone, backbone.group_matcher(coarse=True), reverse=True)
    for name, parameter in backbone.named_parameters():
        if id(parameter) not in classifier and (how == "backbone" or stage_of[name] < int(how)):
            parameter.requires_grad_(False)


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
