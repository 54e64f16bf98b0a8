"""dlib's face network of 29 layers in torch.

dlib's weights file holds the tensors in order of the layers: 29 convolutions, each with its affine, and a last matrix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from data_manifests.errors import BackendError

STRIDES = (1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 2, 1, 1, 2)  # of its 14 residual blocks
_TENSORS = re.compile(rb"\x01\x05con_4|\x01\x07affine_|\x01\x04fc_2")

Weight = tuple[torch.Tensor, torch.Tensor]  # kernel and bias of a convolution with its affine folded in


def blocks(pixels: torch.Tensor, convolutions: list[Weight]) -> Iterator[torch.Tensor]:
    """Yield the output of each residual block. Strided blocks have no padding; smaller maps are padded with zeros."""
    first, *others = convolutions
    x = F.max_pool2d(F.relu(F.conv2d(pixels, *first, stride=2)), 3, 2)
    for stride, inner, outer in zip(STRIDES, others[::2], others[1::2], strict=True):
        y = F.relu(F.conv2d(x, *inner, stride=stride, padding=0 if stride == 2 else 1))
        y = F.conv2d(y, *outer, padding=1)
        if stride == 2:
            x = F.avg_pool2d(x, 2, 2)
        shape = [max(sizes) for sizes in zip(x.shape, y.shape, strict=True)]
        x = F.relu(_pad_to(x, shape) + _pad_to(y, shape))
        yield x


def _pad_to(x: torch.Tensor, shape: list[int]) -> torch.Tensor:
    """Return maps (N, C, H, W) padded with zeros to a shape (C, H, W) below N."""
    channels, height, width = (wanted - has for wanted, has in zip(shape[1:], x.shape[1:], strict=True))
    return F.pad(x, (0, width, 0, height, 0, channels))


def read_weights(path: Path) -> tuple[list[Weight], torch.Tensor]:
    """Return the 29 convolutions of dlib's file with their affines folded in, and the last matrix (256, 128)."""
    data = path.read_bytes()
    tensors = [_tensor(data, match) for match in _TENSORS.finditer(data)]
    *pairs, last = tensors
    if len(pairs) != 2 * (1 + 2 * len(STRIDES)) or last.numel() != 256 * 128:
        raise BackendError(f"{path.name} is not dlib's face network of 29 layers. Run: facecurate weights")
    convolutions, channels = [], 3
    for kernel, affine in zip(pairs[::2], pairs[1::2], strict=True):
        filters = affine.numel() // 2
        gain, shift = affine[:filters], affine[filters:]
        side = round(((kernel.numel() - filters) / filters / channels) ** 0.5)
        weight = kernel[:-filters].view(filters, channels, side, side) * gain.view(-1, 1, 1, 1)
        convolutions.append((weight, kernel[-filters:] * gain + shift))
        channels = filters
    return convolutions, last.view(256, 128)


def _tensor(data: bytes, match: re.Match[bytes]) -> torch.Tensor:
    """Read one tensor: a version, four sizes (a length byte and that many bytes each), then little-endian floats."""
    at = match.end()
    if match.group().endswith(b"fc_2"):  # two sizes precede its tensor
        at = _number(data, _number(data, at)[1])[1]
    _, at = _number(data, at)
    count = 1
    for _ in range(4):
        size, at = _number(data, at)
        count *= size
    return torch.from_numpy(np.frombuffer(data, "<f4", count, at).copy())


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Read a number and return it with the position after it."""
    length = data[at] & 0x0F
    return int.from_bytes(data[at + 1 : at + 1 + length], "little"), at + 1 + length
