"""The confusion table of a classifier as a chart: on a page, in the app, and as a PNG of several tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reporting.charts import finish, quiet_axis, set_style, to_png
from reporting.tables import TASK_TITLES, share_text, task_labels
from reporting.theme import LIGHT, Palette

if TYPE_CHECKING:
    from data_manifests.taxonomy import AgeCuts
    from reporting.charts import Chart

_LARGE = 6  # more classes than this have small cells and vertical labels
_CELL_PX = {"large": (38, 32), "small": (84, 56)}  # width and height, by size of the table
_PNG_SCALE = 1.5


def confusion_cells(counts: Sequence[Sequence[int]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the cells of a confusion table (K, K), rows as labelled and columns as predicted.

    Each has `labelled`, `predicted`, `count`, `share` of its row, `outcome` (correct, wrong or empty), and a
    `description` in words.
    """
    cells = []
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            share = count / max(1, sum(row))
            cells.append(
                {
                    "labelled": names[i],
                    "predicted": names[j],
                    "count": count,
                    "share": share,
                    "outcome": "correct" if i == j else "wrong" if count else "empty",
                    "description": f"labelled {names[i]}, predicted {names[j]}: {count:,} ({share_text(share)})",
                }
            )
    return cells


def confusion_chart(counts: Sequence[Sequence[int]], names: Sequence[str], palette: Palette) -> Chart:
    """Return a table of counts (K, K), rows as labelled and columns as predicted, as wide as its container.

    A cell is blue where both agree and red elsewhere; its opacity is its share of the row.
    """
    height = len(names) * _cell_px(names)[1]
    return finish(_layers(counts, names, palette), palette, height)


def confusion_png(confusion: Mapping[str, Sequence[Sequence[int]]], cuts: AgeCuts, title: str) -> bytes:
    """Return a PNG of the confusion tables by task: the 18 classes at the left, mask, gender and age at the right.

    Tasks without a table in `confusion` are left out.
    """
    import altair as alt

    charts = {}
    for task, name in TASK_TITLES.items():
        if task not in confusion:
            continue
        names = task_labels(task, cuts)
        width, height = (len(names) * side for side in _cell_px(names))
        chart = _layers(confusion[task], names, LIGHT)
        charts[task] = chart.properties(width=width, height=height, title=alt.Title(name, anchor="start", dy=-4))
    whole = [charts.pop("class")] if "class" in charts else []
    tasks = [alt.vconcat(*charts.values(), spacing=18)] if charts else []
    sheet = alt.hconcat(*whole, *tasks, spacing=48)
    note = "Rows as labelled, columns as predicted; the darker a cell, the larger its share of the row."
    head = alt.Title(title, subtitle=note, anchor="start", fontSize=18, subtitlePadding=6, offset=18)
    sheet = sheet.properties(title=head, background=LIGHT.card, padding=24)
    sheet = set_style(sheet, LIGHT).configure_title(
        font=LIGHT.font, subtitleFont=LIGHT.font, color=LIGHT.ink, subtitleColor=LIGHT.soft, subtitleFontSize=13
    )
    return to_png(sheet, _PNG_SCALE)


def _layers(counts: Sequence[Sequence[int]], names: Sequence[str], palette: Palette) -> Chart:
    import altair as alt

    is_large = len(names) > _LARGE
    # the wide padding of titles allows for a reader's font that is wider than the one measured
    axis: dict[str, Any] = {"labelLimit": 200, "labelPadding": 6, "titlePadding": 20}
    top = quiet_axis(orient="top", labelAngle=-90 if is_large else 0, **axis)
    x = alt.X("predicted:N", title="predicted", axis=top).scale(domain=list(names))
    y = alt.Y("labelled:N", title="labelled", axis=quiet_axis(**axis)).scale(domain=list(names))
    base = alt.Chart(alt.Data(values=confusion_cells(counts, names))).encode(x=x, y=y)
    colours = {"correct": palette.blue, "wrong": palette.red, "empty": palette.soft}
    colour = alt.Color("outcome:N", legend=None).scale(domain=list(colours), range=list(colours.values()))
    cells = base.mark_rect(stroke=palette.card, strokeWidth=2, aria=True).encode(
        color=colour,
        # up to 0.6: numbers in the colour of the text stay readable, light and dark
        opacity=alt.Opacity("share:Q", legend=None).scale(domain=[0, 1], range=[0.06, 0.6]),
        description="description:N",
        tooltip=[
            alt.Tooltip("labelled:N"),
            alt.Tooltip("predicted:N"),
            alt.Tooltip("count:Q", format=","),
            alt.Tooltip("share:Q", title="share of the label", format=".1%"),
        ],
    )
    numbers = base.transform_filter("datum.count > 0").mark_text(fontSize=11 if is_large else 13)
    return alt.layer(cells, numbers.encode(text=alt.Text("count:Q", format=","), color=alt.value(palette.ink)))


def _cell_px(names: Sequence[str]) -> tuple[int, int]:
    return _CELL_PX["large" if len(names) > _LARGE else "small"]
