"""The dataset report: one HTML file with every chart inside, light or dark as the reader's system is."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from data_manifests.labels import TASKS, label_names
from data_manifests.schema import STATUSES
from data_manifests.taxonomy import N_CLASSES, AgeCuts
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
    panel: dict[str, Any] = {"name": name, "census": census[name], "labels": label_tile(census[name])}
    panel |= {"figures": figures, "overall": None, "mean_grid": [], "mean_title": ""}
    statistics = measure_images(store, manifest.version, manifest.table, split)
    if statistics is None:
        return panel | {"note": "There is no usable image."}
    if statistics.read.sum():
        figures["colours"] = draw_figure(colour_figure(statistics, PAGE), _NARROW_PX, name)
        panel |= {"overall": image_url(statistics.overall), "mean_grid": mean_grid(statistics, manifest.cuts)}
        height, width = statistics.overall.shape[:2]
        panel |= {"mean_title": mean_title(statistics), "aspect": f"{width}/{height}"}
    return panel | {"note": f"{statistics.note()} {statistics.problem()}".strip()}


def label_tile(census: Census) -> tuple[str, str, str]:
    """Return name, figure and remark of the tile that states which labels the images have."""
    if census.classes.any():
        filled = int((census.classes.sum(1) > 0).sum())
        return "Classes with an image", f"{filled} of {N_CLASSES}", f"{census.unlabelled:,} images without a class"
    if not census.tasks:
        return "Labels", "none", "no label is known"
    missing = " and ".join(task for task in TASKS if task not in census.tasks)
    remark = f"{missing} unknown in all images" if missing else "no image has all three"
    return "Labels", ", ".join(census.tasks), remark


def mean_title(statistics: ImageStatistics) -> str:
    """Return the title of the mean images, such as "Mean image by mask, and of all images"."""
    if not statistics.tasks:
        return "Mean of all images"
    by = "of each class" if statistics.tasks == TASKS else f"by {' and '.join(statistics.tasks)}"
    return f"Mean image {by}, and of all images"


def mean_grid(statistics: ImageStatistics, cuts: AgeCuts) -> list[dict[str, Any]]:
    """Return the mean images as rows: `name`, and cells with `name`, `count` and `image`, which is None without a file.

    Rows are the labels of the first task that have images, and columns the combinations of the others; a single task
    has one row. Images that lack a label are a last cell of a single row, else a last row.
    """
    if not statistics.tasks:
        return []
    names = [[class_label(name) for name in label_names(task, cuts)] for task in statistics.tasks]
    first, *others = names if len(names) > 1 else [[""], *names]
    columns = [" ".join(words) for words in product(*others)]
    cells = [_cell(statistics, k, columns[k % len(columns)]) for k in range(len(first) * len(columns))]
    rows: list[dict[str, Any]] = [
        {"name": name, "cells": cells[at * len(columns) :][: len(columns)]} for at, name in enumerate(first)
    ]
    rows = [row for row in rows if any(cell["count"] for cell in row["cells"])]
    if statistics.counts[-1]:
        unlabelled = _cell(statistics, len(cells), "no label")
        if len(names) == 1 and rows:
            rows[0]["cells"].append(unlabelled)
        else:
            rows.append({"name": "a label is missing", "cells": [unlabelled]})
    return rows


def _cell(statistics: ImageStatistics, k: int, name: str) -> dict[str, Any]:
    image = image_url(statistics.means[k]) if statistics.read[k] else None
    return {"name": name, "count": int(statistics.counts[k]), "image": image}
