"""The network: timm backbones with the outputs of a head."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from data_manifests.errors import BackendError, ConfigError, must_be_one_of
from data_manifests.taxonomy import AgeCuts
from train.models.heads import Head, head_of, n_outputs
from train.settings import ModelSettings

_END_TO_END = "data.augment.flip=0.5 to train on pictures instead"


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
        from train.models.backbones import freeze, normalisation

        mean, std = normalisation(backbones[0])
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
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
    from train.models.backbones import build_backbone

    return Network([build_backbone(settings, outputs, size, weights) for outputs in sizes], head, settings)


def _on_vectors(settings: ModelSettings, n_features: int, outputs: int) -> nn.Module:
    """Return layers from vectors (B, n_features) to (B, outputs): standardise, then linear or with one hidden layer."""
    dropout, width = nn.Dropout(settings.drop_rate), settings.hidden or n_features
    hidden = [nn.Linear(n_features, width), nn.GELU(), nn.Dropout(settings.drop_rate)] if settings.hidden else []
    return nn.Sequential(nn.BatchNorm1d(n_features, affine=False), dropout, *hidden, nn.Linear(width, outputs))


def _backbone_of(network: Network) -> Any:
    """Return the only backbone, untyped: torch's types lack timm's methods."""
    return network.backbones[0]


def choose_device(name: str) -> torch.device:
    """Return a torch device; `auto` is CUDA, else MPS, else the CPU. Raises ConfigError for a missing device."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    found = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    found += ["mps"] if torch.backends.mps.is_available() else []
    if name not in (*found, *(["cuda"] if len(found) > 1 and "cuda:0" in found else [])):
        raise ConfigError(must_be_one_of("device on this machine", ["auto", *found], name))
    return torch.device(name)
