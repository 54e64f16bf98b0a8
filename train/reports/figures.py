"""Pictures for people: the confusion PNG, and the report's line charts as SVG that follows the page's colours."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

import numpy as np

from data_manifests.taxonomy import AgeCuts
from train.evaluation import TASKS
from train.reports.summary import Summary, label_names

_TITLES = {"class": "18 classes", "mask": "mask", "gender": "gender", "age": "age class"}


def confusion_png(summary: Summary, cuts: AgeCuts, title: str) -> bytes:
    """One PNG: the 18×18 table at the left, mask, gender and age at the right. Rows true, shares of each row."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(17, 11.5), dpi=110, layout="constrained")
    grid = figure.add_gridspec(3, 2, width_ratios=(3.1, 1))
    places = {"class": grid[:, 0], "mask": grid[0, 1], "gender": grid[1, 1], "age": grid[2, 1]}
    for task in TASKS:
        axes = figure.add_subplot(places[task])
        counts = np.array(summary["confusion"][task])
        names = label_names(task, cuts)
        share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(names)), names, rotation=90 if task == "class" else 0)
        axes.set_yticks(range(len(names)), names)
        axes.set_title(_TITLES[task], loc="left", fontweight="bold")
        axes.set(xlabel="predicted", ylabel="labelled")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                color = "white" if share[row, column] > 0.55 else "#1b2733"
                axes.text(column, row, f"{count}", ha="center", va="center", color=color, fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontsize=14)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    return buffer.getvalue()


def line_chart(
    series: Mapping[str, Sequence[float]], *, label: str, top: float | None = None, best: int | None = None
) -> str:
    """An SVG of lines over epochs 1, 2, …; the first name gets class `l0`, the next `l1`, to be coloured by the page.

    `top` fixes the upper end of the axis (its lower end is 0), `best` marks an epoch.
    """
    width, height, left, right, above, below = 348, 220, 30, 78, 10, 28
    n = max(len(values) for values in series.values())
    ceiling = top or _nice(max(max(values) for values in series.values()))
    plot_w, plot_h = width - left - right, height - above - below

    def x(epoch: float) -> float:
        return left + plot_w * ((epoch - 1) / (n - 1) if n > 1 else 0.5)

    def y(value: float) -> float:
        return above + plot_h * (1 - min(value, ceiling) / ceiling)

    out = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}" class="chart">']
    for tick in np.linspace(0, ceiling, 6 if top else 5):
        at = y(tick)
        out.append(f'<line class="grid" x1="{left}" x2="{left + plot_w}" y1="{at:.1f}" y2="{at:.1f}"/>')
        out.append(f'<text class="tick" x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{tick:.3g}</text>')
    for epoch in _epoch_ticks(n):
        out.append(f'<text class="tick" x="{x(epoch):.1f}" y="{height - 10}" text-anchor="middle">{epoch}</text>')
    if best:
        at = x(best)
        out.append(f'<line class="best" x1="{at:.1f}" x2="{at:.1f}" y1="{above}" y2="{above + plot_h}"/>')
    ends = {name: y(values[-1]) for name, values in series.items()}
    places = _apart(list(ends.values()), 14, above + 4, above + plot_h)
    for index, (name, values) in enumerate(series.items()):
        points = " ".join(f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in enumerate(values, 1))
        out.append(f'<polyline class="line l{index}" points="{points}"/>')
        out.append(f'<circle class="dot l{index}" cx="{x(len(values)):.1f}" cy="{ends[name]:.1f}" r="3"/>')
        out.append(
            f'<text class="end l{index}" x="{left + plot_w + 10}" y="{places[index] + 4:.1f}">'
            f"{escape(name)} {values[-1]:.2f}</text>"
        )
    return "".join([*out, "</svg>"])


def _nice(value: float) -> float:
    """The next of 1, 2, 2.5, 4, 5, 8, 10 times a power of ten, so that quarters are short numbers."""
    power = 10 ** np.floor(np.log10(max(value, 1e-6)))
    return float(next(step * power for step in (1, 2, 2.4, 3.2, 4, 5, 6, 8, 10) if step * power >= value * 0.999))


def _epoch_ticks(n: int) -> list[int]:
    step = max(1, int(np.ceil(n / 8)))
    ticks = list(range(1, n + 1, step))
    return ticks if ticks[-1] == n or n - ticks[-1] < step else [*ticks, n]


def _apart(wanted: list[float], gap: float, low: float, high: float) -> list[float]:
    """Positions as near to the wanted ones as fit without two being closer than `gap`."""
    order = np.argsort(wanted)
    places = np.array(wanted, float)
    for before, after in pairwise(order):
        places[after] = max(places[after], places[before] + gap)
    over = max(0.0, places[order[-1]] - high)
    places[order] -= over
    for after, before in pairwise(order[::-1]):
        places[before] = min(places[before], places[after] - gap)
    return np.maximum(places, low - gap).tolist()
