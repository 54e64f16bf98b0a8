"""Charts of a census: classes, strata, masks and image sizes; and of the versions of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data_manifests.schema import USABLE
from data_manifests.taxonomy import GENDERS, MASKS, N_AGE_CLASSES, AgeCuts, class_names, split_class_id
from data_manifests.versions import Version
from reporting.charts import Figure, finish, legend, quiet_axis, spread, stacked_bars, tooltips
from reporting.dataset.age_charts import age_figure, pyramid_figure
from reporting.dataset.census import EVERYTHING, Census
from reporting.tables import class_label, percent
from reporting.theme import Palette

_MAX_SIZES = 8  # image sizes in a chart
_VERSIONS_HEIGHT_PX = 210
_PLURALS = {"class": "classes", "age class": "age classes", "stratum": "strata"}
_BALANCED = 1.1  # the largest group has less than this many times the images of the smallest


def census_figures(census: Mapping[str, Census], split: str, cuts: AgeCuts, palette: Palette) -> list[Figure]:
    """Return the charts of one split (or `EVERYTHING`), without those that would be empty."""
    chosen = census[split]
    figures = [
        class_figure(chosen, cuts, palette),
        stratum_figure(chosen, cuts, palette),
        age_figure(chosen, cuts, palette),
        pyramid_figure(chosen, palette),
        mask_figure(census, palette),
        size_figure(chosen, palette),
    ]
    return [figure for figure in figures if figure]


def class_figure(census: Census, cuts: AgeCuts, palette: Palette) -> Figure | None:
    """Return images of each of the 18 classes, or of each mask where no image has all three labels."""
    if not census.classes.any():
        title = _rarest(MASKS, census.masks.sum(1), "mask", "images")
        return Figure("classes", title, stacked_bars(MASKS, census.masks, palette)) if census.masks.any() else None
    names = [class_label(name) for name in class_names(cuts)]
    title = _rarest(names, census.classes.sum(1), "class", "images")
    note = f"{census.unlabelled:,} images have no class: a label is missing." if census.unlabelled else ""
    return Figure("classes", title, stacked_bars(names, census.classes, palette, 6), note)


def stratum_figure(census: Census, cuts: AgeCuts, palette: Palette) -> Figure | None:
    """Return profiles of each gender and age class, which `synth` balances; of one of them where only that is known."""
    names = [class_label(f"{gender} {age}") for gender in GENDERS for age in cuts.names]
    counts, group, kind = census.strata.reshape(-1, 2), N_AGE_CLASSES, "stratum"
    if not counts.any():
        kind, names, counts = "gender", list(GENDERS), census.genders
        if census.age_classes.sum() > counts.sum():  # no profile has both: the one that more profiles have
            kind, names, counts = "age class", list(map(class_label, cuts.names)), census.age_classes
        group = 0
        if not counts.any():
            return None
    title = _rarest(names, counts.sum(1), kind, "profiles")
    note = "A profile is one set of shots of a person; synthetic profiles count for the person they were made from."
    if unknown := census.profiles - int(counts.sum()):
        note = f"{unknown:,} profiles have no label here. {note}"
    return Figure("strata", title, stacked_bars(names, counts, palette, group), note)


def mask_figure(census: Mapping[str, Census], palette: Palette) -> Figure | None:
    """Return the shares of the mask states in all rows and in each split."""
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
                    "split": name, "mask": mask, "images": int(counts[k]), "from": ends[k], "to": ends[k + 1],
                    "middle": (ends[k] + ends[k + 1]) / 2, "text": f"{100 * share:.1f} %" if share > 0.07 else "",
                    "order": k, "description": f"{name}, {mask}: {counts[k]:,} images, {100 * share:.1f} %",
                }
            )  # fmt: skip
    x = alt.X("from:Q", title=None, axis=None).scale(domain=[0, 1], nice=False)
    y = alt.Y("split:N", title=None, sort=list(census), axis=quiet_axis(labelPadding=8))
    base = alt.Chart(alt.Data(values=rows)).encode(y=y)
    colour = alt.Color("mask:N", legend=legend())
    colour = colour.scale(domain=list(MASKS), range=[palette.blue, palette.amber, palette.green])
    bars = base.mark_bar(height={"band": 0.72}, stroke=palette.card, strokeWidth=1.5, aria=True)
    bars = bars.encode(
        x=x, x2="to:Q", color=colour, description="description:N", tooltip=tooltips("split", "mask", "images")
    )
    shares = base.mark_text(color=palette.card, fontSize=12, fontWeight=600).encode(x="middle:Q", text="text:N")
    total = census[EVERYTHING].masks.sum(1)
    unknown = census[EVERYTHING].rows - int(total.sum())
    note = f"{unknown:,} images have no mask label." if unknown else ""
    return Figure("masks", _mask_title(total), finish(alt.layer(bars, shares), palette, 34 * len(census)), note)


def _mask_title(total: np.ndarray) -> str:
    """Return a title that names the rarest masks, from the images of each (3,)."""
    if (total > 0).sum() == 1:
        return f"Masks: all images are labelled “{MASKS[int(total.argmax())]}”"
    if total.max() < _BALANCED * total.min():
        low, high = (percent(count, total.sum()) for count in (total.min(), total.max()))
        return f"Masks: {low if low == high else f'{low} to {high}'} of the images each"
    rarest = [mask for mask, count in zip(MASKS, total, strict=True) if count == total.min()]
    share = percent(int(total.min()), int(total.sum()))
    title = f"Masks: {' and '.join(f'“{mask}”' for mask in rarest)} "
    return title + (
        f"is the rarest with {share} of the images" if len(rarest) == 1 else f"are the rarest, {share} each"
    )


def size_figure(census: Census, palette: Palette) -> Figure | None:
    """Return the most frequent image sizes."""
    if not census.sizes:
        return None
    total = sum(count for _, _, count in census.sizes)
    shown = census.sizes[:_MAX_SIZES]
    names = [f"{width} × {height}" for width, height, _ in shown]
    counts = [[count, 0] for _, _, count in shown]
    if rest := len(census.sizes) - len(shown):
        names.append(f"{rest:,} other sizes")
        counts.append([total - sum(count for _, _, count in shown), 0])
    width, height, count = census.sizes[0]
    title = f"All images are {width} × {height} pixels"
    if len(census.sizes) > 1:
        share = percent(count, total)
        title = f"{share} of the images are {width} × {height} pixels; {len(census.sizes):,} sizes in all"
    return Figure("sizes", title, stacked_bars(names, np.array(counts), palette))


def version_figure(versions: Sequence[Version], palette: Palette) -> Figure | None:
    """Return usable images per age class in each version of a data set; None for a single version.

    Versions record images by class only, so where no row has all three labels the images are not divided.
    """
    import altair as alt

    if len(versions) < 2:
        return None
    cuts = AgeCuts(*versions[-1].age_cuts)
    names = [f"@{version.number} {version.operation}" for version in versions]
    rows: list[dict[str, Any]] = []
    has_classes = any(version.classes for version in versions)
    for label, version in zip(names, versions, strict=True):
        if not has_classes:
            images = sum(version.ledger.get(status, 0) for status in USABLE)
            row = {"label": label, "age": "0", "ages": "usable images", "images": images}
            rows.append(row | {"description": f"{label}: {images:,} images"})
            continue
        class_ids = np.array([int(class_id) for class_id in version.classes], np.int64)
        counts = np.bincount(split_class_id(class_ids)[2], list(version.classes.values()), minlength=3)
        for k, name in enumerate(AgeCuts(*version.age_cuts).names):
            row = {"label": label, "age": str(k), "ages": class_label(name), "images": int(counts[k])}
            rows.append(row | {"description": f"{label}, {row['ages']}: {row['images']:,} images"})
    axis = quiet_axis(labelAngle=-35 if len(names) > 6 else 0, labelLimit=160, labelPadding=10)
    x = alt.X("label:N", title=None, sort=names, axis=axis)
    y = alt.Y("images:Q", title=None, axis=alt.Axis(tickCount=4, domain=False, ticks=False, format=",d"))
    colour = alt.Color("age:N", legend=None)
    colour = colour.scale(domain=list("012"), range=[palette.blue, palette.green, palette.amber])
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y, color=colour)
    points = base.mark_circle(size=36, opacity=1, aria=True)
    points = points.encode(description="description:N", tooltip=tooltips("label", "ages", "images"))
    last = rows[-N_AGE_CLASSES:] if has_classes else rows[-1:]
    highest = max(row["images"] for row in rows)
    heights = spread([row["images"] for row in last], highest / 14, 0, highest)  # the height of a line of text
    ends = [row | {"height": height} for row, height in zip(last, heights, strict=True)]
    beside = y.copy()
    beside.shorthand = "height:Q"
    labels = alt.Chart(alt.Data(values=ends)).mark_text(align="left", dx=8, fontSize=12)
    labels = labels.encode(x=x, y=beside, color=colour, text="ages:N")
    title = f"Images of each age class, version by version of {versions[-1].name}"
    note = f"Usable images; age classes {', '.join(map(class_label, cuts.names))}."
    if not has_classes:
        title, note = f"Usable images, version by version of {versions[-1].name}", ""
    return Figure(
        "versions",
        title,
        finish(alt.layer(base.mark_line(strokeWidth=2), points, labels), palette, _VERSIONS_HEIGHT_PX),
        note,
    )


def _rarest(names: Sequence[str], counts: np.ndarray, group: str, unit: str) -> str:
    """Return a title that names the empty groups or, if there are none, the smallest and the largest."""
    empty = [name for name, count in zip(names, counts.tolist(), strict=True) if not count]
    groups = _PLURALS.get(group, f"{group}s")
    if empty:
        return (
            f"{len(empty)} of {len(names)} {groups} {'is' if len(empty) == 1 else 'are'} empty: {_first_names(empty)}"
        )
    smallest, largest = int(counts.argmin()), int(counts.argmax())
    if counts[largest] < _BALANCED * counts[smallest]:
        low = f"{counts[smallest]:,} to " if counts[smallest] < counts[largest] else ""
        return f"The {groups} are balanced: {low}{_number(counts[largest], unit)} each"
    number = _number(counts[smallest], unit)
    ratio = f"“{names[largest]}” has {counts[largest] / counts[smallest]:.1f} times as many"
    return f"“{names[smallest]}” is the rarest {group}: {number}; {ratio}"


def _number(count: int, unit: str) -> str:
    return f"{count:,} {unit if count != 1 else unit.removesuffix('s')}"


def _first_names(names: Sequence[str], limit: int = 3) -> str:
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "")
