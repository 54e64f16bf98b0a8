"""How training pictures are varied: torchvision's v2 transforms, chosen from visible tables by name and strength."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torchvision.transforms import v2

from data_manifests.errors import ConfigError, must_be_one_of

Size = tuple[int, int]


class GridDropout(torch.nn.Module):
    """Black squares in a regular grid over a uint8 picture (Chen et al. 2020, GridMask).

    `share` of each cell's sides is dropped; cells are a tenth to a third of the picture wide and begin anywhere.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        if not 0 <= share < 1:
            raise ValueError("the share of a cell's side that is dropped must be within 0 and 1")
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
    "noise": lambda sigma, size: v2.GaussianNoise(sigma=sigma),  # a share of the full range
    "erase": lambda chance, size: v2.RandomErasing(chance),
    "grid_dropout": lambda share, size: GridDropout(share),
    "rand_augment": lambda magnitude, size: v2.RandAugment(magnitude=round(magnitude)),
}

# name → what mixes a batch (B, 3, H, W) with itself, from the alpha of the beta distribution
MIX: dict[str, Callable[..., v2.Transform]] = {"mixup": v2.MixUp, "cutmix": v2.CutMix}


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


def check_mix(alphas: Mapping[str, float]) -> None:
    """Raise ConfigError for an unknown name."""
    for name in alphas:
        if name not in MIX:
            raise ConfigError(must_be_one_of("data.mix", MIX, name))


def mix(image: torch.Tensor, alphas: Mapping[str, float], chance: float) -> tuple[torch.Tensor, float]:
    """Mix each picture (B, 3, H, W) with the one before it in the batch; the second value is the share it keeps of
    its own, so that a loss is share · loss(target) + (1 - share) · loss(target.roll(1)). One of `alphas` is drawn.
    """
    if not alphas or float(torch.rand(())) >= chance:
        return image, 1.0
    names = list(alphas)
    name = names[int(torch.randint(len(names), ()))]
    places = torch.arange(len(image))  # as labels: what becomes of them tells the share, whatever the real labels are
    mixed, weights = MIX[name](alpha=alphas[name], num_classes=len(image))(image, places)
    return mixed, float(weights[0, 0]) if len(image) > 1 else 1.0
