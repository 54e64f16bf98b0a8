"""A training run as charts: its curves over the epochs and its confusion tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts, class_names
from reporting.theme import Palette, finish, printed

if TYPE_CHECKING:
    from reporting.theme import Chart

CURVES = {  # title → what is drawn, by column of metrics.csv
    "Macro F1 of the 18 classes": {"val": "val_f1", "train": "train_f1"},
    "Macro F1 on validation, by task": {"mask": "val_mask_f1", "gender": "val_gender_f1", "age": "val_age_f1"},
    "Loss": {"val": "val_loss", "train": "train_loss"},
}


def curve(
    history: Mapping[str, Sequence[float]], columns: Mapping[str, str], palette: Palette, best: int | None
) -> Chart | None:
    """Lines over epochs, each named at its end; `best` is marked. None if the run has none of the columns."""
    import altair as alt

    lines = {name: history[column] for name, column in columns.items() if column in history}
    rows: list[dict[str, Any]] = [
        {"epoch": int(epoch), "line": name, "value": value}
        for name, values in lines.items()
        for epoch, value in zip(history["epoch"], values, strict=True)
    ]
    if not rows:
        return None
    last = max(row["epoch"] for row in rows)
    is_f1 = all(column.endswith("_f1") for column in columns.values())
    highest = 1.0 if is_f1 else max(row["value"] for row in rows) * 1.08
    y = alt.Y("value:Q", title=None, axis=alt.Axis(tickCount=5, domain=False, ticks=False)).scale(
        domain=[0, highest], nice=False
    )
    whole = alt.Axis(grid=False, format="d", tickMinStep=1, tickCount=min(last, 6), labelFlush=False)
    x = alt.X("epoch:Q", title="epoch", axis=whole).scale(domain=[min(1, last - 1), max(last, 2)], nice=False)
    colour = alt.Color("line:N", legend=None).scale(
        domain=list(lines), range=[palette.blue, palette.amber, palette.green]
    )
    tips = [alt.Tooltip("line:N", title="of"), alt.Tooltip("epoch:Q"), alt.Tooltip("value:Q", format=".3f")]
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y, color=colour)
    drawn = base.mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=22)).encode(tooltip=tips)
    ends = [row | {"text": f"{row['line']} {row['value']:.2f}"} for row in rows if row["epoch"] == last]
    spread = _apart([row["value"] / highest for row in ends], 0.085)
    ends = [row | {"at": place * highest} for row, place in zip(ends, spread, strict=True)]
    told = alt.Chart(alt.Data(values=ends)).mark_text(align="left", dx=9, fontSize=12, fontWeight=600)
    told = told.encode(x=x, y=alt.Y("at:Q").scale(domain=[0, highest], nice=False), color=colour, text="text:N")
    layers = [drawn, told]
    if best:
        mark = alt.Chart(alt.Data(values=[{"epoch": best}])).mark_rule(color=palette.soft, strokeDash=[4, 3])
        layers.insert(0, mark.encode(x=x))
    return finish(alt.layer(*layers), palette, 210)


def _apart(wanted: Sequence[float], gap: float) -> list[float]:
    """Heights (0 to 1) as near to the wanted ones as fit without two being closer than `gap`."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    places = list(wanted)
    for below, above in pairwise(order):
        places[above] = max(places[above], places[below] + gap)
    return places


def confusion(counts: Sequence[Sequence[int]], names: Sequence[str], palette: Palette) -> Chart:
    """Counts (K, K), rows as labelled, columns as predicted; a cell's colour is its share of the row."""
    import altair as alt

    cells: list[dict[str, Any]] = [
        {
            "labelled": names[i],
            "predicted": names[j],
            "count": count,
            "share": count / max(1, sum(row)),
            "right": i == j,
        }
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
    ]
    many = len(names) > 6
    flat = alt.Axis(domain=False, ticks=False, grid=False, labelLimit=200, labelPadding=6)
    top = alt.Axis(domain=False, ticks=False, grid=False, labelLimit=200, orient="top", labelAngle=-50 if many else 0)
    x = alt.X("predicted:N", title="predicted", axis=top).scale(domain=list(names))
    y = alt.Y("labelled:N", title="labelled", axis=flat).scale(domain=list(names))
    base = alt.Chart(alt.Data(values=cells)).encode(x=x, y=y)
    tips = [
        alt.Tooltip("labelled:N"),
        alt.Tooltip("predicted:N"),
        alt.Tooltip("count:Q", format=","),
        alt.Tooltip("share:Q", title="share of the label", format=".1%"),
    ]
    colour = alt.condition("datum.right", alt.value(palette.blue), alt.value(palette.red))
    boxes = base.mark_rect(cornerRadius=3, stroke=palette.rule, strokeWidth=0.7)
    boxes = boxes.encode(
        color=colour, opacity=alt.Opacity("share:Q", legend=None).scale(domain=[0, 1], range=[0.03, 0.85]), tooltip=tips
    )
    numbers = base.transform_filter("datum.count > 0").mark_text(fontSize=11 if many else 13)
    numbers = numbers.encode(text=alt.Text("count:Q", format=","), color=alt.value(palette.ink))
    return finish(alt.layer(boxes, numbers), palette, 26 * len(names) if many else 62 * len(names))


def names_of(task: str, cuts: AgeCuts) -> list[str]:
    """The names of a task's classes, as print sets them."""
    names = {"class": class_names(cuts), "mask": MASKS, "gender": GENDERS, "age": cuts.names}[task]
    return [printed(name) for name in names]
