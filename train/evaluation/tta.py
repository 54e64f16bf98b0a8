"""Test-time augmentation: the probabilities of several views of a picture are averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from data_manifests.errors import ConfigError, must_be_one_of
from train.models import Trained

CROP_SHARE = 0.9  # side of a cropped view over that of the picture

View = Callable[[torch.Tensor], torch.Tensor]


def _crops(image: torch.Tensor) -> list[torch.Tensor]:
    """Return the picture, its four corners and its middle, all at its size (the crops of Krizhevsky et al. 2012)."""
    from torchvision.transforms.v2 import functional  # takes seconds to import

    size = image.shape[-2:]
    crops = functional.five_crop(image, [round(CROP_SHARE * side) for side in size])
    return [image, *(functional.resize(crop, list(size), antialias=False) for crop in crops)]


# name → pictures (B, 3, H, W) → views of them, each (B, 3, H, W)
VIEWS: dict[str, Callable[[torch.Tensor], list[torch.Tensor]]] = {
    "flip": lambda image: [image, image.flip(-1)],
    "crops": _crops,
}


def check_views(names: Sequence[str], trained: Trained) -> None:
    """Check the names of views for a network. Raises ConfigError for an unknown name or a network on an embedding."""
    for name in names:
        if name not in VIEWS:
            raise ConfigError(must_be_one_of("--tta", VIEWS, name))
    if names and trained.settings.model.embedding:
        raise ConfigError(
            f"--tta varies pictures, but this network takes vectors of the embedding "
            f"{trained.settings.model.embedding!r}. Omit --tta."
        )


def views_of(image: torch.Tensor, names: Sequence[str]) -> list[torch.Tensor]:
    """Return all combinations of views, twelve for `flip` and `crops`; without names, the picture itself."""
    views = [image]
    for name in names:
        views = [view for one in views for view in VIEWS[name](one)]
    return views
