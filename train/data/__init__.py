"""Training data: the rows of a manifest, selected, decoded, cached, augmented, sampled and batched."""

from train.data.augment import check_mix, make_augment, mix
from train.data.feature_cache import embed_rows
from train.data.image_preparation import prepare_picture
from train.data.loader import Batch, make_loader, picture_loader, read_pixels, set_epoch, to_device
from train.data.pixel_cache import open_pixels
from train.data.row_selection import COLUMNS, absent_classes, folds_of, select_rows
from train.data.sampling import epoch_seed

__all__ = [
    "COLUMNS",
    "Batch",
    "absent_classes",
    "check_mix",
    "embed_rows",
    "epoch_seed",
    "folds_of",
    "make_augment",
    "make_loader",
    "mix",
    "open_pixels",
    "picture_loader",
    "prepare_picture",
    "read_pixels",
    "select_rows",
    "set_epoch",
    "to_device",
]
