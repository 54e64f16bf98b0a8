"""A timm backbone with weights from a file: what a general image network sees in a face."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

import numpy as np

from audit.features.aligned_face import aligned_chip, lower_half
from audit.features.description import Describer, Description
from data_manifests.errors import BackendError

VERSION = f"{version('timm')}.1"  # the last digit is ours


def check(model: str = "", file: str = "", **params: object) -> None:
    """Raise BackendError if the weights are missing. Nothing is downloaded."""
    if not Path(file).is_file():
        raise BackendError(
            f"describer 'timm' needs describer_params.file, the weights of {model!r} (.safetensors or .pth). "
            f"Got {file!r} instead; 'dlib_layers' needs no file."
        )


def fingerprint(file: str, **params: object) -> str:
    """Eight digits of the file's hash: other weights under the same name give other results."""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:8]


def make(model: str, file: str, size_px: int = 224) -> Describer:
    """A describer whose three vectors are the backbone's pooled features: face, face, lower face."""
    import timm
    import torch

    network = timm.create_model(model, pretrained=False, num_classes=0, checkpoint_path=file).eval()
    config = timm.data.resolve_data_config({}, model=network)
    mean, std = (torch.tensor(config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))

    def vector(chip: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(chip).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            return np.asarray(network((pixels - mean) / std)[0].numpy(), np.float32)

    def describe(image: np.ndarray, landmarks_xy: np.ndarray) -> Description:
        chip = aligned_chip(image, landmarks_xy, size_px)
        face = vector(chip)
        return Description(face, face, vector(lower_half(chip)))

    return describe
