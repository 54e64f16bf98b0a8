"""The values that the settings `auto` stand for in a data set, and lines that report each choice and its result."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.schema import USABLE
from data_manifests.versions import Manifest, Store
from pipeline.faces import FaceShare
from pipeline.origin import layout_of
from preprocess.settings import CropSettings, DropAgesSettings
from preprocess.stages import MAX_REPEATED_SHARE

Report = Callable[[str], None]
"""A function that shows one line to the user, such as `click.echo`."""

PROFILES_AGES = "57-59"  # ages that the competition of the layout profiles asks to leave out
MANY = 0.1  # share of the crops from which a setting is suggested


def resolve_crop(crop: CropSettings, measure: Callable[[], FaceShare], report: Report) -> CropSettings:
    """Return the settings with always or never in place of auto; `measure` is called for auto alone."""
    if crop.when != "auto":
        does = "every picture is cropped" if crop.when == "always" else "no picture is cropped"
        report(f"crop: {does} (crop.when={crop.when})")
        return crop
    share = measure()
    report(crop_line(share))
    return crop.model_copy(update={"when": "never" if share.are_crops else "always"})


def crop_line(share: FaceShare) -> str:
    """Return the measurement and its consequence, with the setting that decides otherwise."""
    if share.are_crops:
        return (
            f"crop: {share.text()}: photos are crops already and are not cropped again; crop.when=always to crop them"
        )
    return f"crop: {share.text()}: faces are cropped; crop.when=never keeps the pictures"


def margin_lines(table: pa.Table, settings: CropSettings) -> list[str]:
    """Return lines: how many crops have a smaller margin than the setting's, and a warning if many are partly empty."""
    rows = table.filter(pc.is_in(table.column("status"), pa.array(USABLE)))
    outside = rows.column("outside_share").to_numpy(zero_copy_only=False).astype(float)
    if settings.when == "never" or not np.isfinite(outside).any():
        return []
    lines, total = [], len(outside)
    reduced = _margins(rows) < settings.margin_share - 0.01
    if reduced.any():
        median = np.median(_margins(rows)[reduced])
        lines.append(
            f"crop: {reduced.sum()} of {total} have a smaller margin than {settings.margin_share:g}, "
            f"{median:.2f} in the median, because at most {MAX_REPEATED_SHARE:.0%} of a crop may lie beyond its photo"
        )
    empty = outside > MAX_REPEATED_SHARE + 1e-6
    if empty.mean() >= MANY:
        colour, further = "black" if settings.border == "black" else "grey", np.median(outside[empty])
        lines.append(
            f"crop: warning: {empty.sum()} of {total} reach further ({further:.0%} of the crop in the median) and are "
            f"{colour} there. A smaller margin shows less, such as crop.margin_share={settings.margin_share / 2:g}"
        )
    return [line.replace("%", " %") for line in lines]


def _margins(rows: pa.Table) -> np.ndarray:
    """Return the margin of each crop (N,), a share of its face's longer side, from box and size."""
    boxes = np.array(rows.column("box_xyxy").combine_chunks().flatten(), float).reshape(-1, 4)
    sizes = np.stack([np.array(rows.column(name), float) for name in ("width_px", "height_px")], axis=1)
    sides = boxes[:, 2:] - boxes[:, :2]
    return ((sizes - sides) / 2 / sides.max(axis=1, keepdims=True)).min(axis=1)


def resolve_ages(settings: DropAgesSettings, manifest: Manifest, store: Store, report: Report) -> DropAgesSettings:
    """Return the settings with ages in place of auto: those of the layout profiles, an empty text for others."""
    if settings.ages != "auto":
        return settings
    layout = layout_of(manifest.version, store)
    if layout == "profiles":
        return settings.model_copy(update={"ages": PROFILES_AGES})
    report(
        f"drop-ages: no age is left out (drop_ages.ages=auto leaves out {PROFILES_AGES} of the layout profiles only, "
        f"and {manifest.version.name} has the layout {layout or 'of another program'})"
    )
    return settings.model_copy(update={"ages": ""})


def ages_line(before: pa.Table, after: pa.Table, settings: DropAgesSettings, is_auto: bool) -> str:
    """Return how many rows the ages take out of training, why, and the setting that keeps them."""
    if settings.policy == "relabel":
        moved = pc.sum(pc.not_equal(before.column("age_class"), after.column("age_class"))).as_py() or 0
        return f"drop-ages: moved {moved} rows of ages {settings.ages} into the old class (drop_ages.policy=relabel)"
    count = pc.sum(pc.not_equal(before.column("status"), after.column("status"))).as_py() or 0
    why = "auto, for the layout profiles" if is_auto else settings.ages
    return (
        f"drop-ages: excluded {count} of {after.num_rows} rows, ages {settings.ages} in {', '.join(settings.splits)} "
        f"(drop_ages.ages={why}; drop_ages.ages= keeps them)"
    )
