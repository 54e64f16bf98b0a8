"""The network: timm backbones with the outputs of a head."""

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
from train.pretrained_weights import cached_files, hub_is_reachable, missing_weights_message
from train.settings import ModelSettings

_END_TO_END = "data.augment.flip=0.5 to train on pictures instead"
# raised by timm, torch and safetensors for weights that are missing, broken or do not fit, and for unknown options
_CREATION_ERRORS = (OSError, RuntimeError, TypeError, SafetensorError, UnpicklingError)


class Network(nn.Module):
    """A network from pictures (B, 3, H, W) in [0, 1] or vectors (B, D) to outputs (B, n), interpreted by `head`.

    Vectors are those of an embedding, or the result of `features`. `backbones` holds one network for all parts of the
    head, or one for each part in order. Pictures are normalised here, so that a checkpoint holds the mean and standard
    deviation that the backbone expects.
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
        data_config = resolve_model_data_config(backbones[0])
        self.register_buffer("mean", torch.tensor(data_config["mean"]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(data_config["std"]).view(1, 3, 1, 1))
        for backbone in backbones:
            freeze(backbone, settings.freeze)

    def forward(self, image: Tensor) -> Tensor:
        if image.dim() == 2 and not self.settings.embedding:
            dropped = functional.dropout(image, self.settings.drop_rate, self.training)  # as in timm, before the head
            return self.classifier(dropped)
        image = (image - self.mean) / self.std
        return torch.cat([backbone(image) for backbone in self.backbones], dim=1)

    @property
    def classifier(self) -> nn.Module:
        """The last layer of a shared backbone. Raises BackendError for a backbone with several last layers."""
        classifier = _backbone_of(self).get_classifier()
        if not isinstance(classifier, nn.Module):
            raise BackendError(f"backbone {self.settings.backbone!r} has no single last layer. Set {_END_TO_END}.")
        return classifier

    @torch.no_grad()
    def shift_biases(self, shift: Tensor) -> None:
        """Add `shift` (n,) to the biases of the last layers, in output order; skip layers without biases."""
        sizes = [part.size for part in self.head.values()]
        for backbone in self.backbones:
            untyped: Any = backbone
            layer = untyped[-1] if self.settings.embedding else untyped.get_classifier()
            outputs = n_outputs(self.head) if len(self.backbones) == 1 else sizes.pop(0)
            if isinstance(layer, nn.Linear) and layer.bias is not None:
                layer.bias.add_(shift[:outputs].to(layer.bias.device))
            shift = shift[outputs:]

    def features(self, image: Tensor) -> Tensor:
        """Return the input of the last layer (B, D) for pictures (B, 3, H, W) in [0, 1].

        Raises BackendError for a backbone whose outputs are not its last layer applied to these features.
        """
        backbone, image = _backbone_of(self), (image - self.mean) / self.std
        vectors = backbone.forward_head(backbone.forward_features(image), pre_logits=True)
        one = slice(1)  # one picture is enough to check that the last layer gives the outputs
        if vectors.dim() != 2 or not torch.allclose(self.classifier(vectors[one]), backbone(image[one]), 1e-3, 1e-3):
            raise BackendError(
                f"the features of backbone {self.settings.backbone!r} cannot be separated from its head. "
                f"Set {_END_TO_END}."
            )
        return vectors

    def frozen_sha256(self) -> str:
        """Return a hash of all weights except those of the last layer."""
        last = {id(value) for value in self.classifier.state_dict(keep_vars=True).values()}
        digest = hashlib.sha256(self.settings.backbone.encode())
        for name, value in sorted(self.state_dict(keep_vars=True).items()):
            if id(value) not in last:
                digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def train(self, mode: bool = True) -> Network:
        """Set training mode, except for modules that are wholly frozen: their running statistics stay as they are."""
        super().train(mode)
        for module in self.modules():
            parameters = list(module.parameters())
            if mode and parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()
        return self

    def sharing_penalty(self) -> Tensor:
        """Return the mean squared distance of corresponding weights from their mean, times `soft_sharing` (scalar)."""
        if not self.settings.soft_sharing or len(self.backbones) == 1:
            return torch.zeros((), device=next(self.parameters()).device)
        corresponding = zip(*(backbone.parameters() for backbone in self.backbones), strict=True)
        stacks = [torch.stack(weights) for weights in corresponding if len({weight.shape for weight in weights}) == 1]
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
    """Build the network for pictures of `size`, or for vectors (B, n_features) of an embedding.

    `cuts` default to 30,60. Pass `weights=False` to skip pretrained weights when a checkpoint is loaded afterwards.
    Raises ConfigError for an unknown name, BackendError when weights cannot be loaded.
    """
    head = head_of(settings, cuts or AgeCuts())
    sizes = [n_outputs(head)] if settings.networks == "shared" else [part.size for part in head.values()]
    if settings.embedding:
        backbones = [_on_vectors(settings, n_features, outputs) for outputs in sizes]
        return Network(backbones, head, settings, n_features)
    return Network([_build_backbone(settings, outputs, size, weights) for outputs in sizes], head, settings)


def _on_vectors(settings: ModelSettings, n_features: int, outputs: int) -> nn.Module:
    """Return layers from vectors (B, n_features) to (B, outputs): standardise, then linear or with one hidden layer."""
    dropout, width = nn.Dropout(settings.drop_rate), settings.hidden or n_features
    hidden = [nn.Linear(n_features, width), nn.GELU(), nn.Dropout(settings.drop_rate)] if settings.hidden else []
    return nn.Sequential(nn.BatchNorm1d(n_features, affine=False), dropout, *hidden, nn.Linear(width, outputs))


def _build_backbone(settings: ModelSettings, outputs: int, size: tuple[int, int], weights: bool) -> nn.Module:
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


def _backbone_of(network: Network) -> Any:
    """Return the only backbone, untyped: torch's types lack timm's methods."""
    return network.backbones[0]


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


def choose_device(name: str) -> torch.device:
    """Return a torch device; `auto` is CUDA, else MPS, else the CPU. Raises ConfigError for a missing device."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    found = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    found += ["mps"] if torch.backends.mps.is_available() else []
    if name not in (*found, *(["cuda"] if len(found) > 1 and "cuda:0" in found else [])):
        raise ConfigError(must_be_one_of("device on this machine", ["auto", *found], name))
    return torch.device(name)
