"""The audit report `audit.html`: one file with pictures and chart inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audit.checks import AuditData, all_checks, find_check
from audit.results.fairness import flagged_by_group
from audit.scoring import photo_name
from data_manifests.taxonomy import SHOT_MASK, SHOTS
from data_manifests.versions import Store, Version, write_atomic
from reporting.charts import Figure, finish
from reporting.html import draw_figure, render
from reporting.theme import PAGE, Palette
from reporting.thumbnails import thumbnail_url

THUMBNAIL_PX = 160, 320  # width and height at most
MAX_PHOTOS = 9  # of a person
_TEMPLATE = Path(__file__).with_name("report.html.j2")
_CHART_PX, _CHART_HEIGHT_PX, _CHART_POINTS = 510, 170, 120
_DEPTHS = (1, 5, 10, 20)  # percent of the people, in the table below the chart
_SHOT_ORDER = {shot: order for order, shot in enumerate(SHOTS)}


def write_report(
    path: Path,
    version: Version,
    data: AuditData,
    queue: pd.DataFrame,
    ranked: pd.DataFrame,
    store: Store,
    people: int,
) -> None:
    """Write the report with the first `people` people of the queue."""
    effort = review_effort(ranked)
    page = render(
        _TEMPLATE,
        version=version,
        source=version.parents[0].split("#")[0] if version.parents else version.ref,
        photos=len(data.rows),
        people=len(ranked),
        faces=int(data.features.has_face.sum()),
        notes=data.notes,
        counts=count_issues(queue),
        probes=[_probe_row(name, quality) for name, quality in data.probes.items()],
        fairness=flagged_by_group(data, data.cuts).to_dict("records"),
        effort_figure=draw_figure(effort_figure(effort, PAGE), _CHART_PX),
        readings=[(percent, float(np.interp(percent / 100, *effort))) for percent in _DEPTHS],
        cards=list(_cards(data, queue, store, people)),
    )
    write_atomic(path, page.encode())


def count_issues(queue: pd.DataFrame) -> list[dict[str, Any]]:
    """Return per check: name, label, issues that are more likely than not, and the sum of all probabilities."""
    counts = []
    for check in all_checks():
        probability = queue[queue["kind"] == check.name]["probability"]
        likely, expected = int((probability >= 0.5).sum()), round(float(probability.sum()), 1)
        counts.append({"name": check.name, "label": check.label, "likely": likely, "expected": expected})
    return counts


def _probe_row(name: str, quality: Mapping[str, Any]) -> dict[str, str]:
    """Return a probe's figures as text."""
    rate = quality.get("estimated_error_rate")
    size = ", ".join(f"{quality[key]:,} {key}" for key in ("people", "photos") if key in quality)
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


def effort_figure(effort: tuple[np.ndarray, np.ndarray], palette: Palette) -> Figure:
    """Return the chart of expected issues found against people reviewed, beside that of a random order."""
    import altair as alt

    kept = np.unique(np.linspace(0, len(effort[0]) - 1, _CHART_POINTS).astype(int))
    rows = [{"people": float(effort[0][i]), "issues": float(effort[1][i])} for i in kept]
    percent = alt.Axis(format=".0%", tickCount=5)
    x = alt.X("people:Q", title="people reviewed", axis=percent).scale(domain=[0, 1])
    y = alt.Y("issues:Q", title="expected issues found", axis=percent).scale(domain=[0, 1])
    line = alt.Chart(alt.Data(values=rows)).mark_line(color=palette.blue, strokeWidth=2.5).encode(x=x, y=y)
    ends = [{"people": 0, "issues": 0}, {"people": 1, "issues": 1}]
    diagonal = alt.Chart(alt.Data(values=ends)).mark_line(color=palette.faint, strokeDash=[4, 5], strokeWidth=1)
    chart = finish(alt.layer(diagonal.encode(x=x, y=y), line), palette, _CHART_HEIGHT_PX, right=18)
    return Figure("effort", "Expected issues found by people reviewed", chart, "Dashed: people in a random order.")


def _cards(data: AuditData, queue: pd.DataFrame, store: Store, people: int) -> Iterator[dict[str, Any]]:
    """Yield a card per person: the issues, and the photos with the checks that found an issue."""
    rows_of_person = data.rows.groupby("person_id").indices
    labels_of_sample = _marked_samples(queue)
    for person, issues in list(queue.groupby("person_id", sort=False))[:people]:
        rows: list[Any] = data.rows.iloc[rows_of_person[person]].to_dict("records")
        rows.sort(key=lambda row: (row["sample_id"] not in labels_of_sample, row["path"]))
        shown = sorted(rows[:MAX_PHOTOS], key=lambda row: (_SHOT_ORDER.get(row["shot"], len(_SHOT_ORDER)), row["path"]))
        given = shown[0]["gender"], None if pd.isna(shown[0]["age"]) else int(shown[0]["age"])
        yield {
            "rank": int(issues["rank"].iloc[0]),
            "person": person,
            "given": ", ".join(str(value) for value in given if not pd.isna(value)),
            "value": float(issues["expected_value"].iloc[0]),
            "issues": [issue | {"label": find_check(issue["kind"]).label} for issue in issues.to_dict("records")],
            "photos": [
                {
                    "name": photo_name(row),
                    "mask": _unusual_mask(row),
                    "labels": labels_of_sample.get(row["sample_id"], []),
                    "src": thumbnail_url(store, row, *THUMBNAIL_PX),
                }
                for row in shown
            ],
        }


def _marked_samples(queue: pd.DataFrame) -> dict[str, list[str]]:
    """Return the labels of the checks that found an issue with each sample, for the checks that mark photos."""
    label_of = {check.name: check.label for check in all_checks() if check.marks_photos}
    found: dict[str, list[str]] = {}
    for issue in queue[queue["kind"].isin(label_of)].to_dict("records"):
        label = label_of[issue["kind"]]
        for sample in issue["sample_ids"].split():
            if label not in found.setdefault(sample, []):
                found[sample].append(label)
    return found


def _unusual_mask(row: Mapping[Any, Any]) -> str:
    """Return the given mask state, or "" if the name of the shot implies it."""
    return row["mask"] if isinstance(row["mask"], str) and SHOT_MASK.get(row["shot"]) != row["mask"] else ""
