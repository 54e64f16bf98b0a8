"""Counts → charts (Altair), the same ones on the app's overview page and in the report.

A chart has no title of its own: `Figure.title` is a sentence that says what it shows, to be set by the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts, class_names
from data_manifests.versions import Version
from reporting.dataset.age_charts import age_figure, pyramid_figure
from reporting.dataset.census import EVERYTHING, Census
from reporting.theme import Figure, Palette, finish, legend, percent, printed, stacked_bars, tips

_MOST_SIZES = 8


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


def class_figure(census: Census, cuts: AgeCuts, palette: Palette) -> Figure | None:
    """Pictures of each of the 18 classes."""
    if not census.classes.sum():
        return None
    names = [printed(name) for name in class_names(cuts)]
    total = census.classes.sum(1)
    note = f"{census.unlabelled:,} pictures have no class: a label is missing." if census.unlabelled else ""
    return Figure(
        "classes", _rarest(names, total, "class", "pictures"), stacked_bars(names, census.classes, palette, 6), note
    )


def stratum_figure(census: Census, cuts: AgeCuts, palette: Palette) -> Figure | None:
    """Profiles of each gender and age class, which `synth` balances."""
    if not census.strata.sum():
        return None
    names = [printed(f"{gender} {age}") for gender in GENDERS for age in cuts.names]
    counts = census.strata.reshape(-1, 2)
    note = "A profile is one set of shots of a person; synthetic ones are counted with the person's own."
    return Figure(
        "strata", _rarest(names, counts.sum(1), "stratum", "profiles"), stacked_bars(names, counts, palette, 3), note
    )


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
    colour = alt.Color("mask:N", legend=legend()).scale(
        domain=list(MASKS), range=[palette.blue, palette.amber, palette.green]
    )
    bars = base.mark_bar(height={"band": 0.72}, stroke=palette.card, strokeWidth=1.5)
    bars = bars.encode(x=x, x2="to:Q", color=colour, tooltip=tips("split", "mask", "pictures"))
    told = base.mark_text(color=palette.card, fontSize=12, fontWeight=600).encode(x="middle:Q", text="text:N")
    total = census[EVERYTHING].masks.sum(1)
    least = [mask for mask, count in zip(MASKS, total, strict=True) if count == total.min()]
    share = percent(int(total.min()), int(total.sum()))
    title = f"Masks: {' and '.join(f'“{mask}”' for mask in least)} "
    title += f"is the rarest with {share} of the pictures" if len(least) == 1 else f"are the rarest, {share} each"
    return Figure("masks", title, finish(alt.layer(bars, told), palette, 34 * len(census)))


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
            f"{percent(count, total)} of the pictures are {width} × {height} pixels; {len(census.sizes):,} sizes in all"
        )
    return Figure("sizes", title, stacked_bars(names, np.array(counts), palette))


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
    lines = lines.encode(tooltip=tips("label", "ages", "pictures"))
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


def _rarest(names: Sequence[str], counts: np.ndarray, what: str, unit: str) -> str:
    empty = [name for name, count in zip(names, counts.tolist(), strict=True) if not count]
    if empty:
        return f"{len(empty)} of {len(names)} {'classes' if what == 'class' else 'strata'} are empty: {_listed(empty)}"
    least, most = int(counts.argmin()), int(counts.argmax())
    told = f"“{names[least]}” is the rarest {what}: {counts[least]:,} {unit}"
    return f"{told}, and {counts[most] / counts[least]:.1f} times as many “{names[most]}”"


def _listed(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
