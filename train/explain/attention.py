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

from data_manifests.labels import TASKS, UNKNOWN, class_of_labels, label_names, labels_of_class
from data_manifests.taxonomy import MASKS, AgeCuts, class_names
from data_manifests.versions import Manifest, Store
from pipeline.runs import TARGETS, find_run
from reporting.mistakes import is_wrong, known_labels, labels_in
from reporting.tables import class_label
from train.data import labels_of, read_pixels
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
    labelled = usable_rows(manifest, split, tasks=trained.tasks)
    groups, names = label_groups(known_labels(labels_of(labelled).labels, trained.tasks), manifest.cuts)
    rows = choose_rows(labelled, groups, max(measured, per_class), rng)
    predictions = predict_rows(trained, rows, store, manifest.version.ref, "predict")
    predictions["group"] = pd.Series(groups, labelled["sample_id"].to_pylist()).loc[predictions["sample_id"]].to_numpy()
    pixels = read_pixels(rows, store, trained.settings.data, manifest.version.ref).take(np.arange(len(predictions)))
    maps = _maps(attention, pixels, predictions["predicted"].tolist())
    predictions["wrong"] = is_wrong(labels_in(predictions), predictions["predicted"].to_numpy(), trained.tasks)
    table, regions = _measure(manifest, predictions, maps, finder)
    folder, sheets = run.path / "attention", {}
    for group in tqdm(range(len(names)), "sheets", unit="class", leave=False):
        part = table[table["group"] == group]
        shown = np.flatnonzero(table["group"] == group)[:per_class]
        if len(shown):
            shown_names = [prediction_name(table["predicted"].iloc[row], trained.tasks, manifest.cuts) for row in shown]
            tiles = [
                _tile(attention, pixels[row], maps[row], regions[row], table.iloc[row], name, rng)
                for row, name in zip(shown, shown_names, strict=True)
            ]
            sheets[group] = f"{group:02d}-{_file_name(names[group])}.png"
            subtitle = f"{len(shown)} of {len(part)} photos measured. {_sentence(part)}"
            png = contact_sheet(class_label(names[group]), subtitle, tiles, _FOOTER)
            run.write(f"attention/{sheets[group]}", png)
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


def label_groups(labels: np.ndarray, cuts: AgeCuts) -> tuple[np.ndarray, list[str]]:
    """Return the group (N,) of labels (N, 3) and the names of the groups: the 18 classes where all labels are known.

    Otherwise there is a group for each combination of known labels that occurs.
    """
    classes = class_of_labels(labels)
    if (classes != UNKNOWN).all():
        return classes, class_names(cuts)
    found, group = np.unique(labels, axis=0, return_inverse=True)
    return group.reshape(-1), [_label_text(row, cuts) for row in found]


def prediction_name(class_id: int, tasks: Sequence[str], cuts: AgeCuts) -> str:
    """Return the predicted labels of `tasks` as text."""
    return _label_text(known_labels(labels_of_class(np.array([class_id])), tasks)[0], cuts)


def _label_text(labels: np.ndarray, cuts: AgeCuts) -> str:
    """Return the known labels of (3,) as text, such as "worn <30"."""
    known = zip(TASKS, labels.tolist(), strict=True)
    return " ".join(label_names(task, cuts)[code] for task, code in known if code != UNKNOWN)


def choose_rows(table: pa.Table, groups: np.ndarray, per_group: int, rng: np.random.Generator) -> pa.Table:
    """Return up to `per_group` rows of each group (N,), of as many people as possible; real photos come first."""
    frame = table.select(["person_id", "is_synthetic"]).to_pandas().assign(group=groups)
    frame["order"] = rng.permutation(len(frame))
    frame = frame.sort_values(["is_synthetic", "order"])
    frame["nth"] = frame.groupby(["group", "person_id"]).cumcount()  # position among the person's photos
    chosen = frame.sort_values(["group", "nth", "is_synthetic", "order"]).groupby("group").head(per_group)
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
    columns = predictions[["sample_id", "person_id", "is_synthetic", "target", *TARGETS.values(), "group", "predicted",
                           "wrong", "confidence"]]  # fmt: skip
    known = [bool(found and found.background_known) for found in regions]
    return columns.assign(background_known=known, **values), regions


def summarise_attention(table: pd.DataFrame, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return mean shares of all photos, of right and wrong ones, by mask and by class; `times` is share over area."""
    mask, wrong = table[TARGETS["mask"]].to_numpy(), table["wrong"].to_numpy()
    groups: list[tuple[str, np.ndarray]] = [("all", np.ones(len(table), bool)), ("right", ~wrong), ("wrong", wrong)]
    groups += [(f"mask {name}", mask == index) for index, name in enumerate(MASKS) if name not in names]
    groups += [(name, (table["group"] == index).to_numpy()) for index, name in enumerate(names)]
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
    attention: AttentionMaps, pixels: np.ndarray, plain: np.ndarray, regions: Any, row: pd.Series, predicted: str,
    rng: np.random.Generator,
) -> Tile:  # fmt: skip
    smooth = attention.smooth_map(as_image(pixels[None])[0], int(row["predicted"]), rng)
    lines = []
    if regions:
        lines = [(regions.shares[..., 0] > 127, FACE_LINE)]
        if regions.background_known:
            lines.append((regions.shares[..., 3] > 127, BACKGROUND_LINE))
    right = not row["wrong"]
    caption = f"{'right' if right else class_label(predicted)} {row['confidence']:.2f}"
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
