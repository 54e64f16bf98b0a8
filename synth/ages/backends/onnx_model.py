"""A user's ageing network as ONNX: inputs image and age, one output; `synth.ages.user_network` prepares them."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np

from data_manifests.errors import BackendError
from data_manifests.files import load_onnx
from synth.ages.user_network import U8, Ager, from_planes, require_file, to_planes

VERSION = version("onnxruntime")


def check(path: str, **params: object) -> None:
    """Raise BackendError if there is no such file."""
    require_file(path)


def make(path: str, low: float = -1.0, high: float = 1.0, age_unit_years: float = 100.0) -> Ager:
    """Load the network: crop (S, S, 3) uint8 RGB and age in years → (S, S, 3) uint8. Raises BackendError if unreadable.

    The network's first input is image (1, 3, S, S) float32 RGB in [low, high], its second age (1,) float32 in units of
    `age_unit_years`; its first output is an image of the same shape and range.
    """
    file = require_file(path)
    network = load_onnx(file)
    names = [given.name for given in network.get_inputs()]
    if len(names) != 2:
        raise BackendError(f"{file.name} must have two inputs, image and age. Got {names} instead.")

    def age(crop: U8, years: float) -> U8:
        feed = {names[0]: to_planes(crop, low, high), names[1]: np.array([years / age_unit_years], np.float32)}
        return from_planes(np.asarray(network.run(None, feed)[0]), low, high)

    return age
