"""MTCNN's three networks with facenet-pytorch's weights, as functions of a batch.

They are defined here because importing facenet-pytorch imports torchvision and with it torch's compiler, which takes
five seconds in every worker process, three times what torch alone needs. A test compares the outputs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from data_manifests.errors import BackendError
from data_manifests.files import in_one_line
from pipeline.weights import WEIGHTS

Net = Callable[[np.ndarray], list[np.ndarray]]
State = dict[str, torch.Tensor]


def load_nets() -> tuple[Net, Net, Net]:
    """Return P-Net, R-Net and O-Net: float32 (N, H, W, 3) in [0, 255] → their outputs as arrays.

    P-Net: offsets (N, 4, h, w), probabilities (N, 2, h, w). R-Net: offsets (N, 4), probabilities (N, 2).
    O-Net: offsets (N, 4), points (N, 10), probabilities (N, 2).
    """
    return _load("mtcnn-pnet", _p_net, False), _load("mtcnn-rnet", _r_net, True), _load("mtcnn-onet", _o_net, True)


def _load(name: str, forward: Callable[[torch.Tensor, State], list[torch.Tensor]], channels_last: bool) -> Net:
    file = WEIGHTS[name].require()
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises exceptions of many types for a broken file
        raise BackendError(f"{file} cannot be read: {in_one_line(error)}. Run: make setup") from None
    if channels_last:  # several times faster max pooling on R-Net's and O-Net's batches
        state = {
            key: value.to(memory_format=torch.channels_last) if value.ndim == 4 else value
            for key, value in state.items()
        }

    def run(images: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            batch = torch.from_numpy(images).permute(0, 3, 1, 2).sub_(127.5).mul_(1 / 128)  # channels-last, no copy
            return [output.numpy() for output in forward(batch if channels_last else batch.contiguous(), state)]

    return run


def _p_net(x: torch.Tensor, state: State) -> list[torch.Tensor]:
    x = _convolve(x, state, pools=(2, 0, 0))
    scores, offsets = (F.conv2d(x, state[f"conv4_{k}.weight"], state[f"conv4_{k}.bias"]) for k in (1, 2))
    return [offsets, F.softmax(scores, dim=1)]


def _r_net(x: torch.Tensor, state: State) -> list[torch.Tensor]:
    x = _dense(_convolve(x, state, pools=(3, 3, 0)), state, 4)
    scores, offsets = (F.linear(x, state[f"dense5_{k}.weight"], state[f"dense5_{k}.bias"]) for k in (1, 2))
    return [offsets, F.softmax(scores, dim=1)]


def _o_net(x: torch.Tensor, state: State) -> list[torch.Tensor]:
    x = _dense(_convolve(x, state, pools=(3, 3, 2, 0)), state, 5)
    scores, offsets, points = (F.linear(x, state[f"dense6_{k}.weight"], state[f"dense6_{k}.bias"]) for k in (1, 2, 3))
    return [offsets, points, F.softmax(scores, dim=1)]


def _convolve(x: torch.Tensor, state: State, pools: tuple[int, ...]) -> torch.Tensor:
    """Convolution, PReLU and, where a window is given, max pooling with stride 2."""
    for k, window in enumerate(pools, start=1):
        x = F.prelu(F.conv2d(x, state[f"conv{k}.weight"], state[f"conv{k}.bias"]), state[f"prelu{k}.weight"])
        if window:
            x = F.max_pool2d(x, window, stride=2, ceil_mode=True)
    return x


def _dense(x: torch.Tensor, state: State, k: int) -> torch.Tensor:
    x = x.permute(0, 3, 2, 1).flatten(1)  # the weights were trained on columns first
    return F.prelu(F.linear(x, state[f"dense{k}.weight"], state[f"dense{k}.bias"]), state[f"prelu{k}.weight"])
