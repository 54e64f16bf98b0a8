"""Chart of the colour values: distributions of red, green and blue."""

from __future__ import annotations

import numpy as np

from reporting.charts import Figure, finish, tooltips
from reporting.mean_images import ImageStatistics
from reporting.theme import Palette


def colour_figure(statistics: ImageStatistics, palette: Palette) -> Figure:
    """Return the distributions of the red, green and blue values of all images."""
    import altair as alt

    colours = {"red": palette.red, "green": palette.green, "blue": palette.blue}
    bins = 64
    width = 256 / bins
    share = statistics.histogram.reshape(3, bins, -1).sum(2)
    top, cut_off = _ceiling(share)
    rows = [
        {"value": (k + 0.5) * width, "channel": name, "share": float(100 * share[c, k])}
        for c, name in enumerate(colours)
        for k in range(bins)
    ]
    means = [
        {"value": float(mean), "channel": name, "text": f"{name} {mean:.0f}", "end": 255}
        for name, mean in zip(colours, statistics.mean, strict=True)
    ]
    x = alt.X("value:Q", title="pixel value", axis=alt.Axis(values=[0, 64, 128, 192, 255], grid=False))
    x = x.scale(domain=[0, 255], nice=False)
    axis = alt.Axis(tickCount=4, domain=False, ticks=False, labelExpr="datum.label + ' %'")
    y = alt.Y("share:Q", title=None, axis=axis).scale(domain=[0, 100 * top], nice=False)
    colour = alt.Color("channel:N", legend=None).scale(domain=list(colours), range=list(colours.values()))
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y, color=colour)
    lines = base.mark_line(strokeWidth=2, interpolate="monotone", clip=True).encode(
        tooltip=tooltips("channel", "value", "share")
    )
    marks = alt.Chart(alt.Data(values=means)).encode(x=x, color=colour)
    rules = marks.mark_rule(strokeDash=[4, 3], strokeWidth=1.2)
    corner = x.copy()
    corner.shorthand = "end:Q"
    labels = [
        alt.Chart(alt.Data(values=[mean]))
        .mark_text(align="right", baseline="top", dx=-18, y=2 + 17 * row, fontSize=12.5, fontWeight=600)
        .encode(x=corner, color=colour, text="text:N")
        for row, mean in enumerate(means)
    ]
    chart = finish(alt.layer(rules, lines, *labels), palette, 230)
    brightest = list(colours)[int(np.argmax(statistics.mean))]
    title = f"{brightest.capitalize()} is the brightest channel: {statistics.mean.max():.0f} of 255 on average"
    mean, deviation = (
        ", ".join(f"{value / 255:.3f}" for value in values) for values in (statistics.mean, statistics.deviation)
    )
    note = f"Dashed: means. Scaled to 0–1, in the order red, green, blue: mean {mean}; standard deviation {deviation}."
    if cut_off is not None:
        peak = 100 * float(share[:, cut_off].max())
        cause = "usually because of a plain background"
        note += f" The peak at {round((cut_off + 0.5) * width)} is cut off: it reaches {peak:.0f} %, {cause}."
    return Figure("colours", title, chart, note)


def _ceiling(share: np.ndarray) -> tuple[float, int | None]:
    """Return the upper end of the axis for shares (3, bins), and the bin that is cut off if it dwarfs all others."""
    tallest = share.max(0)
    peak = int(tallest.argmax())
    others = float(np.delete(tallest, range(max(0, peak - 1), min(len(tallest), peak + 2))).max())
    return (1.25 * others, peak) if 0 < 4 * others < tallest[peak] else (1.08 * float(tallest[peak]), None)
