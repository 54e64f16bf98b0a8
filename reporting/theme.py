"""How every chart looks: colours, fonts, quiet axes, bars with their numbers, and a chart as SVG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import altair as alt

    Chart = alt.LayerChart | alt.FacetChart  # what Altair says that layers are

KINDS = ("real", "synthetic")
_PADDING = {"left": 10, "right": 4, "top": 6, "bottom": 4}  # px; the reader's font may be wider than the one measured
_FONT = "system-ui, 'Segoe UI', 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"


@dataclass(frozen=True)
class Palette:
    """Colours by what they are for (any CSS colour), and the font."""

    ink: str
    soft: str
    rule: str
    card: str
    blue: str
    amber: str
    green: str
    red: str
    font: str


_APP_FONT = "'Source Sans', 'Liberation Sans', Arial, sans-serif"  # Streamlit's
LIGHT = Palette("#1f2328", "#5d6570", "#e5e2dc", "#ffffff", "#2f6fb0", "#b8741a", "#3c8558", "#b3402f", _APP_FONT)
DARK = Palette("#e6e4e0", "#a3a9b1", "#2e3238", "#1d2024", "#74aee6", "#dba653", "#79bf94", "#e88a7a", _APP_FONT)
BY_PAGE = Palette(  # the page's style sheet decides
    "var(--ink)", "var(--soft)", "var(--rule)", "var(--card)", "var(--blue)", "var(--amber)", "var(--green)",
    "var(--red)", _FONT,
)  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """A chart with the sentence above it and the small print below it."""

    key: str
    title: str
    chart: Chart
    note: str = ""


def printed(name: str) -> str:
    """A class name as print sets it: >=60 as ≥60, 30-59 with an en dash."""
    return re.sub(r"(\d)-(\d)", r"\1–\2", name.replace(">=", "≥"))


def percent(part: int, whole: int) -> str:
    return f"{100 * part / max(1, whole):.1f} %"


def stacked_bars(names: Sequence[str], counts: np.ndarray, palette: Palette, group: int = 0) -> Chart:
    """Horizontal bars (N, 2) of real and synthetic, each with its number; a gap after every `group`."""
    import altair as alt

    places: list[str] = []
    for i, name in enumerate(names):
        if group and i and i % group == 0:
            places.append(" " * (i // group))  # a row without a name
        places.append(name)
    rows = [
        {"name": name, "kind": kind, "count": int(count)}
        for name, pair in zip(names, counts, strict=True)
        for kind, count in zip(KINDS, pair, strict=True)
        if count
    ]
    totals = [
        {"name": name, "count": int(pair.sum()), "text": _told(*pair.tolist()), "empty": not pair.sum()}
        for name, pair in zip(names, counts, strict=True)
    ]
    axis = alt.Axis(domain=False, ticks=False, grid=False, labelPadding=8, labelLimit=220)
    y = alt.Y("name:N", title=None, axis=axis).scale(domain=places)
    x = alt.X("count:Q", title=None, axis=None).scale(domain=[0, max(1, int(counts.sum(1).max())) * 1.22], nice=False)
    bars = alt.Chart(alt.Data(values=rows)).mark_bar(height={"band": 0.74})
    order = alt.Order("kind:N", sort="ascending")
    bars = bars.encode(x=x.stack("zero"), y=y, color=by_kind(palette, bool(counts[:, 1].any())), order=order)
    bars = bars.encode(tooltip=tips("name", "kind", "count"))
    told = alt.Chart(alt.Data(values=totals)).mark_text(align="left", dx=6, fontSize=12)
    colour = alt.condition("datum.empty", alt.value(palette.red), alt.value(palette.soft))
    chart = alt.layer(bars, told.encode(x=x, y=y, text="text:N", color=colour))
    return finish(chart, palette, 21 * len(places))


def _told(real: int, made: int) -> str:
    return f"{real:,} + {made:,}" if made else f"{real:,}"


def by_kind(palette: Palette, both: bool = True) -> alt.Color:
    import altair as alt

    colour = alt.Color("kind:N", legend=legend() if both else None)
    return colour.scale(domain=list(KINDS), range=[palette.blue, palette.amber])


def legend() -> alt.Legend:
    import altair as alt

    return alt.Legend(orient="bottom", title=None, direction="horizontal", symbolType="square", symbolSize=90, offset=6)


def tips(*names: str) -> list[alt.Tooltip]:
    import altair as alt

    return [alt.Tooltip(f"{name}:{'N' if name in _WORDS else 'Q'}", title=_WORDS.get(name, name)) for name in names]


_WORDS = {"name": "what", "kind": "kind", "gender": "gender", "age": "age", "mask": "mask", "split": "split",
          "channel": "channel", "label": "version", "ages": "age class"}  # fmt: skip


def finish(chart: Chart, palette: Palette, height: float) -> Chart:
    """Size, and the same quiet axes on every chart."""
    text: dict[str, Any] = {"labelColor": palette.soft, "labelFontSize": 12, "titleColor": palette.soft}
    axis = {
        **text,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "gridColor": palette.rule,
        "domainColor": palette.rule,
    }
    axis["tickColor"] = palette.rule
    return (
        chart.properties(width="container", height=height, background="transparent", padding=_PADDING)
        .configure(font=palette.font)
        .configure_text(font=palette.font)
        .configure_view(stroke=None)
        .configure_axis(**axis)
        .configure_legend(**text)
    )


def to_svg(figure: Figure, width: int) -> str:
    """The chart as SVG, `width` px wide at its own scale, to stand inside an HTML page."""
    import vl_convert

    svg = vl_convert.vegalite_to_svg({**figure.chart.to_dict(), "width": width, "autosize": "fit-x"})
    size = re.search(r'viewBox="[^"]+"', svg)
    assert size, "Vega says how large its drawing is"
    opening = f'<svg class="chart" role="img" {size[0]} xmlns="http://www.w3.org/2000/svg">'
    svg = re.sub(r"^<svg[^>]*>", opening, svg, count=1)
    return re.sub(r'(id="|url\(#)', rf"\1{figure.key}-", svg)  # ids must not meet those of the page's other charts
