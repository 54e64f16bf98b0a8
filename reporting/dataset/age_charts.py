"""Charts of ages: by year with the bounds of the age classes, and by gender."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_manifests.taxonomy import GENDERS, AgeCuts
from reporting.charts import KINDS, Figure, finish, kind_colour, quiet_axis, tooltips
from reporting.dataset.census import Census
from reporting.tables import class_label, percent
from reporting.theme import Palette

HARD_AGES = (57, 59)  # years, just below 60: the ages that `preprocess drop-ages` excludes by default
_BIN_YEARS = 5


def age_figure(census: Census, cuts: AgeCuts, palette: Palette) -> Figure | None:
    """Return profiles by year of age, with the bounds of the age classes and the hard ages marked."""
    import altair as alt

    ages = census.ages.sum(0)
    total = int(ages.sum())
    if not total:
        return None
    low, high = (int(age) for age in np.flatnonzero(ages.sum(1))[[0, -1]])
    left, right = 10 * (min(low, cuts.middle) // 10), 10 * (max(high, cuts.old) // 10 + 1)
    rows = [
        {"from": age, "to": age + 1, "kind": kind, "profiles": int(pair[k]), "low": int(pair[:k].sum()),
         "high": int(pair[: k + 1].sum()), "description": f"{age} years, {kind}: {pair[k]:,}"}
        for age, pair in enumerate(ages)
        for k, kind in enumerate(KINDS)
        if pair[k]
    ]  # fmt: skip
    tallest = int(ages.sum(1).max())
    x = alt.X("from:Q", title="age in years", axis=alt.Axis(values=list(range(left, right + 1, 10)), grid=False))
    x = x.scale(domain=[left, right], nice=False)
    y = alt.Y("low:Q", title=None, axis=alt.Axis(tickCount=4, tickMinStep=1, domain=False, ticks=False, format=",d"))
    y = y.scale(domain=[0, tallest * 1.16], nice=False)
    bars = alt.Chart(alt.Data(values=rows)).mark_bar(stroke=palette.card, strokeWidth=0.6, aria=True)
    colour = kind_colour(palette, bool(ages[:, 1].any()))
    bars = bars.encode(
        description="description:N",
        x=x,
        x2="to:Q",
        y=y,
        y2="high:Q",
        color=colour,
        tooltip=tooltips("from", "kind", "profiles"),
    )
    first, last = HARD_AGES
    is_hard = first < cuts.old <= last + 1
    band = alt.Chart(
        alt.Data(values=[{"from": first, "to": last + 1, "middle": (first + last + 1) / 2, "text": f"{first}–{last}"}])
    )
    shade = band.mark_rect(color=palette.red, opacity=0.16).encode(x=x, x2="to:Q")
    label = band.mark_text(baseline="bottom", dx=0, y=-3, color=palette.red, fontSize=12)
    label = label.encode(x=alt.X("middle:Q"), text="text:N")
    edges = alt.Chart(alt.Data(values=[{"from": cut} for cut in cuts.starts]))
    lines = edges.mark_rule(color=palette.ink, strokeDash=[4, 3], strokeWidth=1.2).encode(x=x)
    spans = [max(left, low) for low in (left, *cuts.starts)], [*cuts.starts, right]
    by_class = [int(ages[a:b].sum()) for a, b in zip(*spans, strict=True)]
    heads = [
        {"from": (a + b) / 2, "text": f"{class_label(name)}: {count:,}"}
        for a, b, name, count in zip(*spans, cuts.names, by_class, strict=True)
    ]
    names = alt.Chart(alt.Data(values=heads)).mark_text(baseline="top", y=4, color=palette.soft, fontSize=12)
    layers = [bars, lines, names.encode(x=x, text="text:N")]
    chart = finish(alt.layer(*([shade, *layers, label] if is_hard else layers)), palette, 230)
    middle = int(np.searchsorted(np.cumsum(ages.sum(1)), total / 2))
    title = f"Ages {low} to {high}; half of the profiles are {middle} or younger"
    hard = int(ages[first : last + 1].sum())
    if is_hard and hard:
        title = f"{percent(hard, total)} of the profiles are {first} to {last}, where one year decides the class"
    note = f"Dashed: the first age of a class ({cuts.middle} and {cuts.old})."
    if unknown := census.profiles - total:
        note += f" {unknown:,} profiles have no age in years."
    return Figure("ages", title, chart, note)


def pyramid_figure(census: Census, palette: Palette) -> Figure | None:
    """Return profiles by gender and five years of age."""
    import altair as alt

    counts = census.ages[: len(GENDERS)].sum(2)
    by_gender = counts.sum(1)
    if not by_gender.sum():
        return None
    used = np.flatnonzero(counts.sum(0)) // _BIN_YEARS
    bins = list(range(int(used[-1]), int(used[0]) - 1, -1))
    names = [f"{_BIN_YEARS * k}–{_BIN_YEARS * k + _BIN_YEARS - 1}" for k in bins]
    rows: list[dict[str, Any]] = []
    for gender, sign, of_gender in zip(GENDERS, (-1, 1), counts, strict=True):
        for k, name in zip(bins, names, strict=True):
            count = int(of_gender[_BIN_YEARS * k : _BIN_YEARS * (k + 1)].sum())
            row = {"age": name, "gender": gender, "profiles": count, "x": sign * count, "text": f"{count:,}"}
            rows.append(row | {"description": f"{gender}, {name} years: {count:,}"})
    widest = max(row["profiles"] for row in rows) * 1.2
    y = alt.Y("age:N", title=None, sort=names, axis=quiet_axis(labelPadding=8))
    x = alt.X("x:Q", title=None, axis=None).scale(domain=[-widest, widest], nice=False)
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y)
    colour = alt.Color("gender:N", legend=None).scale(domain=list(GENDERS), range=[palette.blue, palette.green])
    bars = base.mark_bar(height={"band": 0.82}, aria=True).encode(
        color=colour, description="description:N", tooltip=tooltips("age", "gender", "profiles")
    )
    ends = [
        base.transform_filter(f"datum.gender == '{gender}' && datum.profiles > 0")
        .mark_text(align="right" if shift < 0 else "left", dx=shift, color=palette.soft, fontSize=11.5)
        .encode(text="text:N")
        for gender, shift in zip(GENDERS, (-5, 5), strict=True)
    ]
    heads = alt.Chart(
        alt.Data(
            values=[
                {"x": sign * widest / 2, "text": f"{gender} {count:,}"}
                for gender, sign, count in zip(GENDERS, (-1, 1), by_gender.tolist(), strict=True)
            ]
        )
    )
    titles = heads.mark_text(y=-10, fontWeight=600, color=palette.ink, fontSize=12.5).encode(x=x, text="text:N")
    chart = finish(alt.layer(bars, *ends, titles), palette, 18 * len(bins))
    majority = GENDERS[int(by_gender.argmax())]
    title = f"{percent(int(by_gender.max()), int(by_gender.sum()))} of the profiles are {majority}"
    note = f"Profiles by gender and {_BIN_YEARS} years of age."
    if unknown := census.profiles - int(counts.sum()):
        note += f" {unknown:,} profiles lack one of the two."
    return Figure("pyramid", title, chart, note)
