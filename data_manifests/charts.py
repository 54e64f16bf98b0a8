"""Counts → charts (Altair), the same ones on the app's overview page and in the report.

A chart has no title of its own: `Figure.title` is a sentence that says what it shows, to be set by the page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from data_manifests.census import EVERYTHING, Census
from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts, class_names
from data_manifests.version import Version

if TYPE_CHECKING:
    import altair as alt

    from data_manifests.pictures import Pictures

    Chart = alt.LayerChart | alt.FacetChart  # what Altair says that layers are

HARD_AGES = (57, 59)  # just below 60: the ages that the recipe of `preprocess drop-ages` leaves out
KINDS = ("real", "synthetic")
_MOST_SIZES = 8
_BIN = 5  # years
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


def figures(census: Mapping[str, Census], split: str, cuts: AgeCuts, palette: Palette) -> list[Figure]:
    """The charts of one split (or `EVERYTHING`); those that would be empty are left out."""
    chosen = census[split]
    made = [
        class_figure(chosen, cuts, palette),
        stratum_figure(chosen, cuts, palette),
        age_figure(chosen, cuts, palette),
        pyramid_figure(chosen, palette),
        mask_figure(census, palette),
        size_figure(chosen, palette),
    ]
    return [figure for figure in made if figure]


# -- labels -----------------------------------------------------------------------------------------------------


def class_figure(census: Census, cuts: AgeCuts, palette: Palette) -> Figure | None:
    """Pictures of each of the 18 classes."""
    if not census.classes.sum():
        return None
    names = [printed(name) for name in class_names(cuts)]
    total = census.classes.sum(1)
    note = f"{census.unlabelled:,} pictures have no class: a label is missing." if census.unlabelled else ""
    return Figure("classes", _rarest(names, total, "class", "pictures"), _bars(names, census.classes, palette, 6), note)


def stratum_figure(census: Census, cuts: AgeCuts, palette: Palette) -> Figure | None:
    """Profiles of each gender and age class, which `synth` balances."""
    if not census.strata.sum():
        return None
    names = [printed(f"{gender} {age}") for gender in GENDERS for age in cuts.names]
    counts = census.strata.reshape(-1, 2)
    note = "A profile is one set of shots of a person; synthetic ones are counted with the person's own."
    return Figure(
        "strata", _rarest(names, counts.sum(1), "stratum", "profiles"), _bars(names, counts, palette, 3), note
    )


def age_figure(census: Census, cuts: AgeCuts, palette: Palette) -> Figure | None:
    """Profiles by year of age, with the cuts of the classes and the hard ages marked."""
    import altair as alt

    ages = census.ages.sum(0)
    total = int(ages.sum())
    if not total:
        return None
    low, high = (int(age) for age in np.flatnonzero(ages.sum(1))[[0, -1]])
    left, right = 10 * (min(low, cuts.middle) // 10), 10 * (max(high, cuts.old) // 10 + 1)
    rows = [
        {"from": age, "to": age + 1, "kind": kind, "profiles": int(pair[k]), "low": int(pair[:k].sum()),
         "high": int(pair[: k + 1].sum())}
        for age, pair in enumerate(ages)
        for k, kind in enumerate(KINDS)
        if pair[k]
    ]  # fmt: skip
    tallest = int(ages.sum(1).max())
    x = alt.X("from:Q", title="age in years", axis=alt.Axis(values=list(range(left, right + 1, 10)), grid=False))
    x = x.scale(domain=[left, right], nice=False)
    y = alt.Y("low:Q", title=None, axis=alt.Axis(tickCount=4, domain=False, ticks=False, format=",d"))
    y = y.scale(domain=[0, tallest * 1.16], nice=False)
    bars = alt.Chart(alt.Data(values=rows)).mark_bar(stroke=palette.card, strokeWidth=0.6)
    colour = _by_kind(palette, bool(ages[:, 1].any()))
    bars = bars.encode(x=x, x2="to:Q", y=y, y2="high:Q", color=colour, tooltip=_tips("from", "kind", "profiles"))
    first, last = HARD_AGES
    hard = int(ages[first : last + 1].sum())
    band = alt.Chart(
        alt.Data(values=[{"from": first, "to": last + 1, "middle": (first + last + 1) / 2, "text": f"{first}–{last}"}])
    )
    shade = band.mark_rect(color=palette.red, opacity=0.16).encode(x=x, x2="to:Q")
    label = band.mark_text(baseline="bottom", dx=0, y=-3, color=palette.red, fontSize=12)
    label = label.encode(x=alt.X("middle:Q"), text="text:N")
    edges = alt.Chart(alt.Data(values=[{"from": cut} for cut in (cuts.middle, cuts.old)]))
    lines = edges.mark_rule(color=palette.ink, strokeDash=[4, 3], strokeWidth=1.2).encode(x=x)
    spans = [max(left, low) for low in (left, cuts.middle, cuts.old)], [cuts.middle, cuts.old, right]
    by_class = [int(ages[a:b].sum()) for a, b in zip(*spans, strict=True)]
    heads = [
        {"from": (a + b) / 2, "text": f"{printed(name)}: {count:,}"}
        for a, b, name, count in zip(*spans, cuts.names, by_class, strict=True)
    ]
    told = alt.Chart(alt.Data(values=heads)).mark_text(baseline="top", y=4, color=palette.soft, fontSize=12)
    chart = finish(alt.layer(shade, bars, lines, told.encode(x=x, text="text:N"), label), palette, 230)
    title = f"{_share(hard, total)} of the profiles are {first} to {last}, where a year decides the class"
    if not first < cuts.old <= last + 1:
        title = f"{_share(hard, total)} of the profiles are {first} to {last}"
    return Figure("ages", title, chart, f"Dashed: the first age of a class ({cuts.middle} and {cuts.old}).")


def pyramid_figure(census: Census, palette: Palette) -> Figure | None:
    """Profiles by gender and five years of age."""
    import altair as alt

    counts = census.ages[: len(GENDERS)].sum(2)
    by_gender = counts.sum(1)
    if not by_gender.sum():
        return None
    used = np.flatnonzero(counts.sum(0)) // _BIN
    bins = list(range(int(used[-1]), int(used[0]) - 1, -1))
    names = [f"{_BIN * k}–{_BIN * k + _BIN - 1}" for k in bins]
    rows: list[dict[str, Any]] = []
    for gender, sign, of_gender in zip(GENDERS, (-1, 1), counts, strict=True):
        for k, name in zip(bins, names, strict=True):
            count = int(of_gender[_BIN * k : _BIN * (k + 1)].sum())
            rows.append({"age": name, "gender": gender, "profiles": count, "x": sign * count, "text": f"{count:,}"})
    most = max(row["profiles"] for row in rows) * 1.2
    y = alt.Y("age:N", title=None, sort=names, axis=alt.Axis(domain=False, ticks=False, grid=False, labelPadding=8))
    x = alt.X("x:Q", title=None, axis=None).scale(domain=[-most, most], nice=False)
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y)
    colour = alt.Color("gender:N", legend=None).scale(domain=list(GENDERS), range=[palette.blue, palette.green])
    bars = base.mark_bar(height={"band": 0.82}).encode(color=colour, tooltip=_tips("age", "gender", "profiles"))
    ends = [
        base.transform_filter(f"datum.gender == '{gender}' && datum.profiles > 0")
        .mark_text(align="right" if shift < 0 else "left", dx=shift, color=palette.soft, fontSize=11.5)
        .encode(text="text:N")
        for gender, shift in zip(GENDERS, (-5, 5), strict=True)
    ]
    heads = alt.Chart(
        alt.Data(
            values=[
                {"x": sign * most / 2, "text": f"{gender} {count:,}"}
                for gender, sign, count in zip(GENDERS, (-1, 1), by_gender.tolist(), strict=True)
            ]
        )
    )
    told = heads.mark_text(y=-10, fontWeight=600, color=palette.ink, fontSize=12.5).encode(x=x, text="text:N")
    chart = finish(alt.layer(bars, *ends, told), palette, 18 * len(bins))
    more = GENDERS[int(by_gender.argmax())]
    title = f"{_share(int(by_gender.max()), int(by_gender.sum()))} of the profiles are {more}"
    return Figure("pyramid", title, chart, f"Profiles by gender and {_BIN} years of age.")


def mask_figure(census: Mapping[str, Census], palette: Palette) -> Figure | None:
    """How masks are worn: the shares in everything and in each split."""
    import altair as alt

    if not census[EVERYTHING].masks.sum():
        return None
    rows = []
    for name, counted in census.items():
        counts = counted.masks.sum(1)
        ends = np.concatenate([[0], np.cumsum(counts / max(1, counts.sum()))])
        for k, mask in enumerate(MASKS):
            share = ends[k + 1] - ends[k]
            rows.append(
                {
                    "split": name, "mask": mask, "pictures": int(counts[k]), "from": ends[k], "to": ends[k + 1],
                    "middle": (ends[k] + ends[k + 1]) / 2, "text": f"{100 * share:.1f} %" if share > 0.07 else "",
                    "order": k,
                }
            )  # fmt: skip
    x = alt.X("from:Q", title=None, axis=None).scale(domain=[0, 1], nice=False)
    y = alt.Y(
        "split:N", title=None, sort=list(census), axis=alt.Axis(domain=False, ticks=False, grid=False, labelPadding=8)
    )
    base = alt.Chart(alt.Data(values=rows)).encode(y=y)
    colour = alt.Color("mask:N", legend=_legend()).scale(
        domain=list(MASKS), range=[palette.blue, palette.amber, palette.green]
    )
    bars = base.mark_bar(height={"band": 0.72}, stroke=palette.card, strokeWidth=1.5)
    bars = bars.encode(x=x, x2="to:Q", color=colour, tooltip=_tips("split", "mask", "pictures"))
    told = base.mark_text(color=palette.card, fontSize=12, fontWeight=600).encode(x="middle:Q", text="text:N")
    total = census[EVERYTHING].masks.sum(1)
    least = [mask for mask, count in zip(MASKS, total, strict=True) if count == total.min()]
    share = _share(int(total.min()), int(total.sum()))
    title = f"Masks: {' and '.join(f'“{mask}”' for mask in least)} "
    title += f"is the rarest with {share} of the pictures" if len(least) == 1 else f"are the rarest, {share} each"
    return Figure("masks", title, finish(alt.layer(bars, told), palette, 34 * len(census)))


# -- pictures ---------------------------------------------------------------------------------------------------


def size_figure(census: Census, palette: Palette) -> Figure | None:
    """The most frequent sizes of pictures."""
    if not census.sizes:
        return None
    total = sum(count for _, _, count in census.sizes)
    shown = census.sizes[:_MOST_SIZES]
    names = [f"{width} × {height}" for width, height, _ in shown]
    counts = [[count, 0] for _, _, count in shown]
    if rest := len(census.sizes) - len(shown):
        names.append(f"{rest:,} other sizes")
        counts.append([total - sum(count for _, _, count in shown), 0])
    width, height, count = census.sizes[0]
    title = f"All pictures are {width} × {height} pixels"
    if len(census.sizes) > 1:
        title = (
            f"{_share(count, total)} of the pictures are {width} × {height} pixels; {len(census.sizes):,} sizes in all"
        )
    return Figure("sizes", title, _bars(names, np.array(counts), palette))


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
        tooltip=_tips("channel", "value", "share")
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


# -- versions ---------------------------------------------------------------------------------------------------


def version_figure(versions: Sequence[Version], palette: Palette) -> Figure | None:
    """Usable pictures per age class in each version of a manifest; None for a single one."""
    import altair as alt

    if len(versions) < 2:
        return None
    cuts = AgeCuts(*versions[-1].age_cuts)
    rows: list[dict[str, Any]] = []
    for place, version in enumerate(versions):
        for k, name in enumerate(AgeCuts(*version.age_cuts).names):
            count = sum(of_class for class_id, of_class in version.classes.items() if int(class_id) % 3 == k)
            rows.append(
                {"place": place, "version": f"@{version.number}", "operation": version.operation, "age": str(k),
                 "pictures": count, "ages": printed(name)}
            )  # fmt: skip
    names = [f"@{version.number} {version.operation}" for version in versions]
    for row in rows:
        row["label"] = names[row["place"]]
    turn = len(names) > 6
    axis = alt.Axis(domain=False, ticks=False, grid=False, labelAngle=-35 if turn else 0, labelLimit=160)
    x = alt.X("label:N", title=None, sort=names, axis=axis)
    y = alt.Y("pictures:Q", title=None, axis=alt.Axis(tickCount=4, domain=False, ticks=False, format=",d"))
    colour = alt.Color("age:N", legend=None).scale(
        domain=list("012"), range=[palette.blue, palette.green, palette.amber]
    )
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y, color=colour)
    lines = base.mark_line(strokeWidth=2, point={"size": 36})
    lines = lines.encode(tooltip=_tips("label", "ages", "pictures"))
    last = sorted(rows[-3:], key=lambda row: row["pictures"])
    gap = max(row["pictures"] for row in rows) / 14  # the height of a line of text
    for below, row in zip([None, *last], last, strict=False):
        row["at"] = row["pictures"] if below is None else max(row["pictures"], below["at"] + gap)
    ends = alt.Chart(alt.Data(values=last)).mark_text(align="left", dx=8, fontSize=12)
    beside = y.copy()
    beside.shorthand = "at:Q"
    told = ends.encode(x=x, y=beside, color=colour, text="ages:N")
    title = f"Pictures of each age class, version by version of {versions[-1].name}"
    note = f"Usable pictures; classes {', '.join(map(printed, cuts.names))}."
    return Figure("versions", title, finish(alt.layer(lines, told), palette, 210), note)


# -- helpers ----------------------------------------------------------------------------------------------------


def printed(name: str) -> str:
    """A class name as print sets it: >=60 as ≥60, 30-59 with an en dash."""
    return re.sub(r"(\d)-(\d)", r"\1–\2", name.replace(">=", "≥"))


def _rarest(names: Sequence[str], counts: np.ndarray, what: str, unit: str) -> str:
    empty = [name for name, count in zip(names, counts.tolist(), strict=True) if not count]
    if empty:
        return f"{len(empty)} of {len(names)} {'classes' if what == 'class' else 'strata'} are empty: {_listed(empty)}"
    least, most = int(counts.argmin()), int(counts.argmax())
    told = f"“{names[least]}” is the rarest {what}: {counts[least]:,} {unit}"
    return f"{told}, and {counts[most] / counts[least]:.1f} times as many “{names[most]}”"


def _listed(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _share(part: int, whole: int) -> str:
    return f"{100 * part / max(1, whole):.1f} %"


def _bars(names: Sequence[str], counts: np.ndarray, palette: Palette, group: int = 0) -> Chart:
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
    bars = bars.encode(x=x.stack("zero"), y=y, color=_by_kind(palette, bool(counts[:, 1].any())), order=order)
    bars = bars.encode(tooltip=_tips("name", "kind", "count"))
    told = alt.Chart(alt.Data(values=totals)).mark_text(align="left", dx=6, fontSize=12)
    colour = alt.condition("datum.empty", alt.value(palette.red), alt.value(palette.soft))
    chart = alt.layer(bars, told.encode(x=x, y=y, text="text:N", color=colour))
    return finish(chart, palette, 21 * len(places))


def _told(real: int, made: int) -> str:
    return f"{real:,} + {made:,}" if made else f"{real:,}"


def _by_kind(palette: Palette, both: bool = True) -> alt.Color:
    import altair as alt

    colour = alt.Color("kind:N", legend=_legend() if both else None)
    return colour.scale(domain=list(KINDS), range=[palette.blue, palette.amber])


def _legend() -> alt.Legend:
    import altair as alt

    return alt.Legend(orient="bottom", title=None, direction="horizontal", symbolType="square", symbolSize=90, offset=6)


def _tips(*names: str) -> list[alt.Tooltip]:
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
