"""Any ONNX network from a face crop to one vector, such as an ArcFace or an exported timm backbone."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

import numpy as np

from audit.features.aligned_face import align_face, lower_half
from audit.features.face_vectors import Describer, FaceVectors
from data_manifests.errors import BackendError
from data_manifests.files import load_onnx

VERSION = f"{version('onnxruntime')}.1"  # the last part counts changes of this module


def check(file: str = "", **params: object) -> None:
    """Raise BackendError if the file is missing."""
    if not Path(file).is_file():
        raise BackendError(f"describer 'onnx' needs describer_params.file, an .onnx file. Got {file!r} instead.")


def fingerprint(file: str, **params: object) -> str:
    """Return eight digits of the hash of the file, because another network may have the same name."""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:8]


def make(
    file: str, size_px: int = 112, mean: float = 127.5, scale: float = 1 / 127.5, channels_last: bool = False
) -> Describer:
    """Return a describer that applies the network to the face (identity and appearance) and to the lower face.

    The input is (pixels - mean) * scale of an RGB crop `size_px` wide, (1, 3, H, W) unless `channels_last`.
    """
    session = load_onnx(file)
    name = session.get_inputs()[0].name

    def vector(crop: np.ndarray) -> np.ndarray:
        pixels = (crop.astype(np.float32) - mean) * np.float32(scale)
        batch = pixels[None] if channels_last else np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
        return np.asarray(session.run(None, {name: batch})[0], np.float32).ravel()

    def describe(image: np.ndarray, landmarks_xy: np.ndarray) -> FaceVectors:
        face = align_face(image, landmarks_xy, size_px)
        whole = vector(face)
        return FaceVectors(whole, whole, vector(lower_half(face)))

    return describe
