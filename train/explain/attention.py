"""Attention of a network on photos of each class: contact sheets, and shares of face, hair, clothes and background."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import torch
from tqdm import tqdm

from data_manifests.taxonomy import MASKS, N_CLASSES, class_names, split_class_id
from data_manifests.versions import Manifest, Store
from pipeline.runs import find_run
from reporting.tables import class_label
from train.data import read_pixels
from train.evaluation import load_best, predict_rows, usable_rows
from train.explain.cam import AttentionMaps, attention_shares
from train.explain.contact_sheets import BACKGROUND_LINE, FACE_LINE, Tile, contact_sheet
from train.explain.regions import REGIONS, RegionFinder, find_regions
from train.reports import render

BATCH = 16
Echo = Callable[[str], None]


def show_attention(
    store: Store,
    name: str,
    ref: str | None,
    *,
    split: str = "val",
    painted_ref: str | None = None,
    per_class: int = 6,
    measured: int = 20,
    seed: int = 0,
    echo: Echo,
) -> Path:
    """Write a contact sheet for each class and a page into the run's folder; return the page.

    `measured` photos of each class are measured with Grad-CAM++; `per_class` of them are shown, with Smooth Grad-CAM++
    as well. Maps explain the predicted class, right or wrong.
    """
    run = find_run(store, name)
    manifest = store.read(ref or run.about()["manifest"])
    trained = load_best(run)
    trained.check_taxonomy(manifest.cuts, manifest.version.ref)
    finder = find_regions(store, manifest, trained.settings.data, store.read(painted_ref) if painted_ref else None)
    attention = AttentionMaps(trained)
    rng = np.random.default_rng(seed)
    rows = choose_rows(usable_rows(manifest, split, labelled=True), max(measured, per_class), rng)
    predictions = predict_rows(trained, rows, store, manifest.version.ref, "predict")
    pixels = read_pixels(rows, store, trained.settings.data, manifest.version.ref).take(np.arange(len(predictions)))
    maps = _maps(attention, pixels, predictions["predicted"].tolist())
    table, regions = _measure(manifest, predictions, maps, finder)
    folder, names = run.path / "attention", class_names(manifest.cuts)
    sheets = {}
    for class_id in tqdm(range(N_CLASSES), "sheets", unit="class", leave=False):
        part = table[table["target"] == class_id]
        shown = np.flatnonzero(predictions["target"] == class_id)[:per_class]
        if len(shown):
            tiles = [
                _tile(attention, pixels[row], maps[row], regions[row], table.iloc[row], names, rng) for row in shown
            ]
            sheets[class_id] = f"{class_id:02d}-{_file_name(names[class_id])}.png"
            subtitle = f"{len(shown)} of {len(part)} photos measured. {_sentence(part)}"
            png = contact_sheet(class_label(names[class_id]), subtitle, tiles, _FOOTER)
            run.write(f"attention/{sheets[class_id]}", png)
    about = {
        "run": run.name,
        "manifest": manifest.version.ref,
        "split": split,
        "background_from": painted_ref or ("the pictures themselves" if finder.colour_rgb else None),
        "groups": summarise_attention(table, names),
    }
    run.write_table("attention/attention.parquet", table)
    run.write_json("attention/attention.json", about)
    page = render("attention.html.j2", about=about, sheets=sheets, names=names, regions=REGIONS)
    run.write("attention/index.html", page.encode())
    echo(f"{run.name} on {len(table)} photos of {manifest.version.ref}, {split}: {_sentence(table)}")
    echo(f"wrote {folder / 'index.html'} and {len(sheets)} sheets")
    return folder / "index.html"


def choose_rows(table: pa.Table, per_class: int, rng: np.random.Generator) -> pa.Table:
    """Return up to `per_class` rows of each class, of as many people as possible; real photos come first."""
    frame = table.select(["class_id", "person_id", "is_synthetic"]).to_pandas()
    frame["order"] = rng.permutation(len(frame))
    frame = frame.sort_values(["is_synthetic", "order"])
    frame["nth"] = frame.groupby(["class_id", "person_id"]).cumcount()  # position among the person's photos
    chosen = frame.sort_values(["class_id", "nth", "is_synthetic", "order"]).groupby("class_id").head(per_class)
    return table.take(pa.array(chosen.index.to_numpy()))


def _maps(attention: AttentionMaps, pixels: np.ndarray, class_id: Sequence[int]) -> np.ndarray:
    """Return Grad-CAM++ float32 (N, H, W) of pictures uint8 (N, H, W, 3)."""
    out = []
    for start in tqdm(range(0, len(pixels), BATCH), "attention", unit="batch", leave=False):
        part = slice(start, start + BATCH)
        out.append(attention.maps(as_image(pixels[part]), class_id[part]))
    return np.concatenate(out)


def _measure(
    manifest: Manifest, predictions: pd.DataFrame, maps: np.ndarray, finder: RegionFinder
) -> tuple[pd.DataFrame, list[Any]]:
    """Return a row per photo: `<region>` is its share of attention, `<region>_area` its share of the picture."""
    wanted = pc.is_in(manifest.table.column("sample_id"), pa.array(predictions["sample_id"]))
    rows = {row["sample_id"]: row for row in manifest.table.filter(wanted).to_pylist()}
    regions = [finder.find(rows[sample]) for sample in predictions["sample_id"]]
    values: dict[str, list[float]] = {name: [] for region in REGIONS for name in (region, f"{region}_area")}
    for one, found in zip(maps, regions, strict=True):
        shares = attention_shares(one[None], found.shares[None])[0] if found else np.full(len(REGIONS), np.nan)
        areas = found.shares.mean((0, 1)) / 255 if found else np.full(len(REGIONS), np.nan)
        for index, region in enumerate(REGIONS):
            values[region].append(float(shares[index]))
            values[f"{region}_area"].append(float(areas[index]))
    columns = predictions[["sample_id", "person_id", "is_synthetic", "target", "predicted", "confidence"]]
    known = [bool(found and found.background_known) for found in regions]
    return columns.assign(background_known=known, **values), regions


def summarise_attention(table: pd.DataFrame, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return mean shares of all photos, of right and wrong ones, by mask and by class; `times` is share over area."""
    mask = split_class_id(table["target"].to_numpy(np.int64))[0]
    right = (table["target"] == table["predicted"]).to_numpy()
    groups: list[tuple[str, np.ndarray]] = [("all", np.ones(len(table), bool)), ("right", right), ("wrong", ~right)]
    groups += [(f"mask {name}", mask == index) for index, name in enumerate(MASKS)]
    groups += [(name, (table["target"] == index).to_numpy()) for index, name in enumerate(names)]
    return [_group(title, table[chosen]) for title, chosen in groups if chosen.any()]


def _group(title: str, part: pd.DataFrame) -> dict[str, Any]:
    face, known = part[part["face"].notna()], part[part["background_known"] & part["face"].notna()]
    out: dict[str, Any] = {"name": title, "photos": len(part), "with_face": len(face), "with_background": len(known)}
    for region in REGIONS:
        rows = face if region == "face" else known
        share, area = rows[region].mean(), rows[f"{region}_area"].mean()
        shown = len(rows) > 0
        out[region] = {
            "share": float(share) if shown else None,
            "area": float(area) if shown else None,
            "times": float(share / area) if shown and area else None,
        }
    return out


def _sentence(part: pd.DataFrame) -> str:
    group = _group("", part)
    shares = [f"{region} {group[region]['share']:.0%}" for region in REGIONS if group[region]["share"] is not None]
    return f"Attention: {', '.join(shares)}." if shares else "Attention: not measured, no face is known."


def _tile(
    attention: AttentionMaps, pixels: np.ndarray, plain: np.ndarray, regions: Any, row: pd.Series, names: Sequence[str],
    rng: np.random.Generator,
) -> Tile:  # fmt: skip
    smooth = attention.smooth_map(as_image(pixels[None])[0], int(row["predicted"]), rng)
    lines = []
    if regions:
        lines = [(regions.shares[..., 0] > 127, FACE_LINE)]
        if regions.background_known:
            lines.append((regions.shares[..., 3] > 127, BACKGROUND_LINE))
    right = bool(row["target"] == row["predicted"])
    caption = f"{'right' if right else class_label(names[int(row['predicted'])])} {row['confidence']:.2f}"
    below = f"face {row['face']:.0%}" if regions else "no known face"
    if row["background_known"]:
        below += f", background {row['background']:.0%}"
    return Tile(pixels, {"Grad-CAM++": plain, "Smooth\nGrad-CAM++": smooth}, lines, caption, below, right)


def as_image(pixels: np.ndarray) -> torch.Tensor:
    """Convert pictures uint8 (B, H, W, 3) to float32 (B, 3, H, W) in [0, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255)


def _file_name(name: str) -> str:
    """Return a portable file name: "none male >=60" → none-male-60."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


_FOOTER = (
    "The maps explain the predicted class; each map is scaled to its own maximum. White line: face. "
    "Blue line: background."
)
