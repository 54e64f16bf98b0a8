"""TODO train.models."""

from train.models.checkpoint import Trained, load_trained, read_checkpoint, save_checkpoint
from train.models.heads import UNKNOWN_AGE, Head, HeadLoss, log_probability, n_outputs, needs_years
from train.models.network import Network, build_model, choose_device
from train.models.pretrained import require_weights

__all__ = [
    "UNKNOWN_AGE",
    "Head",
    "HeadLoss",
    "Network",
    "Trained",
    "build_model",
    "choose_device",
    "load_trained",
    "log_probability",
    "n_outputs",
    "needs_years",
    "read_checkpoint",
    "require_weights",
    "save_checkpoint",
]
