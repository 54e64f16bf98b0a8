"""The report of a version: one HTML file with every chart inside, light or dark as the reader's system is."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data_manifests.schema import STATUSES
from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts
from data_manifests.versions import Manifest, Store, write_atomic
from reporting.dataset.census import COLUMNS, EVERYTHING, Census, take_census
from reporting.dataset.class_charts import figures, version_figure
from reporting.dataset.colour_charts import colour_figure
from reporting.mean_images import COLUMNS as PICTURE_COLUMNS
from reporting.mean_images import Pictures, measure
from reporting.theme import BY_PAGE, Figure, printed, to_svg

WIDE_PX, NARROW_PX = 1070, 510


def write_report(store: Store, ref: str, out: Path) -> Manifest:
    """Write the report of a version to `out`. Raises ManifestError for a version that is not there."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    manifest = store.read(ref, list(dict.fromkeys((*COLUMNS, *PICTURE_COLUMNS))))
    census = take_census(manifest.table)
    version = manifest.version
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": "{:,}".format}
    alone = ref.endswith(".parquet")  # a file may come from elsewhere: the versions here are not its history
    history = None if alone else version_figure(store.readable(version.name)[0], BY_PAGE)
    page = environment.get_template("report.html.j2").render(
        version=version,
        tags=[tag for tag, number in store.tags(version.name).items() if number == version.number],
        statuses=STATUSES,
        panels=[_panel(store, manifest, census, name) for name in census],
        history=_drawn(history, WIDE_PX) if history else None,
    )
    write_atomic(out, page.encode())
    return manifest


def _panel(store: Store, manifest: Manifest, census: Mapping[str, Census], name: str) -> dict[str, Any]:
    """What the page shows of one split, or of everything."""
    split = "" if name == EVERYTHING else name
    pictures = measure(store, manifest.version, manifest.table, split)
    drawn = {figure.key: _drawn(figure, NARROW_PX) for figure in figures(census, name, manifest.cuts, BY_PAGE)}
    if pictures and pictures.read.sum():
        drawn["colours"] = _drawn(colour_figure(pictures, BY_PAGE), NARROW_PX)
    return {
        "name": name,
        "census": census[name],
        "figures": drawn,
        "note": f"{pictures.note()} {pictures.trouble()}".strip()
        if pictures
        else "There is no usable picture with a class.",
        "overall": data_url(pictures.overall) if pictures and pictures.read.sum() else None,
        "faces": mean_grid(pictures, manifest.cuts) if pictures and pictures.read.sum() else [],
    }


def _drawn(figure: Figure, width: int) -> dict[str, str]:
    return {"title": figure.title, "svg": to_svg(figure, width), "note": figure.note}


def mean_grid(pictures: Pictures, cuts: AgeCuts) -> list[dict[str, Any]]:
    """Mean images in three rows, one per way of wearing a mask: name, and a cell per gender and age class."""
    columns: Sequence[str] = [printed(f"{gender} {age}") for gender in GENDERS for age in cuts.names]
    return [
        {
            "name": mask,
            "cells": [
                {
                    "name": name,
                    "count": int(pictures.counts[k]),
                    "image": data_url(pictures.means[k]) if pictures.read[k] else None,
                }
                for k, name in enumerate(columns, m * len(columns))
            ],
        }
        for m, mask in enumerate(MASKS)
    ]


def data_url(image: np.ndarray) -> str:
    """A small picture (H, W, 3) as an address that holds it."""
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
