"""Background removal by a segmentation network through rembg.

The model is always named: rembg's default is a model of 1 GB that is not for commercial use. Nothing is downloaded
while images are processed; `check` reports a missing file and how to get it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.metadata import version

import numpy as np

from data_manifests.errors import BackendError, must_be_one_of
from pipeline.weights import WEIGHTS

VERSION = version("rembg")
MODELS = ("u2net", "u2netp", "u2net_human_seg", "silueta", "isnet-general-use", "birefnet-portrait")


def make(model: str = "u2net") -> Callable[[np.ndarray, np.ndarray | None], np.ndarray]:
    """Return a remover: image (H, W, 3) → alpha (H, W) float32. The network finds the person; the box is not used."""
    check(model)
    import onnxruntime
    from PIL import Image  # rembg expects Pillow images
    from rembg import new_session  # 1 to 3 s, and 44 s the first time: numba compiles

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # as in all backends: see pipeline/threads.py
    session = new_session(model, sess_opts=options, providers=["CPUExecutionProvider"])

    def alpha(image: np.ndarray, box_xyxy: np.ndarray | None) -> np.ndarray:
        (mask,) = session.predict(Image.fromarray(image))
        return np.asarray(mask, np.float32) / 255

    return alpha


def check(model: str = "u2net") -> None:
    """Raise BackendError for an unknown model or an absent file, without importing rembg."""
    if model not in MODELS:
        raise BackendError(must_be_one_of("model", MODELS, model))
    WEIGHTS[model].require(instead="background.backend=grabcut, which needs no file")


def fingerprint(model: str = "u2net") -> str:
    """Return eight digits of the model file's hash: a user's own file under the same name gives other results."""
    with WEIGHTS[model].require().open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]
