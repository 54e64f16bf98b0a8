"""The chart of colour values: how often red, green and blue occur."""

from __future__ import annotations

import numpy as np

from reporting.mean_images import Pictures
from reporting.theme import Figure, Palette, finish, tips


def colour_figure(pictures: Pictures, palette: Palette) -> Figure:
    """How often red, green and blue values occur."""
    import altair as alt

    colours = {"red": palette.red, "green": palette.green, "blue": palette.blue}
    bins = 64
    width = 256 / bins
    share = pictures.histogram.reshape(3, bins, -1).sum(2)
    top, cut_off = _ceiling(share)
    rows = [
        {"value": (k + 0.5) * width, "channel": name, "share": float(100 * share[c, k])}
        for c, name in enumerate(colours)
        for k in range(bins)
    ]
    means = [
        {"value": float(mean), "channel": name, "text": f"{name} {mean:.0f}", "end": 255}
        for name, mean in zip(colours, pictures.mean, strict=True)
    ]
    x = alt.X("value:Q", title="value of a pixel", axis=alt.Axis(values=[0, 64, 128, 192, 255], grid=False))
    x = x.scale(domain=[0, 255], nice=False)
    axis = alt.Axis(tickCount=4, domain=False, ticks=False, labelExpr="datum.label + ' %'")
    y = alt.Y("share:Q", title=None, axis=axis).scale(domain=[0, 100 * top], nice=False)
    colour = alt.Color("channel:N", legend=None).scale(domain=list(colours), range=list(colours.values()))
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y, color=colour)
    lines = base.mark_line(strokeWidth=2, interpolate="monotone", clip=True).encode(
        tooltip=tips("channel", "value", "share")
    )
    about = alt.Chart(alt.Data(values=means)).encode(x=x, color=colour)
    rules = about.mark_rule(strokeDash=[4, 3], strokeWidth=1.2)
    corner = x.copy()
    corner.shorthand = "end:Q"
    told = [
        alt.Chart(alt.Data(values=[mean]))
        .mark_text(align="right", baseline="top", dx=-4, y=2 + 17 * row, fontSize=12.5, fontWeight=600)
        .encode(x=corner, color=colour, text="text:N")
        for row, mean in enumerate(means)
    ]
    chart = finish(alt.layer(rules, lines, *told), palette, 230)
    brightest = list(colours)[int(np.argmax(pictures.mean))]
    title = f"{brightest.capitalize()} is the brightest channel: {pictures.mean.max():.0f} of 255 on average"
    scaled = (
        ", ".join(f"{value / 255:.3f}" for value in pictures.mean),
        ", ".join(f"{value / 255:.3f}" for value in pictures.deviation),
    )
    note = f"Dashed: means. On a scale to 1, red, green, blue: mean {scaled[0]}; standard deviation {scaled[1]}."
    if cut_off is not None:
        peak = 100 * float(share[:, cut_off].max())
        note += f" The peak at {round((cut_off + 0.5) * width)} reaches {peak:.0f} %: one plain background, as a rule."
    return Figure("colours", title, chart, note)


def _ceiling(share: np.ndarray) -> tuple[float, int | None]:
    """The top of the axis for shares (3, bins), and the bin that is cut off if it would flatten all the others."""
    tallest = share.max(0)
    peak = int(tallest.argmax())
    others = float(np.delete(tallest, range(max(0, peak - 1), min(len(tallest), peak + 2))).max())
    return (1.25 * others, peak) if 0 < 4 * others < tallest[peak] else (1.08 * float(tallest[peak]), None)
