"""The table of all training runs: scores, state and training recipe of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from curation_app.runs.run_scores import read_scores
from data_manifests.errors import StageError
from pipeline.runs import Run, section
from reporting.tables import NO_VALUE

_SCORES = {
    "f1": "F1",
    "tasks_f1": "F1 mean",
    "mask_f1": "F1 mask",
    "gender_f1": "F1 gender",
    "age_f1": "F1 age",
    "accuracy": "Accuracy",
}


def draw_run_table(runs: Sequence[Run]) -> None:
    """Draw the table of runs, with the scores that at least one of them has."""
    values = [_values(run) for run in runs]
    shown = {name: title for name, title in _SCORES.items() if any(name in one for one in values)}
    rows = [
        _row(run, {title: one.get(name) for name, title in shown.items()})
        for run, one in zip(runs, values, strict=True)
    ]
    scores = {title: st.column_config.NumberColumn(format="%.3f", width="small") for title in shown.values()}
    st.dataframe(
        {name: [row[name] for row in rows] for name in rows[0]},
        hide_index=True,
        width="stretch",
        height=min(38 + 35 * len(rows), 320),
        column_config={"Recipe": st.column_config.TextColumn(width="large"), **scores},
        placeholder=NO_VALUE,
    )


def _values(run: Run) -> Mapping[str, float]:
    try:
        return read_scores(run).values
    except StageError:
        return {}


def _row(run: Run, scores: Mapping[str, float | None]) -> dict[str, Any]:
    started = str(run.about_or_empty().get("created", ""))[:16].replace("T", " ")
    return {
        "Run": run.name,
        "State": run.state,
        **scores,
        "Trained on": run.manifest or NO_VALUE,
        "Recipe": recipe_text(run.settings()) or NO_VALUE,
        "Started": started or NO_VALUE,
    }


def recipe_text(settings: Mapping[str, Any]) -> str:
    """Return the training recipe in a few words: backbone, losses, sampler, image size, epochs."""
    model, data = section(settings, "model"), section(settings, "data")
    loss, optim = section(settings, "loss"), section(settings, "optim")
    size = data.get("size")
    terms = loss.get("terms")
    parts = [
        model.get("embedding") or model.get("backbone"),
        " + ".join(terms) if isinstance(terms, dict) else None,
        f"{data['sampler']} sampler" if data.get("sampler") not in (None, "none", "") else None,
        "×".join(map(str, size)) if isinstance(size, list) else None,
        f"{optim['epochs']} epochs" if optim.get("epochs") else None,
    ]
    return ", ".join(str(part).replace("_", " ") for part in parts if part)
