"""Augmentation of training pictures: torchvision's v2 transforms, in tables by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from data_manifests.errors import ConfigError, must_be_one_of

Size = tuple[int, int]


def _v2() -> Any:
    """Return torchvision's transforms: they take seconds to import, and only training needs them."""
    from torchvision.transforms import v2

    return v2


class GridDropout(torch.nn.Module):
    """A transform that blackens squares in a regular grid of a uint8 picture (GridMask, Chen et al. 2020).

    `share` of each cell's side is dropped; cells are a tenth to a third of the picture wide, at a random offset.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        if not 0 <= share < 1:
            raise ValueError("the dropped share of a cell's side must be within 0 and 1")
        self.share = share

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        height, width = image.shape[-2:]
        side = int(torch.randint(max(2, width // 10), max(3, width // 3), ()))
        top, left = torch.randint(side, (2,)).tolist()
        rows, columns = (
            (torch.arange(length) + start) % side < self.share * side
            for length, start in ((height, top), (width, left))
        )
        return image.masked_fill(rows[:, None] & columns, 0)


def _crop(share: float, size: Size) -> torch.nn.Module:
    return _v2().RandomResizedCrop(size, scale=(1 - share, 1), ratio=(0.95, 1.05), antialias=False)


def _blur(sigma: float, size: Size) -> torch.nn.Module:
    kernel = 2 * max(1, round(2 * sigma)) + 1  # two sigmas on each side
    return _v2().GaussianBlur(kernel, (0.1, max(0.1, sigma)))


# name → (strength, picture size in px) → transform of uint8 pictures (C, H, W)
AUGMENTATIONS: dict[str, Callable[[float, Size], torch.nn.Module]] = {
    "flip": lambda chance, size: _v2().RandomHorizontalFlip(chance),
    "crop": _crop,  # up to this share of the area is cut off, the rest enlarged
    "rotate": lambda degrees, size: _v2().RandomRotation(degrees, _v2().InterpolationMode.BILINEAR),
    "color": lambda strength, size: _v2().ColorJitter(strength, strength, strength),
    "blur": _blur,  # sigma up to this many pixels
    "noise": lambda sigma, size: _v2().GaussianNoise(sigma=sigma),  # a share of the full range
    "erase": lambda chance, size: _v2().RandomErasing(chance),
    "grid_dropout": lambda share, size: GridDropout(share),
    "rand_augment": lambda magnitude, size: _v2().RandAugment(magnitude=round(magnitude)),
}

# name → transform that mixes a batch (B, 3, H, W) with itself, from the alpha of the beta distribution
MIXES: dict[str, Callable[..., torch.nn.Module]] = {
    "mixup": lambda **options: _v2().MixUp(**options),
    "cutmix": lambda **options: _v2().CutMix(**options),
}


def make_augment(strengths: Mapping[str, float], size: Size) -> torch.nn.Module:
    """Compose the transforms in the order given, except those of strength 0. Raises ConfigError."""
    steps = []
    for name, strength in strengths.items():
        if name not in AUGMENTATIONS:
            raise ConfigError(must_be_one_of("data.augment", AUGMENTATIONS, name))
        try:
            steps += [AUGMENTATIONS[name](strength, size)] if strength else []
        except ValueError as error:
            raise ConfigError(f"data.augment.{name}={strength}: {error}") from None
    return _v2().Compose(steps) if steps else torch.nn.Identity()


def check_mix(alphas: Mapping[str, float]) -> None:
    """Check the names of `data.mix`. Raises ConfigError for an unknown one."""
    for name in alphas:
        if name not in MIXES:
            raise ConfigError(must_be_one_of("data.mix", MIXES, name))


def mix(image: torch.Tensor, alphas: Mapping[str, float], chance: float) -> tuple[torch.Tensor, float]:
    """Mix each picture (B, 3, H, W) with the one before it in the batch, by one of `alphas` drawn at random.

    Returns the pictures and the share of each that is its own, so that the loss is
    share · loss(target) + (1 - share) · loss(target.roll(1)).
    """
    if not alphas or float(torch.rand(())) >= chance:
        return image, 1.0
    names = list(alphas)
    name = names[int(torch.randint(len(names), ()))]
    index = torch.arange(len(image))  # as labels: the mixed one-hot labels hold the share, whatever the real labels are
    mixed, weights = MIXES[name](alpha=alphas[name], num_classes=len(image))(image, index)
    return mixed, float(weights[0, 0]) if len(image) > 1 else 1.0
