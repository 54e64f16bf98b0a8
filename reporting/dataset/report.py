"""The dataset report: one HTML file with every chart inside, light or dark as the reader's system is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_manifests.schema import STATUSES
from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts
from data_manifests.versions import Manifest, Store, write_atomic
from reporting.dataset.census import COLUMNS, EVERYTHING, Census, take_census
from reporting.dataset.class_charts import census_figures, version_figure
from reporting.dataset.colour_charts import colour_figure
from reporting.html import draw_figure, render
from reporting.mean_images import COLUMNS as IMAGE_COLUMNS
from reporting.mean_images import ImageStatistics, measure_images
from reporting.tables import class_label
from reporting.theme import PAGE
from reporting.thumbnails import image_url

_TEMPLATE = Path(__file__).with_name("report.html.j2")
_WIDE_PX, _NARROW_PX = 1070, 510  # of charts


def write_report(store: Store, ref: str, out: Path) -> Manifest:
    """Write the report of a version to `out` and return its manifest. Raises ManifestError for an unknown version."""
    manifest = store.read(ref, list(dict.fromkeys((*COLUMNS, *IMAGE_COLUMNS))))
    census = take_census(manifest.table)
    version = manifest.version
    is_file = ref.endswith(".parquet")  # it may come from another workspace, so the versions here are not its history
    history = None if is_file else version_figure(store.readable(version.name)[0], PAGE)
    page = render(
        _TEMPLATE,
        version=version,
        tags=[tag for tag, number in store.tags(version.name).items() if number == version.number],
        statuses=STATUSES,
        panels=[_panel(store, manifest, census, name) for name in census],
        history=draw_figure(history, _WIDE_PX) if history else None,
    )
    write_atomic(out, page.encode())
    return manifest


def _panel(store: Store, manifest: Manifest, census: Mapping[str, Census], name: str) -> dict[str, Any]:
    """Return the values of the page for one split, or for `EVERYTHING`."""
    split = "" if name == EVERYTHING else name
    figures = {
        figure.key: draw_figure(figure, _NARROW_PX, name)
        for figure in census_figures(census, name, manifest.cuts, PAGE)
    }
    panel: dict[str, Any] = {"name": name, "census": census[name], "figures": figures, "overall": None, "mean_grid": []}
    statistics = measure_images(store, manifest.version, manifest.table, split)
    if statistics is None:
        return panel | {"note": "There is no usable image with a class."}
    if statistics.read.sum():
        figures["colours"] = draw_figure(colour_figure(statistics, PAGE), _NARROW_PX, name)
        panel |= {"overall": image_url(statistics.overall), "mean_grid": mean_grid(statistics, manifest.cuts)}
    return panel | {"note": f"{statistics.note()} {statistics.problem()}".strip()}


def mean_grid(statistics: ImageStatistics, cuts: AgeCuts) -> list[dict[str, Any]]:
    """Return the mean images in three rows, one per mask state: `name`, and a cell per gender and age class."""
    columns = [class_label(f"{gender} {age}") for gender in GENDERS for age in cuts.names]
    return [
        {
            "name": mask,
            "cells": [
                {
                    "name": name,
                    "count": int(statistics.counts[k]),
                    "image": image_url(statistics.means[k]) if statistics.read[k] else None,
                }
                for k, name in enumerate(columns, m * len(columns))
            ],
        }
        for m, mask in enumerate(MASKS)
    ]
