"""Sheets of what a network looks at in photos of each class, and how much of it is face, hair, clothes, background."""

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
from train.data import read_pixels
from train.evaluation import best_of, predict_rows, rows_of
from train.explain.cam import Attention, attention_shares
from train.explain.contact_sheets import BACKGROUND_LINE, FACE_LINE, Tile, sheet
from train.explain.regions import REGIONS, RegionFinder, find_regions
from train.reports import label_text, render
from train.runs import find_run

BATCH = 16
Say = Callable[[str], None]


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
    say: Say,
) -> Path:
    """Write a sheet for each class and a page into the run's folder; gives the page.

    `measured` photos of each class are measured with Grad-CAM++, `per_class` of them shown, with Smooth Grad-CAM++ too.
    What is explained is the class that the network names, be it right or wrong.
    """
    run = find_run(store, name)
    manifest = store.read(ref or run.about()["manifest"])
    trained = best_of(run)
    trained.check_taxonomy(manifest.cuts, manifest.version.ref)
    finder = find_regions(store, manifest, trained.settings.data, store.read(painted_ref) if painted_ref else None)
    attention = Attention(trained)
    rng = np.random.default_rng(seed)
    rows = choose_rows(rows_of(manifest, split, labelled=True), max(measured, per_class), rng)
    seen = predict_rows(trained, rows, store, manifest.version.ref, "predict")
    pixels = read_pixels(rows, store, trained.settings.data, manifest.version.ref).take(np.arange(len(seen)))
    maps = _maps(attention, pixels, seen["predicted"].tolist())
    table, regions = _measure(manifest, seen, maps, finder)
    folder = run.path / "attention"
    names, sheets = class_names(manifest.cuts), {}
    for class_id in tqdm(range(N_CLASSES), "sheets", unit="class", leave=False):
        shown = np.flatnonzero(seen["target"] == class_id)[:per_class]
        if len(shown):
            sheets[class_id] = f"{class_id:02d}-{_file_name(names[class_id])}.png"
            tiles = [
                _tile(attention, pixels[row], maps[row], regions[row], table.iloc[row], names, rng) for row in shown
            ]
            part = table[table["target"] == class_id]
            subtitle = f"{len(shown)} of {len(part)} photos measured. {_sentence(part)}"
            run.write(f"attention/{sheets[class_id]}", sheet(label_text(names[class_id]), subtitle, tiles, _FOOTER))
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
    say(f"{run.name} on {len(table)} photos of {manifest.version.ref}, {split}: {_sentence(table)}")
    say(f"wrote {folder / 'index.html'} and {len(sheets)} sheets")
    return folder / "index.html"


def choose_rows(table: pa.Table, per_class: int, rng: np.random.Generator) -> pa.Table:
    """Up to `per_class` rows of each class, of as many people as there are; photos are preferred to synthetic ones."""
    frame = table.select(["class_id", "person_id", "is_synthetic"]).to_pandas()
    frame["order"] = rng.permutation(len(frame))
    frame = frame.sort_values(["is_synthetic", "order"])
    frame["nth"] = frame.groupby(["class_id", "person_id"]).cumcount()  # of the person
    chosen = frame.sort_values(["class_id", "nth", "is_synthetic", "order"]).groupby("class_id").head(per_class)
    return table.take(pa.array(chosen.index.to_numpy()))


def _maps(attention: Attention, pixels: np.ndarray, class_id: Sequence[int]) -> np.ndarray:
    """Grad-CAM++ float32 (N, H, W) of pictures uint8 (N, H, W, 3)."""
    out = []
    for start in tqdm(range(0, len(pixels), BATCH), "attention", unit="batch", leave=False):
        part = slice(start, start + BATCH)
        out.append(attention.maps(as_image(pixels[part]), class_id[part]))
    return np.concatenate(out)


def _measure(
    manifest: Manifest, seen: pd.DataFrame, maps: np.ndarray, finder: RegionFinder
) -> tuple[pd.DataFrame, list[Any]]:
    """A row for each photo with `<region>` its share of attention and `<region>_area` its share of the picture."""
    wanted = pc.is_in(manifest.table.column("sample_id"), pa.array(seen["sample_id"]))
    rows = {row["sample_id"]: row for row in manifest.table.filter(wanted).to_pylist()}
    regions = [finder.of(rows[sample]) for sample in seen["sample_id"]]
    values: dict[str, list[float]] = {name: [] for region in REGIONS for name in (region, f"{region}_area")}
    for one, found in zip(maps, regions, strict=True):
        shares = attention_shares(one[None], found.shares[None])[0] if found else np.full(len(REGIONS), np.nan)
        areas = found.shares.mean((0, 1)) / 255 if found else np.full(len(REGIONS), np.nan)
        for index, region in enumerate(REGIONS):
            values[region].append(float(shares[index]))
            values[f"{region}_area"].append(float(areas[index]))
    kept = seen[["sample_id", "person_id", "is_synthetic", "target", "predicted", "confidence"]]
    known = [bool(found and found.background_known) for found in regions]
    return kept.assign(background_known=known, **values), regions


def summarise_attention(table: pd.DataFrame, names: Sequence[str]) -> list[dict[str, Any]]:
    """Mean shares of all, of right and wrong answers, by mask and by class; `times` is attention over area."""
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
    told = [f"{region} {group[region]['share']:.0%}" for region in REGIONS if group[region]["share"] is not None]
    return f"Attention: {', '.join(told)}." if told else "No face is known, so no share is."


def _tile(
    attention: Attention, pixels: np.ndarray, plain: np.ndarray, regions: Any, row: pd.Series, names: Sequence[str],
    rng: np.random.Generator,
) -> Tile:  # fmt: skip
    smooth = attention.smooth_map(as_image(pixels[None])[0], int(row["predicted"]), rng)
    lines = []
    if regions:
        lines = [(regions.shares[..., 0] > 127, FACE_LINE)]
        if regions.background_known:
            lines.append((regions.shares[..., 3] > 127, BACKGROUND_LINE))
    right = bool(row["target"] == row["predicted"])
    caption = f"{'right' if right else label_text(names[int(row['predicted'])])} {row['confidence']:.2f}"
    below = f"face {row['face']:.0%}" if regions else "no face known"
    if row["background_known"]:
        below += f", background {row['background']:.0%}"
    return Tile(pixels, {"Grad-CAM++": plain, "Smooth\nGrad-CAM++": smooth}, lines, caption, below, right)


def as_image(pixels: np.ndarray) -> torch.Tensor:
    """uint8 (B, H, W, 3) → float32 (B, 3, H, W) in [0, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255)


def _file_name(name: str) -> str:
    """ "none male >=60" → none-male-60: file names that every system takes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


_FOOTER = (
    "The class that the network names is explained; each map is scaled to its own maximum. White line: face. "
    "Blue line: background."
)
