"""Attention maps of a network: Grad-CAM++ and Smooth Grad-CAM++ of a class.

Grad-CAM++ is the class GradCAMPlusPlus of the grad-cam library, pytorch_grad_cam (Chattopadhay et al. 2018, arXiv
1710.11063). The library has no Smooth Grad-CAM++ (its `aug_smooth` averages over flips and brightness), so
SmoothGradCAMPlusPlus below overrides the weights of GradCAMPlusPlus as defined by Omeiza et al. 2019 (arXiv
1908.01224): the powers of the gradients are averaged over copies of the picture with normal noise.

The maps explain the log-odds of the class, log p − log(1 − p): all heads have it, and its gradient does not vanish at
high confidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from pytorch_grad_cam import GradCAMPlusPlus
from torch import Tensor, nn

from data_manifests.errors import BackendError, ConfigError
from train.models import Head, Network, Trained, log_probability

MIN_CELLS = 7  # on the shorter side of the map: the last stage of most networks has 7 for 224 px
NOISE = (
    0.15  # standard deviation over the range of a picture; Smilkov et al. 2017 (SmoothGrad) find 0.1 to 0.2 clearest
)
COPIES = 8


class SmoothGradCAMPlusPlus(GradCAMPlusPlus):
    """Smooth Grad-CAM++ of a batch of one picture and its noisy copies, with one set of weights for all."""

    def get_cam_weights(
        self, input_tensor: Tensor, target_layers: Any, target_category: Any, activations: np.ndarray, grads: np.ndarray
    ) -> np.ndarray:
        first, second, third = (np.mean(grads**power, axis=0) for power in (1, 2, 3))  # (C, h, w) each
        total = activations.mean(0).sum((1, 2))[:, None, None]
        alpha = second / (2 * second + total * third + 1e-6)
        weights = (np.maximum(first, 0) * np.where(first != 0, alpha, 0)).sum((1, 2))  # (C,)
        return np.repeat(weights[None], len(grads), axis=0)


class LogOdds:
    """The log-odds of a class from outputs (n,) of one picture, as a target of pytorch_grad_cam."""

    def __init__(self, head: Head, class_id: int) -> None:
        self.head, self.class_id = head, class_id

    def __call__(self, outputs: Tensor) -> Tensor:
        log_p = log_probability(outputs[None], self.head)[0]
        others = torch.cat([log_p[: self.class_id], log_p[self.class_id + 1 :]])
        return log_p[self.class_id] - others.logsumexp(0)


class AttentionMaps:
    """Attention maps of a network on pictures. Raises ConfigError for a network on vectors of an embedding."""

    def __init__(self, trained: Trained) -> None:
        if trained.settings.model.embedding:
            raise ConfigError(
                f"attention maps need pictures, but this network takes vectors of the embedding "
                f"{trained.settings.model.embedding!r}. Train a network with model.embedding=''."
            )
        self.model: Network = trained.model.eval()
        size = trained.settings.data.size
        layers = [target_layer(backbone, size) for backbone in self.model.backbones]
        as_map = reshape_transform(self.model.backbones[0])
        self.plain = GradCAMPlusPlus(self.model, layers, reshape_transform=as_map)
        self.smooth = SmoothGradCAMPlusPlus(self.model, layers, reshape_transform=as_map)

    def maps(self, image: Tensor, class_id: Sequence[int]) -> np.ndarray:
        """Return Grad-CAM++, float32 (B, H, W) in [0, 1], of one class per picture (B, 3, H, W) in [0, 1]."""
        return self._run(self.plain, image, class_id)

    def smooth_map(self, image: Tensor, class_id: int, rng: np.random.Generator, copies: int = COPIES) -> np.ndarray:
        """Return Smooth Grad-CAM++, float32 (H, W) in [0, 1], of one picture (3, H, W) in [0, 1]."""
        noise = torch.from_numpy(rng.normal(0, NOISE, (copies, *image.shape)).astype(np.float32)).to(image.device)
        batch = torch.cat([image[None], image + noise])
        return self._run(self.smooth, batch, [class_id] * len(batch))[0]

    def _run(self, cam: GradCAMPlusPlus, image: Tensor, class_id: Sequence[int]) -> np.ndarray:
        # the picture requires gradients, so that they reach the layer through a frozen backbone too
        image = image.to(next(self.model.parameters()).device).requires_grad_(True)
        with torch.enable_grad():
            maps = cam(image, [LogOdds(self.model.head, index) for index in class_id])
        self.model.zero_grad(set_to_none=True)
        return np.nan_to_num(maps)  # a map of zero weights is 0/0 in the library


def target_layer(backbone: Any, size: tuple[int, int]) -> nn.Module:
    """Return the deepest stage of a timm network whose map has MIN_CELLS, or a transformer's last block's first norm.

    After the last attention layer, tokens other than the class token no longer affect the output. Raises BackendError
    for a network without stages.
    """
    if getattr(backbone, "num_prefix_tokens", 0):
        return backbone.blocks[-1].norm1
    stages = list(getattr(backbone, "feature_info", []))
    if not stages:
        raise BackendError(
            f"{type(backbone).__name__} lists no stages (feature_info), so it has no layer for attention maps."
        )
    fine = [stage for stage in stages if min(size) / stage["reduction"] >= MIN_CELLS]
    return backbone.get_submodule((fine or stages[:1])[-1]["module"])


def reshape_transform(backbone: Any) -> Callable[[Tensor], Tensor]:
    """Return a function that reshapes a layer's output to (B, C, h, w), from tokens or from channels last."""

    def as_map(output: Tensor) -> Tensor:
        if output.dim() == 3:
            grid = backbone.patch_embed.grid_size
            patches = output[:, getattr(backbone, "num_prefix_tokens", 0) :]
            return patches.transpose(1, 2).unflatten(2, grid)
        return output.permute(0, 3, 1, 2) if getattr(backbone, "output_fmt", "NCHW") == "NHWC" else output

    return as_map


def attention_shares(maps: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Return the share of attention on each region (N, R), from maps (N, H, W) and regions uint8 (N, H, W, R).

    NaN for an empty map.
    """
    inside = np.einsum("nhw,nhwr->nr", maps, regions.astype(np.float32) / 255)
    total = maps.sum((1, 2), keepdims=True)[:, 0]
    with np.errstate(invalid="ignore"):
        return np.where(total > 0, inside / total, np.nan)
