"""A workspace of version 0.1.0 opens in the app and in training: logs, agreement, consensus, progress, runs, queue."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation_app.annotations import ReviewProgress, log_folder, log_path, log_paths, read_annotation_set, value_of
from curation_app.annotations.review_progress import ReviewSave
from curation_app.images import ManifestRows, load_manifest_rows
from curation_app.review.leases import read_annotators_per_person
from curation_app.review.order import Queue, is_ranked, order_of
from curation_app.runs import predictions_for
from curation_app.runs.run_predictions import mistakes_of
from curation_app.runs.run_table import recipe_text
from curation_app.tiles.actions import verdict
from data_manifests.agreement import (
    AnnotatedLabel,
    agreement,
    annotated_labels,
    conflicts,
    decide,
    read_sources,
    to_corrections,
    write_log,
)
from data_manifests.corrections import (
    COLUMNS,
    FIELDS,
    UNSURE,
    AnnotatorLog,
    Correction,
    Label,
    is_excluded_by_correction,
    read_corrections,
)
from data_manifests.labels import TASKS, class_of_labels
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store, file_sha256
from pipeline.runs import CONFIG, Run, find_run, list_runs
from tests.support.old_workspace import EXPECTED, copy_old_workspace, without_nan
from train.evaluation import evaluate_run
from train.queue import open_job_store, progress_of
from train.reports import write_report
from train.settings import load_train_settings

ANNOTATORS = ("ann", "Bob Lee", "cléo", "dan")
VERDICTS = {"✓ right": "✓ correct"}  # text of 0.1.0 → text now
REASONS = {"words differ": "annotations differ"}


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A copy that no test changes."""
    return copy_old_workspace(tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def logs(old: Store) -> list[Path]:
    return log_paths(old, old.version("faces@original"))


@pytest.fixture(scope="module")
def labels(old: Store, logs: list[Path]) -> tuple[list[AnnotatedLabel], AgeCuts]:
    corrections = read_corrections(logs)
    sources, cuts = read_sources(old, corrections)
    assert cuts is not None
    return annotated_labels(corrections, sources), cuts


def open_log(store: Store, annotator: str) -> AnnotatorLog:
    log = AnnotatorLog(log_path(store, store.version("faces@original"), annotator))
    log.refresh()
    return log


def ids_of(manifest: ManifestRows, people: Iterable[int]) -> list[str]:
    return [str(manifest.people[person]) for person in people]


# -- versions and audit in the app ------------------------------------------------------------------------------


@pytest.mark.parametrize("ref", EXPECTED["versions"])
def test_rows_excluded_by_a_correction_are_known(old: Store, ref: str) -> None:
    expected = {row["sample_id"]: row for row in EXPECTED["versions"][ref]["left_out"]}
    for row in old.read(ref).table.to_pylist():
        entry = expected.get(row["sample_id"], {"by_a_correction": False, "exclude": "false"})
        assert is_excluded_by_correction(row) == entry["by_a_correction"]
        assert value_of(row, "exclude") == entry["exclude"]


def test_the_review_queue(old: Store) -> None:
    for ref, people in EXPECTED["audit"]["order"].items():
        manifest = load_manifest_rows(old, ref)
        assert ids_of(manifest, order_of(manifest, Queue())) == people
    for ref, ranked in EXPECTED["audit"]["is_ranked"].items():
        assert is_ranked(load_manifest_rows(old, ref)) == ranked


# -- logs -------------------------------------------------------------------------------------------------------


def test_logs_are_found_and_read(old: Store, logs: list[Path]) -> None:
    expected, version = EXPECTED["logs"], old.version("faces@original")
    assert [path.name for path in logs] == list(expected["files"])
    assert {name: log_path(old, version, name).name for name in ANNOTATORS} == expected["path_of"]
    assert read_annotators_per_person(log_folder(old, version)) == expected["looks"]
    for path in logs:
        entry, records = expected["files"][path.name], read_corrections([path])
        assert file_sha256(path) == entry["sha256"]  # reading changes no log
        assert records.num_rows == entry["records"]
        assert sorted(set(records["annotator"].to_pylist())) == entry["annotators"]
        assert [[row["line"], row["problem"]] for row in records.to_pylist() if row["problem"]] == entry["problems"]
        fields = records["field"].to_pylist()
        assert {name: fields.count(name) for name in (*FIELDS, UNSURE)} == entry["fields"]
    assert read_corrections([log_path(old, version, "ann")])["note"][0].as_py() == expected["a_note_with_escapes"]


@pytest.mark.parametrize("annotator", ANNOTATORS)
def test_latest_annotations_of_an_annotator(old: Store, annotator: str) -> None:
    expected, log = EXPECTED["words"][annotator], open_log(old, annotator)
    for ref, by_row in expected["of"].items():
        found = {}
        for row in old.read(ref).table.to_pylist():
            values = {name: value for name in FIELDS if (value := log.latest_of(row, name)) is not None}
            if values:
                found[row["sample_id"]] = values
        assert found == by_row, ref
    for field, (samples, people) in expected["about"].items():
        assert log.history.labelled(field) == (set(samples), set(people))
    for kind in "gds":
        save, records = log.last_save(kind)
        assert [save, len(records)] == expected["last_save"][kind]
    for ref, texts in expected["verdict"].items():
        manifest = load_manifest_rows(old, ref)
        rows = manifest.records(np.arange(len(manifest.column("sample_id"))))
        shown = {row["sample_id"]: text for row in rows if (text := verdict(row, log, manifest.cuts))}
        assert shown == {sample_id: VERDICTS.get(text, text) for sample_id, text in texts.items()}


def test_the_last_save_can_be_undone(tmp_path: Path) -> None:
    expected, store = EXPECTED["take_back_on_a_copy"], copy_old_workspace(tmp_path)
    log = open_log(store, expected["annotator"])
    before = read_corrections([log.path])
    assert log.last_save("s")[0] == expected["save"]
    assert log.undo(expected["save"]) == expected["labels"]
    reopened = open_log(store, expected["annotator"])
    assert log.last_save("s")[0] == reopened.last_save("s")[0] == expected["next_last_save"]
    assert read_corrections([log.path]).slice(0, before.num_rows).equals(before)


def annotated_since(logs: Sequence[Path], save: ReviewSave) -> set[Label]:
    """Return the labels of a save that the same annotator annotated again later."""
    records = [row for row in read_corrections(logs).to_pylist() if row["annotator"] == save.records[0].annotator]
    events = [Correction(**{name: row[name] for name in COLUMNS}) for row in records]
    end = max(datetime.fromisoformat(record.time) for record in save.records)
    return {event.label for event in events if datetime.fromisoformat(event.time) > end}


@pytest.mark.parametrize("ref", EXPECTED["progress"])
def test_progress_of_the_review(old: Store, logs: list[Path], ref: str) -> None:
    expected, manifest = EXPECTED["progress"][ref], load_manifest_rows(old, ref)
    progress = ReviewProgress(manifest.people)
    progress.refresh(logs)
    assert manifest.people.tolist() == expected["people"]
    assert progress.review_counts.tolist() == expected["looks"]
    assert [problem.partition("must have")[2] for problem in progress.problems] == [
        problem.partition("must have")[2] for problem in expected["problems"]
    ]
    times = [row["time"] for row in read_corrections(logs).to_pylist() if not row["problem"]]
    days = {datetime.fromisoformat(time).astimezone().date() for time in times}
    for annotator, entry in expected["by"].items():
        assert manifest.people[progress.seen_by(annotator)].tolist() == entry["seen"]
        assert ids_of(manifest, progress.history(annotator)) == entry["trail"]
        assert sum(progress.seen_on(annotator, day) for day in days) == entry["saves_of_all_days"]
        changes = {
            str(person): {f"{sample}|{name}": value for (sample, name), value in found.items()}
            for number, person in enumerate(manifest.people)
            if (found := progress.changes(annotator, number))
        }
        assert changes == entry["words"]
        save = progress.last_save(annotator)
        assert save is not None
        undone = entry["undo_would_take_back"]
        assert str(manifest.people[save.person]) == undone["person"]
        assert [record.correction_id for record in save.records] == undone["records"]
        before = {record.label: value for record, value in zip(save.records, undone["before"], strict=True)}
        restated = {event.label: event.new for event in progress.undo_records(annotator, save)}
        # 0.1.0 withdrew a label that was annotated again after the save; now it keeps its later value.
        assert restated == {label: value for label, value in before.items() if label not in annotated_since(logs, save)}


# -- several annotators -----------------------------------------------------------------------------------------


def test_labels_with_the_annotations_of_each_annotator(
    old: Store, logs: list[Path], labels: tuple[list[AnnotatedLabel], AgeCuts]
) -> None:
    found, cuts = labels
    sources, _ = read_sources(old, read_corrections(logs))
    expected = EXPECTED["sources"]
    assert sources.column_names == expected["columns"]
    assert sources.num_rows == expected["rows"]
    assert [cuts.middle, cuts.old] == expected["age_cuts"]
    assert [
        {
            "name": label.name,
            "field": label.field,
            "scope": label.scope,
            "person_id": label.person_id,
            "sample_id": label.sample_id,
            "words": {name: one.value for name, one in label.annotations.items()},
            "decisions": {name: one.value for name, one in label.adjudications.items()},
            "records": len(label.records),
        }
        for label in found
    ] == EXPECTED["units"]
    shown = read_annotation_set(old, logs, AgeCuts())
    assert shown.annotators == sorted(ANNOTATORS)
    assert [label.name for label in shown.labels] == [label.name for label in found]
    assert len(shown.problems) == 1


@pytest.mark.parametrize("field", FIELDS)
def test_agreement_of_annotators(labels: tuple[list[AnnotatedLabel], AgeCuts], field: str) -> None:
    found, expected = agreement(labels[0], field, labels[1]), EXPECTED["agreement"][field]
    assert (found.annotated, found.labels, found.shared, found.same) == (
        expected["words"],
        expected["units"],
        expected["shared"],
        expected["same"],
    )
    pairs = [{name: getattr(pair, name) for name in ("a", "b", "shared", "same", "kappa")} for pair in found.pairs]
    assert without_nan(pairs) == [pytest.approx(pair) for pair in expected["pairs"]]
    assert without_nan(found.fleiss) == pytest.approx(expected["fleiss"])


def test_conflicts_and_their_adjudication(labels: tuple[list[AnnotatedLabel], AgeCuts]) -> None:
    found = conflicts(*labels)
    assert [(label.name, label.summary()) for label in found] == [
        (entry["name"], entry["said"]) for entry in EXPECTED["conflicts"]
    ]
    rulings = [max(label.adjudications.values(), key=lambda one: one.order, default=None) for label in found]
    assert [ruling.value if ruling else "" for ruling in rulings] == [
        entry["ruling"] for entry in EXPECTED["conflicts"]
    ]


@pytest.mark.parametrize(
    ("rule", "adjudicator", "file"),
    [("unanimous", "", ""), ("majority", "", "majority.csv"), ("adjudicator", "cléo", "adjudicator-cl%C3%A9o.csv")],
)
def test_consensus(
    old: Store, tmp_path: Path, labels: tuple[list[AnnotatedLabel], AgeCuts], rule: str, adjudicator: str, file: str
) -> None:
    expected = EXPECTED["consensus"][rule]
    decisions = decide(labels[0], rule, labels[1], adjudicator=adjudicator)
    assert {one.label.name: one.value for one in decisions if one.value} == expected["values"]
    assert [[one.label.name, one.reason] for one in decisions if not one.value] == [
        [name, REASONS.get(reason, reason)] for name, reason in expected["open"]
    ]
    records = to_corrections(decisions, rule, adjudicator)
    assert (len(records), sum(bool(one.value) for one in decisions)) == (expected["records"], expected["decided"])
    if file:  # the log that 0.1.0 wrote has the same records; its lines lack the columns that came later
        assert file_sha256(old.workspace / "consensus" / "faces" / file) == EXPECTED["consensus"][file]
        write_log(tmp_path / "log.csv", records)
        drop = ["file", "save_id", "undoes"]
        now, then = (
            read_corrections([path]).drop_columns(drop)
            for path in (tmp_path / "log.csv", old.workspace / "consensus" / "faces" / file)
        )
        assert now.equals(then)


# -- runs -------------------------------------------------------------------------------------------------------


def test_runs_are_listed_newest_first(old: Store) -> None:
    assert [run.name for run in list_runs(old)] == EXPECTED["runs"]["order"]


@pytest.mark.parametrize("name", EXPECTED["runs"]["by"])
def test_a_run_opens(old: Store, name: str) -> None:
    expected, run = EXPECTED["runs"]["by"][name], find_run(old, name)
    about = run.about()
    assert run.manifest == expected["manifest"]
    assert about["state"] == expected["state_in_run_json"]
    assert sorted(path.name for path in run.path.iterdir()) == expected["files"]
    assert recipe_text(run.settings()) == expected["recipe"]
    assert load_train_settings(run.path / CONFIG).model_dump(mode="json") == expected["settings"]
    assert [entry["ref"] for entry in about["history"]] == expected["history"]
    for key in ("content_hash", "age_cuts", "seed", "command"):
        assert about[key] == expected[key], key
    assert about.get("job") == expected["job"]
    if expected["has_predictions"]:
        assert_results(old, run, expected)


def class_of(labels: list[int]) -> int:
    """Return the class of codes of mask, gender and age."""
    return int(class_of_labels(np.array([labels]))[0])


def assert_results(store: Store, run: Run, expected: dict[str, Any]) -> None:
    """Assert that the results of a finished run are those that 0.1.0 read."""
    about, history = run.about(), run.history()
    assert without_nan(run.scores()["scores"]) == expected["scores"]
    assert sorted(run.scores()) == expected["scores_keys"]
    assert sorted(history) == expected["history_columns"]
    assert {key: values[-1] for key, values in history.items()} == expected["last_epoch"]
    assert len(history["epoch"]) == expected["epochs"]
    assert expected["best"].items() <= about.items()
    mistakes = [
        one | {"truth": one["p_label"], "target": class_of(one["labels"]), "predicted": class_of(one["predicted"])}
        for one in mistakes_of(run, 5)
    ]
    wanted = expected["worst_mistakes"]
    assert [{key: one[key] for key in wanted[0]} for one in mistakes] == [pytest.approx(one) for one in wanted]
    found = predictions_for(run, load_manifest_rows(store, run.manifest).column("sample_id"))
    labels = np.stack([found.labels[task].astype(np.int64) for task in TASKS], axis=1)
    assert class_of_labels(labels).tolist() == expected["predicted"]
    assert float(np.nansum(found.confidence)) == pytest.approx(expected["confidence_sum"])


@pytest.mark.slow
def test_an_old_checkpoint_is_evaluated_again(tmp_path: Path) -> None:
    expected, store = EXPECTED["evaluate"], copy_old_workspace(tmp_path)
    kept = store.workspace / "runs" / expected["run"] / "evaluate-faces-7-val.json"
    assert json.loads(kept.read_text("utf8")) == expected["kept"]
    result = evaluate_run(store, expected["run"], expected["ref"], expected["split"], echo=lambda line: None)
    # its validation people are of one age class: 0.1.0 gave a score, which is not measurable now
    assert result["not_measurable"]["age"] == "one class in validation"
    scores = {name: score for name, score in result["scores"].items() if not name.startswith("age_")}
    assert scores == pytest.approx({name: expected["scores"][name] for name in scores}, abs=0.01)
    assert result["scores"]["age_f1"] is None


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED["report"])
def test_the_report_of_an_old_run_is_written_again(tmp_path: Path, name: str) -> None:
    store = copy_old_workspace(tmp_path)
    report = write_report(find_run(store, name), store)
    assert report.name == EXPECTED["report"][name]
    assert name in report.read_text("utf8")


def test_the_job_of_the_queue(tmp_path: Path) -> None:
    expected, store = EXPECTED["queue"], copy_old_workspace(tmp_path)
    jobs = open_job_store(store.workspace).jobs()
    assert [{key: getattr(job, key) for key in entry} for job, entry in zip(jobs, expected["jobs"], strict=True)] == [
        entry | {"words": tuple(entry["words"])} for entry in expected["jobs"]
    ]
    progress = progress_of(store, 1)
    assert progress | {"run": Path(progress["run"]).name} == expected["progress"]
