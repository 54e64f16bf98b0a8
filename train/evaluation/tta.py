"""Test-time augmentation: a network judges several views of a picture, and their probabilities are averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torchvision.transforms.v2 import functional

from data_manifests.errors import ConfigError, must_be_one_of
from train.models import Trained

CROP_SHARE = 0.9  # side of a cropped view over that of the picture

View = Callable[[torch.Tensor], torch.Tensor]


def _crops(image: torch.Tensor) -> list[torch.Tensor]:
    """The picture, its four corners and its middle, all at its size (Krizhevsky et al. 2012 take such five)."""
    size = image.shape[-2:]
    crops = functional.five_crop(image, [round(CROP_SHARE * side) for side in size])
    return [image, *(functional.resize(crop, list(size), antialias=False) for crop in crops)]


# name → pictures (B, 3, H, W) → the views that stand in their place, each (B, 3, H, W)
VIEWS: dict[str, Callable[[torch.Tensor], list[torch.Tensor]]] = {
    "flip": lambda image: [image, image.flip(-1)],
    "crops": _crops,
}


def check_views(names: Sequence[str], trained: Trained) -> None:
    """Raise ConfigError for an unknown name, or for a network that does not look at pictures."""
    for name in names:
        if name not in VIEWS:
            raise ConfigError(must_be_one_of("--tta", VIEWS, name))
    if names and trained.settings.model.embedding:
        raise ConfigError(
            f"--tta varies pictures, but this network sees the embedding {trained.settings.model.embedding!r} of them. "
            "Leave --tta out."
        )


def views_of(image: torch.Tensor, names: Sequence[str]) -> list[torch.Tensor]:
    """All combinations: `flip` and `crops` together give twelve views. Without a name, the picture itself."""
    views = [image]
    for name in names:
        views = [view for one in views for view in VIEWS[name](one)]
    return views
