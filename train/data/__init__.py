"""Training data: the rows of a manifest, selected, decoded, cached, augmented, sampled and batched."""

from train.data.augment import check_mix, make_augment, mix
from train.data.feature_cache import embed_rows
from train.data.head_labels import auto_head, constant_labels, has_label, labels_of_rows, learnable_tasks
from train.data.image_preparation import prepare_picture
from train.data.loader import Batch, labels_of, make_loader, picture_loader, read_pixels, set_epoch, to_device
from train.data.pixel_cache import open_pixels
from train.data.row_selection import (
    Selection,
    absent_classes,
    folds_of,
    row_usage,
    rows_with_targets,
    select_rows,
)
from train.data.sampling import epoch_seed

__all__ = [
    "Batch",
    "Selection",
    "absent_classes",
    "auto_head",
    "check_mix",
    "constant_labels",
    "embed_rows",
    "epoch_seed",
    "folds_of",
    "has_label",
    "labels_of",
    "labels_of_rows",
    "learnable_tasks",
    "make_augment",
    "make_loader",
    "mix",
    "open_pixels",
    "picture_loader",
    "prepare_picture",
    "read_pixels",
    "row_usage",
    "rows_with_targets",
    "select_rows",
    "set_epoch",
    "to_device",
]
