"""Networks: timm backbones, the heads that give their outputs a meaning, and checkpoints on disk."""

from train.models.checkpoint import Trained, load_trained, read_checkpoint, save_checkpoint
from train.models.heads import (
    UNKNOWN_AGE,
    Head,
    Part,
    log_probability,
    n_outputs,
    needs_years,
    split_outputs,
)
from train.models.network import Network, build_model, choose_device

__all__ = [
    "UNKNOWN_AGE",
    "Head",
    "Network",
    "Part",
    "Trained",
    "build_model",
    "choose_device",
    "load_trained",
    "log_probability",
    "n_outputs",
    "needs_years",
    "read_checkpoint",
    "save_checkpoint",
    "split_outputs",
]
