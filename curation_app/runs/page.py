"""The Runs page: all training runs; scores, learning curves, confusion and worst mistakes of one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from curation_app import shell
from curation_app.runs.mistakes import draw_mistakes
from curation_app.runs.run_scores import RunScores, read_scores
from curation_app.runs.run_table import draw_run_table
from data_manifests.errors import ManifestError
from data_manifests.labels import TASKS
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store
from pipeline.runs import METRICS, PREDICTIONS, REPORT, Run, list_runs, runs_folder
from reporting.charts import LEARNING_CURVES, learning_curve
from reporting.confusion import confusion_chart
from reporting.tables import TASK_TITLES, score_text, task_labels
from reporting.theme import DARK, LIGHT, Palette

_STATE_COLOURS = {"finished": "green", "running": "blue", "failed": "red"}
_REFRESH_S = 10.0  # of a run in progress
_CURVE_AXES_PX = 45  # added to the height of a chart: Streamlit fits the axes into it
_CONFUSION_AXES_PX = {"class": 160, "mask": 84, "gender": 84, "age": 84}


def page() -> None:
    """Draw the page."""
    store = shell.current_store()
    runs = list_runs(store)
    if not runs:
        raise ManifestError(f"there is no training run in {runs_folder(store)}. Run: facecurate train fit REF")
    st.header("Training runs")
    draw_run_table(runs)
    names = [run.name for run in runs]
    requested = st.query_params.get("run", "")
    manifest = str(st.session_state.get("ref", "")).partition("@")[0]
    of_manifest = (at for at, run in enumerate(runs) if run.manifest.partition("@")[0] == manifest)
    at = names.index(requested) if requested in names else next(of_manifest, 0)
    name = st.selectbox("Run", names, index=at, key="runs run", width=320)
    st.query_params["run"] = name
    run = runs[names.index(name)]
    every = _REFRESH_S if run.state == "running" else None
    st.fragment(_draw_run, run_every=every)(store, run.path)


def _draw_run(store: Store, path: Path) -> None:
    if not path.is_dir():
        st.info(f"Run {shell.escape_markdown(path.name)} no longer exists.")
        return
    run = Run(path)
    about = run.about_or_empty()
    palette = DARK if st.context.theme.type == "dark" else LIGHT
    _draw_facts(run, about)
    if not run.is_finished and not run.has(PREDICTIONS):
        if run.state == "running":
            st.info("In progress. Scores, mistakes and the report appear when it has finished.")
            if not run.has(METRICS):
                return  # the first epoch is not over
        with shell.show_errors():
            _draw_curves(run, about, palette)
        return
    scores: RunScores | None = None
    with shell.show_errors():
        scores = read_scores(run)
        _draw_scores(scores)
    with shell.show_errors():
        _draw_curves(run, about, palette)
    cuts = _age_cuts(about)
    if scores and scores.confusion:
        _draw_confusion(scores, cuts, palette)
    with shell.show_errors():
        draw_mistakes(store, run, cuts)
    _draw_report(run)


def _draw_facts(run: Run, about: Mapping[str, Any]) -> None:
    """Draw one line about the run, and why it failed or how to resume it."""
    values = {
        "trained on": run.manifest,
        "best epoch": about.get("best_epoch"),
        "seed": about.get("seed"),
        "device": about.get("device"),
    }
    facts = [f"{name} {shell.escape_markdown(str(value))}" for name, value in values.items() if value not in (None, "")]
    state = run.state
    st.markdown(f":{_STATE_COLOURS.get(state, 'orange')}-badge[{state}] {' · '.join(facts)}")
    if state == "unreadable":
        st.error(
            f"run.json of {shell.escape_markdown(run.name)} cannot be read. Train again: `facecurate train fit REF`"
        )
    if error := about.get("error"):
        st.error(shell.escape_markdown(str(error)), icon=":material/error:")
    if state == "interrupted":
        st.warning(f"It has written nothing for a while. Resume it: `facecurate train resume {run.name}`")


def _draw_scores(scores: RunScores) -> None:
    """Draw macro F1 of each trained task with its interval, on validation, or why it cannot be measured."""
    names = {
        "f1" if task == "class" else f"{task}_f1": f"Macro F1, {TASK_TITLES[task].lower()}" for task in scores.tasks
    }
    names |= {"tasks_f1": "Macro F1, mean of tasks", "accuracy": "Accuracy, 18 classes"}
    tiles = []
    for name, title in names.items():
        low, high = scores.intervals.get(name, (None, None))
        below = None if low is None else f"95 %: {low:.2f} to {high:.2f}"
        reason = scores.reasons.get(name.removesuffix("_f1"))
        if name == "accuracy":
            below = f"{scores.rows:,} images, {scores.people:,} people" if scores.rows else None
        if reason or name in scores.values:
            tiles.append((title, scores.values.get(name), f"not measurable: {reason}" if reason else below))
    for column, (title, value, below) in zip(st.columns(max(3, len(tiles))), tiles, strict=False):
        column.metric(title, score_text(value), below, delta_color="off", delta_arrow="off", border=True)


def _draw_curves(run: Run, about: Mapping[str, Any], palette: Palette) -> None:
    history = run.history()
    best = about.get("best_epoch")
    best = best if isinstance(best, int) else None
    charts = {title: learning_curve(history, lines, palette, best) for title, lines in LEARNING_CURVES.items()}
    drawn = [(title, chart) for title, chart in charts.items() if chart is not None]
    for column, (title, chart) in zip(st.columns(len(drawn) or 1), drawn, strict=False):
        with column, st.container(border=True):
            st.markdown(f"**{title}**")
            _draw_chart(chart, _CURVE_AXES_PX)


def _draw_confusion(scores: RunScores, cuts: AgeCuts, palette: Palette) -> None:
    with st.container(border=True):
        st.markdown("**Confusion on validation: labels by row, predictions by column**")
        if "class" in scores.confusion:
            whole, parts = st.columns([3, 2])
            places = {"class": whole} | dict.fromkeys(TASKS, parts)
        else:
            places = dict(zip(scores.confusion, st.columns(len(TASKS)), strict=False))
        for task, counts in scores.confusion.items():
            names = task_labels(task, cuts)
            if len(counts) == len(names):
                with places[task]:
                    st.caption(TASK_TITLES[task])
                    _draw_chart(confusion_chart(counts, names, palette), _CONFUSION_AXES_PX[task])


def _draw_chart(chart: Any, axes_px: int) -> None:
    st.altair_chart(chart.properties(height=chart.height + axes_px), theme=None, width="stretch")


def _age_cuts(about: Mapping[str, Any]) -> AgeCuts:
    given = about.get("age_cuts")
    return AgeCuts(*given) if isinstance(given, list) and len(given) == 2 else AgeCuts()


def _draw_report(run: Run) -> None:
    """Draw the buttons that save and show report.html of the run."""
    if not run.has(REPORT):
        st.caption(f"It has no {REPORT} yet: the report is written when the run finishes.")
        return
    file = run.path / REPORT
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Save the report", file.read_bytes(), f"{run.name}.html", "text/html", icon=":material/download:",
            on_click="ignore",
        )  # fmt: skip
        shown = st.toggle("Show it here", key=f"report {run.name}")
        st.code(str(file), language=None)
    if shown:
        st.iframe(file.read_text("utf8", "replace"), height=900)
