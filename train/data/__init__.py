"""Training data: the selected rows of a manifest, decoded, cached, augmented, sampled and batched."""

from train.data.augment import check_mix, make_augment, mix
from train.data.feature_cache import embed_rows
from train.data.image_preparation import prepare_picture
from train.data.loader import Batch, labels_of, make_loader, picture_loader, read_pixels, set_epoch, to_device
from train.data.pixel_cache import open_pixels
from train.data.sampling import epoch_seed

__all__ = [
    "Batch",
    "check_mix",
    "embed_rows",
    "epoch_seed",
    "labels_of",
    "make_augment",
    "make_loader",
    "mix",
    "open_pixels",
    "picture_loader",
    "prepare_picture",
    "read_pixels",
    "set_epoch",
    "to_device",
]
