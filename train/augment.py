"""How training pictures are varied: torchvision's v2 transforms, chosen from a visible table by name and strength."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torchvision.transforms import v2

from data_manifests.errors import ConfigError, must_be_one_of

Size = tuple[int, int]


class Noise(torch.nn.Module):
    """Normal noise on uint8 pictures. `sigma` is a share of the full range."""

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(image.shape) * (255 * self.sigma)
        return (image + noise).clamp_(0, 255).to(torch.uint8)


def _crop(share: float, size: Size) -> v2.Transform:
    return v2.RandomResizedCrop(size, scale=(1 - share, 1), ratio=(0.95, 1.05), antialias=False)


def _blur(sigma: float, size: Size) -> v2.Transform:
    kernel = 2 * max(1, round(2 * sigma)) + 1  # two sigmas to each side
    return v2.GaussianBlur(kernel, (0.1, max(0.1, sigma)))


# name → what makes the transform of (C, H, W) uint8 pictures, from its strength and the picture's size in px
AUGMENT: dict[str, Callable[[float, Size], torch.nn.Module]] = {
    "flip": lambda chance, size: v2.RandomHorizontalFlip(chance),
    "crop": _crop,  # up to this share of the area is cut away, the rest enlarged
    "rotate": lambda degrees, size: v2.RandomRotation(degrees, v2.InterpolationMode.BILINEAR),
    "color": lambda strength, size: v2.ColorJitter(strength, strength, strength),
    "blur": _blur,  # sigma up to this many pixels
    "noise": lambda sigma, size: Noise(sigma),
    "erase": lambda chance, size: v2.RandomErasing(chance),
    "rand_augment": lambda magnitude, size: v2.RandAugment(magnitude=round(magnitude)),
}


def make_augment(strengths: Mapping[str, float], size: Size) -> torch.nn.Module:
    """The transforms in the order given; a strength of 0 leaves one out. Raises ConfigError."""
    steps = []
    for name, strength in strengths.items():
        if name not in AUGMENT:
            raise ConfigError(must_be_one_of("data.augment", AUGMENT, name))
        try:
            steps += [AUGMENT[name](strength, size)] if strength else []
        except ValueError as error:
            raise ConfigError(f"data.augment.{name}={strength}: {error}") from None
    return v2.Compose(steps) if steps else torch.nn.Identity()
