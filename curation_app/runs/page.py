"""The Runs page: training runs with their figures, and the worst mistakes of one, linked back to the review page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from curation_app import shell, tiles
from curation_app.images import ManifestRows, load_thumbnails
from curation_app.runs.charts import CURVES, confusion, curve, names_of
from curation_app.runs.training_runs import TASKS, Mistake, Run, recipe_of, runs_of, section, worst_mistakes
from curation_app.shell import AppContext
from curation_app.tiles import text_of
from data_manifests.errors import ManifestError
from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts, class_names
from data_manifests.versions import Store
from reporting.theme import DARK, LIGHT, Palette, printed

N_MISTAKES = 48
_TASK_TITLES = {"class": "18 classes", "mask": "Mask", "gender": "Gender", "age": "Age class"}
_COLOURS = {"finished": "green", "running": "blue", "failed": "red"}
_EVERY_S = 10.0  # how often a run that is going on is looked at


def page() -> None:
    store = shell.current_store()
    runs = runs_of(store)
    if not runs:
        raise ManifestError(f"there is no training run in {store.workspace / 'runs'}. Run: python -m train fit REF")
    st.header("Training runs")
    _table(runs)
    names = [run.name for run in runs]
    asked = st.query_params.get("run", "")
    at = names.index(asked) if asked in names else 0
    name = st.selectbox("Look at", names, index=at, key="runs run", width=320)
    st.query_params["run"] = name
    run = runs[names.index(name)]
    every = _EVERY_S if run.state == "running" else None
    st.fragment(_run, run_every=every)(store, run.path)


def _table(runs: list[Run]) -> None:
    rows = [_line(run) for run in runs]
    scores = {title: st.column_config.NumberColumn(format="%.3f", width="small") for title in _SCORES.values()}
    st.dataframe(
        {name: [row[name] for row in rows] for name in rows[0]},
        hide_index=True,
        width="stretch",
        height=min(38 + 35 * len(rows), 320),
        column_config={"Recipe": st.column_config.TextColumn(width="large"), **scores},
    )


_SCORES = {"f1": "F1", "mask_f1": "F1 mask", "gender_f1": "F1 gender", "age_f1": "F1 age", "accuracy": "Accuracy"}


def _line(run: Run) -> dict[str, Any]:
    """A run in the table; without a score where it has none."""
    try:
        scores = section(run.scores(), "scores")
    except ManifestError:
        scores = {}
    numbers = {title: _number(scores.get(name)) for name, title in _SCORES.items()}
    begun = str(run.about.get("created", ""))[:16].replace("T", " ")
    return {
        "Run": run.name,
        "State": run.state,
        **numbers,
        "Trained on": run.manifest or "–",
        "Recipe": recipe_of(run.settings()) or "–",
        "Begun": begun or "–",
    }


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


# -- one run ----------------------------------------------------------------------------------------------------------
def _run(store: Store, path: Path) -> None:
    run = next((run for run in runs_of(store) if run.path == path), None)
    if run is None:
        st.info(f"Run {shell.escape_markdown(path.name)} is no longer there.")
        return
    palette = DARK if st.context.theme.type == "dark" else LIGHT
    _head(run)
    if run.state != "finished" and not run.has_predictions:
        if run.state == "running":
            st.info("It is going on; scores, mistakes and its report come when it has finished.")
        with shell.show_errors():
            _curves(run, palette)
        return
    scores: dict[str, Any] = {}
    with shell.show_errors():
        scores = run.scores()
        _scores(scores)
    with shell.show_errors():
        _curves(run, palette)
    if scores:
        _confusion(run, scores, palette)
    with shell.show_errors():
        _mistakes(store, run)
    _report(run)


def _head(run: Run) -> None:
    """What it is, in one line; why it failed in another."""
    facts = {
        "trained on": run.manifest,
        "best epoch": run.about.get("best_epoch"),
        "seed": run.about.get("seed"),
        "device": run.about.get("device"),
    }
    told = " · ".join(
        f"{name} {shell.escape_markdown(str(value))}" for name, value in facts.items() if value not in (None, "")
    )
    st.markdown(f":{_COLOURS.get(run.state, 'orange')}-badge[{run.state}] {told}")
    if run.state == "unreadable":
        st.error(
            f"run.json of {shell.escape_markdown(run.name)} cannot be read; train it again: `python -m train fit REF`"
        )
    if error := run.about.get("error"):
        st.error(shell.escape_markdown(str(error)), icon=":material/error:")
    if run.state == "interrupted":
        st.warning(f"Nothing was heard of it for a while. Go on with it: `python -m train resume {run.name}`")


def _scores(scores: Mapping[str, Any]) -> None:
    """Macro F1 of each task with its interval, on validation."""
    found, intervals = section(scores, "scores"), section(scores, "intervals")
    columns = st.columns(len(TASKS) + 1)
    for column, task in zip(columns, TASKS, strict=False):
        name = "f1" if task == "class" else f"{task}_f1"
        low, high = _pair(intervals.get(name))
        between = None if low is None or high is None else f"95 %: {low:.2f} to {high:.2f}"
        _metric(column, f"Macro F1, {_TASK_TITLES[task].lower()}", _number(found.get(name)), between)
    rows, people = _number(scores.get("rows")), _number(scores.get("people"))
    below = f"{rows:,.0f} photos, {people:,.0f} people" if rows and people else None
    _metric(columns[-1], "Accuracy, 18 classes", _number(found.get("accuracy")), below)


def _pair(values: object) -> tuple[float | None, float | None]:
    """An interval; None where a bound is missing."""
    found = [_number(value) for value in values] if isinstance(values, list) else []
    return (found[0], found[1]) if len(found) == 2 else (None, None)


def _metric(column: Any, title: str, value: float | None, below: str | None) -> None:
    shown = "–" if value is None else f"{value:.3f}"
    column.metric(title, shown, below, delta_color="off", delta_arrow="off", border=True)


def _curves(run: Run, palette: Palette) -> None:
    history = run.history()
    best = run.about.get("best_epoch")
    for column, (title, lines) in zip(st.columns(len(CURVES)), CURVES.items(), strict=True):
        chart = curve(history, lines, palette, best if isinstance(best, int) else None)
        if chart is not None:
            with column, st.container(border=True):
                st.markdown(f"**{title}**")
                st.altair_chart(chart, theme=None, width="stretch")


def _confusion(run: Run, scores: Mapping[str, Any], palette: Palette) -> None:
    tables = section(scores, "confusion")
    cuts = _cuts(run)
    with st.container(border=True):
        st.markdown("**Confusion on validation: label by row, prediction by column; colour is the share of the label**")
        whole, parts = st.columns([3, 2])
        for task in TASKS:
            names, counts = names_of(task, cuts), tables.get(task)
            if isinstance(counts, list) and len(counts) == len(names):
                with whole if task == "class" else parts:
                    st.caption(_TASK_TITLES[task])
                    st.altair_chart(confusion(counts, names, palette), theme=None, width="stretch")


def _cuts(run: Run) -> AgeCuts:
    given = run.about.get("age_cuts")
    return AgeCuts(*given) if isinstance(given, list) and len(given) == 2 else AgeCuts()


def _report(run: Run) -> None:
    """The run's own page, to be kept or sent."""
    file = run.path / "report.html"
    if not file.is_file():
        st.caption("It has no report.html yet: that is written when the run has finished.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Download its report", file.read_bytes(), f"{run.name}.html", "text/html", icon=":material/download:",
            on_click="ignore",
        )  # fmt: skip
        shown = st.toggle("Read it here", key=f"report {run.name}")
        st.code(str(file), language=None)
    if shown:
        st.iframe(file.read_text("utf8", "replace"), height=900)


# -- mistakes ---------------------------------------------------------------------------------------------------------
def _mistakes(store: Store, run: Run) -> None:
    worst = worst_mistakes(run, N_MISTAKES)
    st.subheader("Worst mistakes")
    if not worst:
        st.caption("None: every validation picture was put into its class.")
        return
    st.caption(
        "Validation pictures of which the network is surest that the label is wrong; often it is the label. "
        "Below the label: what the network says instead, and its probability. “Review” opens the person."
    )
    manifest = shell.load_rows(run.manifest)
    if manifest.version.content_hash != run.about.get("content_hash"):
        raise ManifestError(f"{run.manifest} is no longer what run {run.name!r} was trained on.")
    context = AppContext(store, manifest, shell.current_annotator())
    key = "runs mistakes"
    page = tiles.Page(0, 1, 0, len(worst), len(worst), "mistakes")
    tiles.show_tiles(
        key,
        selection=run.name,
        page=page,
        tiles=_tiles(context, manifest, worst, _cuts(run)),
        manifest=manifest.version.pinned,
        empty="",
        enlarged=tiles.enlarged_picture(context, tiles.enlarged_sample(key)),
    )


def _tiles(context: AppContext, manifest: ManifestRows, worst: list[Mistake], cuts: AgeCuts) -> list[tiles.Tile]:
    rows = tiles.rows_named(manifest, [mistake.sample_id for mistake in worst])
    made = load_thumbnails(context.store, rows, tiles.THUMBNAIL_PX)
    own = tiles.annotator_log(context)
    return [
        tiles.tile_of(row, picture, own, context)
        | {
            "label": _class_text(mistake.target, cuts),
            "hint": f"{_differs(mistake, cuts)} {mistake.confidence:.0%}",
        }
        for row, picture, mistake in zip(rows, made, worst, strict=True)
    ]


def _class_text(class_id: int, cuts: AgeCuts) -> str:
    return printed(class_names(cuts)[class_id])


def _differs(mistake: Mistake, cuts: AgeCuts) -> str:
    """What the network says where it differs from the label, such as "female ≥60"."""
    parts = [(MASKS, 6, 3), (GENDERS, 3, 2), (cuts.names, 1, 3)]
    words = []
    for (names, step, size), field in zip(parts, ("mask", "gender", "age"), strict=True):
        label, said = (value // step % size for value in (mistake.target, mistake.predicted))
        if label != said:
            words.append(printed(text_of(field, names[said], cuts)))
    return " ".join(words)
