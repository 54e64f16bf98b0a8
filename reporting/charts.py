"""Chart parts that reports and the app share (Altair): stacked bars, learning curve, style, SVG and PNG.

A chart has no title of its own: `Figure.title` states what it shows, and the page sets it.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from reporting.theme import Palette

if TYPE_CHECKING:  # importing Altair takes a second
    import altair as alt

    Chart = alt.LayerChart | alt.FacetChart  # what Altair returns for layers

KINDS = ("real", "synthetic")
LEARNING_CURVES = {  # title → lines, by column of metrics.csv
    "Macro F1 of the 18 classes": {"val": "val_f1", "train": "train_f1"},
    "Macro F1 on validation, by task": {"mask": "val_mask_f1", "gender": "val_gender_f1", "age": "val_age_f1"},
    "Loss": {"val": "val_loss", "train": "train_loss"},
}
CURVE_HEIGHT_PX = 210
_LINE_GAP_PX = 16  # between the labels at the ends of two lines
_PADDING = {"left": 10, "top": 6, "bottom": 4}  # px; the reader's font may be wider than the one measured


@dataclass(frozen=True)
class Figure:
    """A chart with its title, a sentence above it, and a note below it. `key` is unique on a page."""

    key: str
    title: str
    chart: Chart
    note: str = ""


# -- bars -------------------------------------------------------------------------------------------------------------
def stacked_bars(names: Sequence[str], counts: np.ndarray, palette: Palette, group: int = 0) -> Chart:
    """Return horizontal bars of counts (N, 2), real and synthetic, each with its number; a gap after every `group`."""
    import altair as alt

    places: list[str] = []
    for i, name in enumerate(names):
        if group and i and i % group == 0:
            places.append(" " * (i // group))  # an empty row
        places.append(name)
    rows = [
        {"name": name, "kind": kind, "count": int(count), "description": f"{name}, {kind}: {count:,}"}
        for name, pair in zip(names, counts, strict=True)
        for kind, count in zip(KINDS, pair, strict=True)
        if count
    ]
    totals = [
        {"name": name, "count": int(pair.sum()), "text": _sum_text(*pair.tolist()), "empty": not pair.sum()}
        for name, pair in zip(names, counts, strict=True)
    ]
    y = alt.Y("name:N", title=None, axis=quiet_axis(labelPadding=8, labelLimit=220)).scale(domain=places)
    x = alt.X("count:Q", title=None, axis=None).scale(domain=[0, max(1, int(counts.sum(1).max())) * 1.22], nice=False)
    bars = alt.Chart(alt.Data(values=rows)).mark_bar(height={"band": 0.74}, aria=True)
    order = alt.Order("kind:N", sort="ascending")
    bars = bars.encode(x=x.stack("zero"), y=y, color=kind_colour(palette, bool(counts[:, 1].any())), order=order)
    bars = bars.encode(description="description:N", tooltip=tooltips("name", "kind", "count"))
    numbers = alt.Chart(alt.Data(values=totals)).mark_text(align="left", dx=6, fontSize=12)
    colour = alt.condition("datum.empty", alt.value(palette.red), alt.value(palette.soft))
    chart = alt.layer(bars, numbers.encode(x=x, y=y, text="text:N", color=colour))
    return finish(chart, palette, 21 * len(places))


def _sum_text(real: int, synthetic: int) -> str:
    return f"{real:,} + {synthetic:,}" if synthetic else f"{real:,}"


# -- learning curve ---------------------------------------------------------------------------------------------------
def learning_curve(
    history: Mapping[str, Sequence[float]], columns: Mapping[str, str], palette: Palette, best: int | None = None
) -> Chart | None:
    """Return lines over epochs, each named at its end, with the epoch `best` marked.

    `history` has a column `epoch`; `columns` maps the name of a line to its column. An axis of F1 ends at 1. Returns
    None if the history has none of the columns.
    """
    import altair as alt

    lines = {name: history[column] for name, column in columns.items() if column in history}
    rows: list[dict[str, Any]] = [
        {"epoch": int(epoch), "line": name, "value": value, "description": f"{name}, epoch {epoch:.0f}: {value:.3f}"}
        for name, values in lines.items()
        for epoch, value in zip(history["epoch"], map(float, values), strict=True)
        if not math.isnan(value)
    ]
    if not rows:
        return None
    last = max(row["epoch"] for row in rows)
    is_f1 = all(column.endswith("f1") for column in columns.values())
    highest = 1.0 if is_f1 else max(row["value"] for row in rows) * 1.08 or 1.0
    ticks: dict[str, Any] = {"values": [0, 0.2, 0.4, 0.6, 0.8, 1]} if is_f1 else {"tickCount": 5}
    y_scale: dict[str, Any] = {"domain": [0, highest], "nice": False}
    y = alt.Y("value:Q", title=None, axis=alt.Axis(domain=False, ticks=False, labelPadding=6, **ticks)).scale(**y_scale)
    few = {"values": list(range(1, last + 1))} if last <= 6 else {"tickCount": 6}  # no ticks between two epochs
    whole = alt.Axis(grid=False, format="d", tickMinStep=1, labelFlush=False, **few)
    x = alt.X("epoch:Q", title="epoch", axis=whole).scale(domain=[min(1, last - 1), max(last, 2)], nice=False)
    colour = alt.Color("line:N", legend=None)
    colour = colour.scale(domain=list(lines), range=[palette.blue, palette.amber, palette.green])
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y, color=colour)
    points = base.mark_circle(size=22, opacity=1, aria=True).encode(
        description="description:N",
        tooltip=[alt.Tooltip("line:N", title="line"), alt.Tooltip("epoch:Q"), alt.Tooltip("value:Q", format=".3f")],
    )
    ends = [row | {"text": f"{row['line']} {row['value']:.2f}"} for row in rows if row["epoch"] == last]
    heights = spread([row["value"] / highest for row in ends], _LINE_GAP_PX / CURVE_HEIGHT_PX, 0.0, 1.0)
    ends = [row | {"height": height * highest} for row, height in zip(ends, heights, strict=True)]
    labels = alt.Chart(alt.Data(values=ends)).mark_text(align="left", dx=9, fontSize=12, fontWeight=600)
    labels = labels.encode(x=x, y=alt.Y("height:Q").scale(**y_scale), color=colour, text="text:N")
    layers = [base.mark_line(strokeWidth=2), points, labels]
    if best:
        mark = alt.Chart(alt.Data(values=[{"epoch": best}])).mark_rule(color=palette.faint, strokeDash=[4, 3])
        layers.insert(0, mark.encode(x=x))
    return finish(alt.layer(*layers), palette, CURVE_HEIGHT_PX, right=18)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return positions near the wanted ones, at least `gap` apart and, if they fit, between `low` and `high`."""
    order = np.argsort(np.array(wanted), kind="stable")
    places = np.array(wanted, float)
    for below, above in pairwise(order):
        places[above] = max(places[above], places[below] + gap)
    places[order] -= max(0.0, places[order[-1]] - high)
    for above, below in pairwise(order[::-1]):
        places[below] = min(places[below], places[above] - gap)
    places += max(0.0, low - float(places.min()))
    return [float(place) for place in places]


# -- style ------------------------------------------------------------------------------------------------------------
def quiet_axis(**options: Any) -> alt.Axis:
    """Return an axis of names: labels without lines."""
    import altair as alt

    return alt.Axis(domain=False, ticks=False, grid=False, **options)


def kind_colour(palette: Palette, has_both: bool = True) -> alt.Color:
    """Return the colours of real and synthetic, with a legend if a chart has both."""
    import altair as alt

    colour = alt.Color("kind:N", legend=legend() if has_both else None)
    return colour.scale(domain=list(KINDS), range=[palette.blue, palette.amber])


def legend() -> alt.Legend:
    """Return the legend below a chart."""
    import altair as alt

    return alt.Legend(orient="bottom", title=None, direction="horizontal", symbolType="square", symbolSize=90, offset=6)


_NOMINAL = {"name": "name", "kind": "kind", "gender": "gender", "age": "age", "mask": "mask", "split": "split",
            "channel": "channel", "label": "version", "ages": "age class"}  # fmt: skip


def tooltips(*names: str) -> list[alt.Tooltip]:
    """Return tooltips of columns; those that are not in `_NOMINAL` are numbers."""
    import altair as alt

    return [alt.Tooltip(f"{name}:{'N' if name in _NOMINAL else 'Q'}", title=_NOMINAL.get(name, name)) for name in names]


def finish(chart: Chart, palette: Palette, height: float, right: int = 4) -> Chart:
    """Set the height and the right padding in pixels, the width of the container, and the style."""
    size = {"width": "container", "height": height, "background": "transparent"}
    return set_style(chart.properties(**size, padding={**_PADDING, "right": right}), palette)


def set_style(chart: Any, palette: Palette) -> Any:
    """Return a whole chart with the same fonts and axes as every other."""
    text: dict[str, Any] = {"labelColor": palette.soft, "labelFontSize": 12, "titleColor": palette.soft}
    lines = {"gridColor": palette.rule, "domainColor": palette.rule, "tickColor": palette.rule}
    return (
        chart.configure(font=palette.font)
        .configure_text(font=palette.font)
        .configure_view(stroke=None)
        .configure_mark(aria=False)  # only a mark with a description gets a text to show on hover
        .configure_axis(**text, titleFontSize=12, titleFontWeight="normal", **lines)
        .configure_legend(**text)
    )


_ARIA_PATH = re.compile(r'<path aria-label="([^"]*)" role="graphics-symbol" aria-roledescription="[^"]*"([^>]*?)/>')


# -- files ------------------------------------------------------------------------------------------------------------
def to_svg(chart: Chart, key: str, width_px: int) -> str:
    """Return a chart as SVG for an HTML page, `width_px` wide at its own scale. `key` is unique on the page."""
    import vl_convert

    svg = vl_convert.vegalite_to_svg({**chart.to_dict(), "width": width_px, "autosize": "fit-x"})
    size = re.search(r'viewBox="[^"]+"', svg)
    assert size, "Vega writes the size of its drawing"
    opening = f'<svg class="chart" role="img" {size[0]} xmlns="http://www.w3.org/2000/svg">'
    svg = re.sub(r"^<svg[^>]*>", opening, svg, count=1)
    svg = _ARIA_PATH.sub(r"<path\2><title>\1</title></path>", svg)  # a browser shows a title on hover
    return re.sub(r'(id="|url\(#)', rf"\1{key}-", svg)  # ids of two charts on a page must differ


def to_png(chart: Any, scale: float) -> bytes:
    """Return a chart of a fixed size as PNG."""
    import vl_convert

    drawing = Image.open(io.BytesIO(vl_convert.vegalite_to_png(chart.to_dict(), scale=scale)), formats=("PNG",))
    small = io.BytesIO()
    drawing.convert("RGB").save(small, "PNG", optimize=True)
    return small.getvalue()
