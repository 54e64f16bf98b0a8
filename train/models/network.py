"""The network: timm backbones with the outputs that a head asks for."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterator, Sequence
from pickle import UnpicklingError
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from timm.data import resolve_model_data_config
from timm.models import group_parameters
from torch import Tensor, nn
from torch.nn import functional

from data_manifests.errors import BackendError, ConfigError, must_be_one_of
from data_manifests.taxonomy import AgeCuts
from train.models.heads import Head, head_of, n_outputs
from train.models.pretrained import cached_files, hub_is_reachable, no_weights
from train.settings import ModelSettings

_END_TO_END = "data.augment.flip=0.5, with which it is trained on pictures"
# what timm, torch and safetensors raise for weights that are absent, broken or do not fit, and for unknown options
_CANNOT_BE_MADE = (OSError, RuntimeError, TypeError, SafetensorError, UnpicklingError)


class Network(nn.Module):
    """Pictures (B, 3, H, W) in [0, 1], or vectors (B, D) → outputs (B, n), which `head` gives their meaning.

    Vectors are those of an embedding, or what `features` said of pictures.

    `backbones` holds one network for all parts of the head, or one for each part in its order. Pictures are brought
    to the mean and deviation that the backbone expects here, so that a checkpoint carries them.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, backbones: Sequence[nn.Module], head: Head, settings: ModelSettings, n_features: int = 0
    ) -> None:
        super().__init__()
        self.backbones, self.head, self.settings = nn.ModuleList(backbones), head, settings
        self.n_features = n_features
        if settings.embedding:
            self.register_buffer("mean", torch.zeros(1))
            self.register_buffer("std", torch.ones(1))
            return
        about = resolve_model_data_config(backbones[0])
        self.register_buffer("mean", torch.tensor(about["mean"]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(about["std"]).view(1, 3, 1, 1))
        for backbone in backbones:
            freeze(backbone, settings.freeze)

    def forward(self, image: Tensor) -> Tensor:
        if image.dim() == 2 and not self.settings.embedding:
            dropped = functional.dropout(image, self.settings.drop_rate, self.training)  # as timm does before its head
            return self.classifier(dropped)
        image = (image - self.mean) / self.std
        return torch.cat([backbone(image) for backbone in self.backbones], dim=1)

    @property
    def classifier(self) -> nn.Module:
        """The last layer of a shared backbone. Raises BackendError for a backbone with several."""
        classifier = _backbone_of(self).get_classifier()
        if not isinstance(classifier, nn.Module):
            raise BackendError(f"backbone {self.settings.backbone!r} has no single last layer. Set {_END_TO_END}.")
        return classifier

    @torch.no_grad()
    def shift_biases(self, shift: Tensor) -> None:
        """Add to the biases of the last layers (n,), in the order of the outputs; a layer without biases stays."""
        sizes = [part.size for part in self.head.values()]
        for backbone in self.backbones:
            timm_or_layers: Any = backbone
            layer = timm_or_layers[-1] if self.settings.embedding else timm_or_layers.get_classifier()
            outputs = n_outputs(self.head) if len(self.backbones) == 1 else sizes.pop(0)
            if isinstance(layer, nn.Linear) and layer.bias is not None:
                layer.bias.add_(shift[:outputs].to(layer.bias.device))
            shift = shift[outputs:]

    def features(self, image: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [0, 1] → what the last layer sees of them (B, D).

        Raises BackendError for a backbone that does more with it than its last layer shows.
        """
        backbone, image = _backbone_of(self), (image - self.mean) / self.std
        vectors = backbone.forward_head(backbone.forward_features(image), pre_logits=True)
        one = slice(1)  # a single picture tells whether the parts make up the whole
        if vectors.dim() != 2 or not torch.allclose(self.classifier(vectors[one]), backbone(image[one]), 1e-3, 1e-3):
            raise BackendError(
                f"the features of backbone {self.settings.backbone!r} cannot be taken apart from its head. "
                f"Set {_END_TO_END}."
            )
        return vectors

    def frozen_sha256(self) -> str:
        """A hash of all weights but those of the last layer."""
        last = {id(value) for value in self.classifier.state_dict(keep_vars=True).values()}
        digest = hashlib.sha256(self.settings.backbone.encode())
        for name, value in sorted(self.state_dict(keep_vars=True).items()):
            if id(value) not in last:
                digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

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
    settings: ModelSettings,
    size: tuple[int, int],
    cuts: AgeCuts | None = None,
    *,
    weights: bool = True,
    n_features: int = 0,
) -> Network:
    """The network for pictures of a size, or for vectors (B, n_features) of an embedding; `cuts` default to 30,60.

    With `weights=False` pretrained weights are not loaded, because a checkpoint follows. Raises ConfigError for an
    unknown name, BackendError when weights cannot be had.
    """
    head = head_of(settings, cuts or AgeCuts())
    sizes = [n_outputs(head)] if settings.networks == "shared" else [part.size for part in head.values()]
    if settings.embedding:
        backbones = [_on_vectors(settings, n_features, outputs) for outputs in sizes]
        return Network(backbones, head, settings, n_features)
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


def freeze(backbone: Any, how: int | str) -> None:
    """Switch off the training of the first stages, the stem being the first, or of all but the classifier."""
    if how == "none":
        return
    classifier = {id(parameter) for parameter in _classifier_parameters(backbone)}
    stage_of = _stages(backbone)
    n_stages = max(stage_of.values())
    if how != "backbone" and int(how) > n_stages:
        raise ConfigError(f"model.freeze must be within 0 and {n_stages} stages, none or backbone. Got {how} instead.")
    for name, parameter in backbone.named_parameters():
        if id(parameter) not in classifier and (how == "backbone" or stage_of[name] < int(how)):
            parameter.requires_grad_(False)


def _stages(backbone: Any) -> dict[str, int]:
    """The stage of each parameter by name, the stem's being 0."""
    if hasattr(backbone, "group_matcher"):
        return group_parameters(backbone, backbone.group_matcher(coarse=True), reverse=True)
    stage, found = 0, {}  # MetaFormer and a few others do not say; their parameters come in the order of the layers
    for name, _ in backbone.named_parameters():
        match = re.match(r"(?:stages|layers|blocks)\.(\d+)", name)
        stage = int(match[1]) + 1 if match else stage
        found[name] = stage
    return found


def _classifier_parameters(backbone: Any) -> Iterator[nn.Parameter]:
    """Of the last layer, or of the last layers: networks that were distilled have two."""
    classifier = backbone.get_classifier()
    for layer in classifier if isinstance(classifier, tuple) else (classifier,):
        yield from layer.parameters()


def _backbone_of(network: Network) -> Any:
    """The one timm network of a shared head, whose methods torch's types do not know."""
    return network.backbones[0]


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
