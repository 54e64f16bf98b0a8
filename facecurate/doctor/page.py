"""The page: one HTML file with its pictures inside, written first from the counts and again with the audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from data_manifests.versions import write_atomic
from facecurate.doctor.contents import Balance, TaskCounts
from facecurate.doctor.findings import Findings
from facecurate.doctor.issue_cards import list_groups
from facecurate.doctor.next_commands import NextCommand
from facecurate.doctor.pictures import Pictures
from facecurate.doctor.wording import (
    absent_text,
    age_cuts_text,
    balance_text,
    estimate_text,
    face_share_text,
    per_person_text,
)
from reporting.html import render
from reporting.tables import TASK_TITLES, class_label

MAX_UNREADABLE = 20  # lines of the table of unreadable photos
_TEMPLATE = Path(__file__).with_name("page.html.j2")
_MAX_BARS = 6
_AGE_BINS = 24  # at most


def write_page(
    path: Path,
    found: Findings,
    commands: Sequence[NextCommand],
    pictures: Pictures,
    examples: Mapping[str, Mapping[str, Sequence[str]]],
    otherwise: Sequence[str],
    place: str = "",
) -> None:
    """Write the page atomically. Without an audit and without a problem of one, it reloads itself until there is one.

    `otherwise` are commands that read the photos in another way; `place` is the folder to run the commands in.
    """
    contents, is_running = found.contents, found.suspicions is None and not found.problem
    groups = list_groups(found, pictures)
    bins = age_bins(contents.ages)
    page = render(
        _TEMPLATE,
        found=found,
        contents=contents,
        is_running=is_running,
        otherwise=otherwise,
        place=place,
        commands=commands,
        people_text=per_person_text(contents.photos_per_person),
        **_labels_tile(contents.tasks),
        **suspects_tile(found, is_running),
        task_titles=TASK_TITLES,
        absent_text=lambda task: absent_text(task, found.layout),
        label_rows=_label_rows,
        ages=bins,
        age_cuts_text=age_cuts_text(contents),
        age_range=f"{min(contents.ages)} to {max(contents.ages)} years" if contents.ages else "",
        per_person=_top_rows({f"{n} photo{'s' if n > 1 else ''}": k for n, k in contents.photos_per_person.items()}),
        sizes=_top_rows(contents.sizes),
        examples=_examples(examples, pictures),
        problems_text=_problems_text(found, is_running, bool(groups or contents.unreadable)),
        estimates=[estimate_text(one) for one in found.suspicions.estimates] if found.suspicions else [],
        notes=found.suspicions.notes if found.suspicions else (),
        groups=groups,
        unreadable=contents.unreadable[:MAX_UNREADABLE],
        matrix=_matrix(contents.balance),
        balance_text=balance_text(contents.balance),
        face_share_text=face_share_text(found.face_share) if found.face_share else "",
        written=datetime.now().strftime("%-d %B %Y, %H:%M"),
        audit_text="" if found.suspicions is None else "Probabilities are those of the audit.",
    )
    write_atomic(path, page.encode())


def age_bins(ages: Mapping[int, int]) -> list[dict[str, Any]]:
    """Return bins of equal width in years: name, photos, height relative to the highest, and the label of every other
    tick.
    """
    if not ages:
        return []
    low, high = min(ages), max(ages)
    width = next(step for step in (1, 2, 5, 10) if (high // step - low // step) < _AGE_BINS or step == 10)
    counts = dict.fromkeys(range(low // width * width, high + 1, width), 0)
    for age, photos in ages.items():
        counts[age // width * width] += photos
    highest, every = max(counts.values()), max(1, len(counts) // 6)
    return [
        {
            "name": f"{start}" if width == 1 else f"{start}–{start + width - 1}",
            "count": count,
            "height": count / highest,
            "tick": str(start) if place % every == 0 else "",
        }
        for place, (start, count) in enumerate(counts.items())
    ]


def _label_rows(task: TaskCounts) -> list[tuple[str, int]]:
    rows = [(class_label(name), photos) for name, photos in task.photos.items()]
    return [*rows, ("unknown", task.unknown)] if task.unknown else rows


def _labels_tile(tasks: Sequence[TaskCounts]) -> dict[str, str]:
    """Return the tile of the labels: the tasks that have labels, and the share of photos that lack one of them."""
    labelled = [task for task in tasks if task.labelled]
    absent = [task.task for task in tasks if not task.labelled]
    gaps = [f"{task.unknown:,} without {task.task}" for task in labelled if task.unknown]
    text = "; ".join([f"none for {' and '.join(absent)}"] * bool(absent and labelled) + gaps)
    return {
        "labels_figure": " · ".join(task.task for task in labelled) or "none",
        "labels_text": text or ("every photo has all three" if labelled else "no label was found"),
    }


def suspects_tile(found: Findings, is_running: bool) -> dict[str, str]:
    """Return the tile of the suspected labels."""
    if found.suspicions is None:
        return {
            "suspects_figure": "…" if is_running else "–",
            "suspects_text": "being searched" if is_running else "not searched",
        }
    suspicions = found.suspicions
    kinds = {one.title: suspicions.count(one.kind) for one in suspicions.labels}
    text = ", ".join(f"{title} {count:,}" for title, count in kinds.items())
    if not text and suspicions.duplicates:  # whose labels may differ, so that not all of them can be right
        text = f"no single label is suspected; duplicates below: {len(suspicions.duplicates):,}"
    return {
        "suspects_figure": f"{len(suspicions.labels):,}",
        "suspects_text": text or ("no label is suspected" if found.contents.labelled else "there are no labels"),
    }


def _problems_text(found: Findings, is_running: bool, has_problem: bool) -> str:
    if is_running:
        return "Found so far, from the files alone." if has_problem else "The search is running."
    return (
        ""
        if has_problem or found.suspicions is None
        else "Nothing was found: no label is more likely wrong than right."
    )


def _top_rows(counts: Mapping[Any, int]) -> list[tuple[str, int]]:
    """Return the most frequent values with their counts, in the given order; the rest as one row."""
    kept = sorted(counts, key=lambda value: -counts[value])[:_MAX_BARS]
    rows = [(str(value), count) for value, count in counts.items() if value in kept]
    rest = len(counts) - len(rows)
    return rows + ([(f"{rest:,} others", sum(counts.values()) - sum(n for _, n in rows))] if rest else [])


def _examples(
    examples: Mapping[str, Mapping[str, Sequence[str]]], pictures: Pictures
) -> list[tuple[str, list[tuple[str, list[tuple[str, str]]]]]]:
    """Return task → label → path and data URL of each photo."""
    return [
        (task, [(class_label(label), pictures.urls(samples, len(samples))) for label, samples in of_label.items()])
        for task, of_label in examples.items()
    ]


def _matrix(balance: Balance) -> dict[str, Any] | None:
    """Return the strata as a table: the first task in rows, the others in columns. None for a single task."""
    if len(balance.tasks) < 2:
        return None
    largest = max(stratum.photos for stratum in balance.strata) or 1
    rows: dict[str, list[dict[str, Any]]] = {}
    for stratum in balance.strata:
        cell = {"count": stratum.photos, "share": stratum.photos / largest}
        rows.setdefault(class_label(stratum.labels[0]), []).append(cell)
    first = balance.strata[0].labels[0]
    columns = [" ".join(map(class_label, s.labels[1:])) for s in balance.strata if s.labels[0] == first]
    named = [{"name": name, "cells": cells} for name, cells in rows.items()]
    return {"corner": TASK_TITLES[balance.tasks[0]].lower(), "columns": columns, "rows": named}
