"""A timm backbone with weights from a file: vectors of a general image network."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

import numpy as np

from audit.features.aligned_face import align_face, lower_half
from audit.features.face_vectors import Describer, FaceVectors
from data_manifests.errors import BackendError

VERSION = f"{version('timm')}.1"  # the last part counts changes of this module


def check(model: str = "", file: str = "", **params: object) -> None:
    """Raise BackendError if the weights are missing. Nothing is downloaded."""
    if not Path(file).is_file():
        raise BackendError(
            f"describer 'timm' needs describer_params.file, the weights of {model!r} (.safetensors or .pth). "
            f"Got {file!r} instead; 'dlib_layers' needs no file."
        )


def fingerprint(file: str, **params: object) -> str:
    """Return eight digits of the hash of the file, because other weights may have the same name."""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:8]


def make(model: str, file: str, size_px: int = 224) -> Describer:
    """Return a describer of the pooled features of the face (identity and appearance) and of the lower face."""
    import timm
    import torch

    network = timm.create_model(model, pretrained=False, num_classes=0, checkpoint_path=file).eval()
    config = timm.data.resolve_data_config({}, model=network)
    mean, std = (torch.tensor(config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))

    def vector(crop: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            return np.asarray(network((pixels - mean) / std)[0].numpy(), np.float32)

    def describe(image: np.ndarray, landmarks_xy: np.ndarray) -> FaceVectors:
        face = align_face(image, landmarks_xy, size_px)
        whole = vector(face)
        return FaceVectors(whole, whole, vector(lower_half(face)))

    return describe
