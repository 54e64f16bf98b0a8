"""Contact sheets of synthetic images for visual inspection.

One sheet per mask type and placement, one of the unmasked images, and one per age move with faces before and after.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image, ImageDraw, ImageFont

from data_manifests.errors import PhotoError, StageError
from data_manifests.schema import USABLE
from data_manifests.taxonomy import age_class_of
from data_manifests.versions import Manifest, Store
from pipeline.photos import load_rgb
from pipeline.progress import announce, show_progress
from pipeline.step import Record
from synth.plan import MAX_TURNED_OUTSIDE_SHARE, vary
from synth.recipe import read_recipe

_PAPER, _INK, _FAINT = "#f6f5f2", "#22252a", "#8a8f98"
_GAP_PX, _LABEL_PX = 10, 26
_MAX_LABEL = 24  # characters that fit below a tile


def write_gallery(store: Store, manifest: Manifest, out: Path, *, columns: int = 8, tile_px: int = 192) -> list[Path]:
    """Write one PNG per kind with at most three rows: `TYPE-PLACEMENT.png`, `unmasked.png`, `age-FROM-to-TO.png`.

    Raises StageError if there is no synthetic image.
    """
    usable = pc.is_in(manifest.table.column("status"), value_set=pa.array(USABLE))
    rows = manifest.table.filter(pc.and_(manifest.table.column("is_synthetic"), usable)).to_pylist()
    if not rows:
        raise StageError(f"{manifest.version.ref} has no synthetic images. Run: facecurate synth run REF")
    kinds: dict[str, list[Record]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: str(row["sample_id"])):
        parameters = read_recipe(row)
        kinds[f"{parameters['mask_type']}-{parameters['wear']}" if parameters["wear"] else "unmasked"].append(row)
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for kind, members in show_progress(sorted(kinds.items()), "gallery", len(kinds), "sheets"):
        shown = members[: 3 * columns]
        pictures = [_load(store, row, tile_px) for row in shown]
        labels = [_label(row) for row in shown]
        sheet = contact_sheet(pictures, labels, f"{kind}   {len(members)} images", columns=columns, tile_px=tile_px)
        file = re.sub(r"[^\w.-]+", "_", kind)  # a template of the user may have any name
        paths.append(out / f"{file}.png")
        sheet.save(paths[-1])
    return paths + _age_sheets(store, manifest, rows, out, columns, tile_px)


def _load(store: Store, row: Record, tile_px: int) -> np.ndarray:
    """Return the picture of a row (H, W, 3) uint8; an empty tile, with a message, if it cannot be read."""
    try:
        return load_rgb(store.photo(row["root"], row["path"]))
    except PhotoError as error:
        announce(f"gallery: {error}")
        return np.full((tile_px, tile_px, 3), 200, np.uint8)


def _label(row: Record) -> str:
    """Return the known gender and age of a row; its person where neither is known."""
    known = [str(row[name]) for name in ("gender", "age") if row[name] is not None]
    return " ".join(known) or PurePosixPath(row["person_id"]).name[-_MAX_LABEL:]


def _age_sheets(
    store: Store, manifest: Manifest, rows: list[Record], out: Path, columns: int, tile_px: int
) -> list[Path]:
    """Write sheets of faces before and after their age was moved, side by side."""
    moves: dict[str, list[tuple[Record, dict[str, Any]]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: str(row["sample_id"])):
        parameters = read_recipe(row)
        if "age" in parameters and not parameters["wear"]:
            source, target = (_age_class_name(parameters[name], manifest) for name in ("from_age", "to_age"))
            moves[f"age-{source}-to-{target}"].append((row, parameters))
    parents = {row["parent_id"] for members in moves.values() for row, _ in members}
    photos = {row["sample_id"]: row for row in manifest.table.to_pylist() if row["sample_id"] in parents}
    paths = []
    for move, members in sorted(moves.items()):
        pictures, labels = [], []
        for row, parameters in members[: 3 * columns // 2]:
            photo = photos[row["parent_id"]]
            landmarks = np.asarray(photo["landmarks_xy"], np.float32).reshape(68, 2)
            picture = _load(store, photo, tile_px)
            may_turn = (photo["outside_share"] or 0) <= MAX_TURNED_OUTSIDE_SHARE
            rng = np.random.default_rng(parameters["look_seed"])
            pictures.append(vary(picture, landmarks, rng, may_turn=may_turn)[0])
            pictures.append(_load(store, row, tile_px))
            labels += [f"{row['gender']} {parameters['from_age']}", f"made {parameters['to_age']}"]
        title = f"{move.replace('age-', 'age ').replace('-to-', ' to ')}   {len(members)} people"
        paths.append(out / f"{move}.png")
        contact_sheet(pictures, labels, title, columns=columns - columns % 2, tile_px=tile_px).save(paths[-1])
    return paths


def _age_class_name(age: int, manifest: Manifest) -> str:
    """Return the bounds of an age's class, such as "30-59", for a file name."""
    low, high = manifest.cuts.bounds(age_class_of(age, manifest.cuts))
    return f"{low}-{high}"


def contact_sheet(
    pictures: list[np.ndarray], labels: list[str], title: str, *, columns: int = 8, tile_px: int = 192
) -> Image.Image:
    """Lay out images (H, W, 3) in rows of `columns`, each `tile_px` wide with its label below, under a title."""
    heights = [round(picture.shape[0] * tile_px / picture.shape[1]) for picture in pictures]
    tall = max(heights) + _LABEL_PX
    used = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    top = 48
    size = (_GAP_PX + used * (tile_px + _GAP_PX), top + rows * (tall + _GAP_PX))
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP_PX + 2, 14), title, _INK, font=ImageFont.load_default(18))
    for index, (picture, label, height) in enumerate(zip(pictures, labels, heights, strict=True)):
        x = _GAP_PX + index % columns * (tile_px + _GAP_PX)
        y = top + index // columns * (tall + _GAP_PX)
        sheet.paste(Image.fromarray(picture).resize((tile_px, height), Image.Resampling.LANCZOS), (x, y))
        draw.text((x + 2, y + height + 5), label, _FAINT, font=ImageFont.load_default(13))
    return sheet
