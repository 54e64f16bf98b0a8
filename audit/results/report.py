"""The audit report `audit.html`: one file with pictures and chart inside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audit.checks import AuditData, all_checks
from audit.results.cards import has_people, person_cards
from audit.results.fairness import flagged_by_group
from data_manifests.splits import Leak
from data_manifests.versions import Store, Version, write_atomic
from reporting.charts import Figure, finish
from reporting.html import draw_figure, render
from reporting.theme import PAGE, Palette

_TEMPLATE = Path(__file__).with_name("report.html.j2")
_CHART_PX, _CHART_HEIGHT_PX, _CHART_POINTS = 510, 170, 120
_DEPTHS = (1, 5, 10, 20)  # percent of the people, in the table below the chart


def write_report(
    path: Path,
    version: Version,
    data: AuditData,
    queue: pd.DataFrame,
    ranked: pd.DataFrame,
    leaks: Sequence[Leak],
    store: Store,
    people: int,
) -> None:
    """Write the report with the first `people` people of the queue."""
    effort, unit = review_effort(ranked), "people" if has_people(data.rows) else "photos"
    page = render(
        _TEMPLATE,
        version=version,
        source=version.parents[0].split("#")[0] if version.parents else version.ref,
        photos=len(data.rows),
        people=len(ranked),
        has_people=has_people(data.rows),
        unit=unit,
        leaks=leaks,
        faces=int(data.features.has_face.sum()),
        notes=data.notes,
        counts=count_issues(queue, data.skipped),
        probes=[_probe_row(name, quality, unit) for name, quality in data.probes.items()],
        flagged=flagged_by_group(data),
        effort_figure=draw_figure(effort_figure(effort, unit, PAGE), _CHART_PX),
        readings=[(percent, float(np.interp(percent / 100, *effort))) for percent in _DEPTHS],
        cards=list(person_cards(data, queue, store, people)),
    )
    write_atomic(path, page.encode())


def count_issues(queue: pd.DataFrame, skipped: Collection[str]) -> list[dict[str, Any]]:
    """Return per check: name, label, issues that are more likely than not, and the sum of all probabilities.

    Both numbers are None for a check that was skipped and has no issue.
    """
    counts: list[dict[str, Any]] = []
    for check in all_checks():
        probability = queue[queue["kind"] == check.name]["probability"]
        likely, expected = int((probability >= 0.5).sum()), round(float(probability.sum()), 1)
        row = {"name": check.name, "label": check.label, "likely": likely, "expected": expected}
        is_skipped = check.name in skipped and not len(probability)
        counts.append(row | {"likely": None, "expected": None} if is_skipped else row)
    return counts


def _probe_row(name: str, quality: Mapping[str, Any], unit: str) -> dict[str, str]:
    """Return a probe's figures as text. A probe of people counts them in `unit`, photos if no persons are known."""
    rate = quality.get("estimated_error_rate")
    size = f"{quality['people']:,} {unit}" if "people" in quality else f"{quality['photos']:,} photos"
    if "mean_absolute_error_years" in quality:
        error, f1 = quality["mean_absolute_error_years"], quality["class_macro_f1"]
        text = f"mean error {error:.1f} years; macro F1 of the classes {f1:.2f}"
    else:
        text = f"accuracy {100 * quality['accuracy']:.1f} %" if "accuracy" in quality else "not evaluated"
    return {"name": name, "quality": f"{text}; {size}", "error_rate": "–" if rate is None else f"{100 * rate:.1f} %"}


def review_effort(ranked: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of people reviewed (P + 1,) and the share of expected issues found (P + 1,), both from 0."""
    total = float(ranked["expected_errors"].sum())
    found = ranked["expected_errors"].cumsum() / total if total else ranked["rank"] * 0.0
    return np.linspace(0, 1, len(ranked) + 1), np.concatenate([[0.0], found])


def effort_figure(effort: tuple[np.ndarray, np.ndarray], unit: str, palette: Palette) -> Figure:
    """Return the chart of expected issues found against people (or photos, the `unit`) reviewed, beside that of a
    random order."""
    import altair as alt

    kept = np.unique(np.linspace(0, len(effort[0]) - 1, _CHART_POINTS).astype(int))
    rows = [{"people": float(effort[0][i]), "issues": float(effort[1][i])} for i in kept]
    percent = alt.Axis(format=".0%", tickCount=5)
    x = alt.X("people:Q", title=f"{unit} reviewed", axis=percent).scale(domain=[0, 1])
    y = alt.Y("issues:Q", title="expected issues found", axis=percent).scale(domain=[0, 1])
    line = alt.Chart(alt.Data(values=rows)).mark_line(color=palette.blue, strokeWidth=2.5).encode(x=x, y=y)
    ends = [{"people": 0, "issues": 0}, {"people": 1, "issues": 1}]
    diagonal = alt.Chart(alt.Data(values=ends)).mark_line(color=palette.faint, strokeDash=[4, 5], strokeWidth=1)
    chart = finish(alt.layer(diagonal.encode(x=x, y=y), line), palette, _CHART_HEIGHT_PX, right=18)
    return Figure("effort", f"Expected issues found by {unit} reviewed", chart, f"Dashed: {unit} in a random order.")
