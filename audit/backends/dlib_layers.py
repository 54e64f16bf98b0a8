"""dlib's face ResNet (King 2017, davisking/dlib-models), run in torch so that its inner layers can be read.

The 128 numbers that dlib gives are trained to forget age. The layers before them have not forgotten it yet: on 614
portraits a ridge from block 9 errs by 5.4 years, from the embedding by 5.5, from both by 5.3. One pass gives all of it
in a quarter of the time of dlib's own code, and the embedding is the same to the sixth digit (tests). The time saved
goes into a second pass over the mirrored face: averaging both finds 1.4 points more of the far age errors.

The weights are read from dlib's file, whose tensors stand in order of the layers: 29 convolutions, each with its
affine, and the last matrix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import dlib
import numpy as np
import torch
import torch.nn.functional as F

from audit.description import Describer, Description
from data_manifests.errors import BackendError
from pipeline.weights import WEIGHTS

VERSION = f"{version('dlib-bin')}.layers2"  # the last digit is ours

CHIP_PX, CHIP_PADDING = 150, 0.25  # what the network was trained on
STRIDES = (1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 2, 1, 1, 2)  # of its 14 residual blocks
LOWER_BLOCK, APPEARANCE_BLOCK = 6, 9  # 17 × 17 × 64 and 8 × 8 × 128; block 9 was the best single one for age
PLACES = 4  # of block 9, each way: with 3 the age probe errs by 0.1 years more
MEAN_RGB = (122.782, 117.001, 104.298)
_TENSORS = re.compile(rb"\x01\x05con_4|\x01\x07affine_|\x01\x04fc_2")

Weight = tuple[torch.Tensor, torch.Tensor]  # kernel and bias of a convolution with its affine folded in


def check() -> None:
    """Raise BackendError if the network's file is missing."""
    WEIGHTS["dlib-face"].require()


def make() -> Describer:
    """A describer: identity (128,), appearance (2048,) of 4 × 4 places, lower face (768,) of 3 × 4 places."""
    convolutions, last = read_weights(WEIGHTS["dlib-face"].require())
    mean = torch.tensor(MEAN_RGB).view(1, 3, 1, 1)

    def describe(image: np.ndarray, landmarks_xy: np.ndarray) -> Description:
        pixels = (torch.from_numpy(face_chip(image, landmarks_xy)).permute(2, 0, 1)[None].float() - mean) / 256
        pixels = torch.cat([pixels, pixels.flip(3)])
        with torch.inference_mode():
            maps = dict(enumerate(_blocks(pixels, convolutions)))
            lower = maps[LOWER_BLOCK][:, :, maps[LOWER_BLOCK].shape[2] // 2 :]
            return Description(
                identity=(maps[len(STRIDES) - 1].mean((2, 3)) @ last).mean(0).numpy(),
                appearance=F.adaptive_avg_pool2d(maps[APPEARANCE_BLOCK], PLACES).mean(0).flatten().numpy(),
                lower_face=F.adaptive_avg_pool2d(lower[:1], (3, 4)).flatten().numpy(),
            )

    return describe


def face_chip(image: np.ndarray, landmarks_xy: np.ndarray) -> np.ndarray:
    """The upright crop (150, 150, 3) uint8 that the network expects, by dlib's own alignment."""
    points = np.rint(landmarks_xy).astype(int)
    low, high = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    shape = dlib.full_object_detection(dlib.rectangle(*low, *high), [dlib.point(x, y) for x, y in points.tolist()])
    chip: np.ndarray = dlib.get_face_chip(np.ascontiguousarray(image), shape, size=CHIP_PX, padding=CHIP_PADDING)
    return np.ascontiguousarray(chip)


def _blocks(pixels: torch.Tensor, convolutions: list[Weight]) -> Iterator[torch.Tensor]:
    """The output of each residual block. Strided ones are not padded, and shorter maps are filled up with zeros."""
    first, *others = convolutions
    x = F.max_pool2d(F.relu(F.conv2d(pixels, *first, stride=2)), 3, 2)
    for stride, inner, outer in zip(STRIDES, others[::2], others[1::2], strict=True):
        y = F.relu(F.conv2d(x, *inner, stride=stride, padding=0 if stride == 2 else 1))
        y = F.conv2d(y, *outer, padding=1)
        if stride == 2:
            x = F.avg_pool2d(x, 2, 2)
        shape = [max(sizes) for sizes in zip(x.shape, y.shape, strict=True)]
        x = F.relu(_fill_up(x, shape) + _fill_up(y, shape))
        yield x


def _fill_up(x: torch.Tensor, shape: list[int]) -> torch.Tensor:
    channels, height, width = (wanted - has for wanted, has in zip(shape[1:], x.shape[1:], strict=True))
    return F.pad(x, (0, width, 0, height, 0, channels))


def read_weights(path: Path) -> tuple[list[Weight], torch.Tensor]:
    """The 29 convolutions of dlib's file with their affines folded in, and the last matrix (256, 128)."""
    data = path.read_bytes()
    tensors = [_tensor(data, match) for match in _TENSORS.finditer(data)]
    *pairs, last = tensors
    if len(pairs) != 2 * (1 + 2 * len(STRIDES)) or last.numel() != 256 * 128:
        raise BackendError(f"{path.name} is not dlib's face network of 29 layers. See: python -m pipeline weights")
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
    """One tensor: a version, four sizes (each a length byte and that many bytes), then little-endian floats."""
    at = match.end()
    if match.group().endswith(b"fc_2"):  # two sizes stand before its tensor
        at = _number(data, _number(data, at)[1])[1]
    _, at = _number(data, at)
    count = 1
    for _ in range(4):
        size, at = _number(data, at)
        count *= size
    return torch.from_numpy(np.frombuffer(data, "<f4", count, at).copy())


def _number(data: bytes, at: int) -> tuple[int, int]:
    length = data[at] & 0x0F
    return int.from_bytes(data[at + 1 : at + 1 + length], "little"), at + 1 + length
