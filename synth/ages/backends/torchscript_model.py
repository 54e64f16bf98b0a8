"""A user's ageing network as TorchScript: `forward(image, age) → image`; `synth.ages.user_network` prepares both."""

from __future__ import annotations

from importlib.metadata import version

import torch

from data_manifests.errors import BackendError
from synth.ages.user_network import U8, Ager, from_planes, require_file, to_planes

VERSION = version("torch")


def check(path: str, **params: object) -> None:
    """Raise BackendError if there is no such file."""
    require_file(path)


def make(path: str, low: float = -1.0, high: float = 1.0, age_unit_years: float = 100.0) -> Ager:
    """Load the network: crop (S, S, 3) uint8 RGB and age in years → (S, S, 3) uint8. Raises BackendError if unreadable.

    The network gets image (1, 3, S, S) float32 RGB in [low, high] and age (1,) float32 in units of `age_unit_years`
    and returns an image of the same shape and range.
    """
    file = require_file(path)
    try:
        network = torch.jit.load(str(file), map_location="cpu").eval()
    except (RuntimeError, ValueError) as error:
        raise BackendError(f"{file.name} is not a TorchScript file: {' '.join(str(error).split())[:120]}") from None

    def age(crop: U8, years: float) -> U8:
        image = torch.from_numpy(to_planes(crop, low, high))
        with torch.inference_mode():
            aged = network(image, torch.tensor([years / age_unit_years], dtype=torch.float32))
        return from_planes(aged.numpy(), low, high)

    return age
