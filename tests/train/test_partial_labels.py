"""Training on sets in which labels of some tasks are unknown: head, loss, scores, report, errors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests.errors import ManifestError
from data_manifests.labels import N_LABELS, TASKS, UNKNOWN
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.store import Store
from pipeline.runs import PROBABILITIES, TARGETS, Run
from reporting.mistakes import is_wrong, known_labels, labels_in, probability_of, worst_mistakes
from tests.support.partial_sets import write_partial
from tests.support.train_drawn import rows_of, tiny_settings, write_people, write_rows
from train.data.sampling import SAMPLERS, EpochSampler
from train.engine.auto_settings import choose_auto, measurable_metrics
from train.engine.losses import HeadLoss
from train.engine.training_run import train_and_report
from train.evaluation import evaluate_run
from train.evaluation.bootstrap import bootstrap_intervals
from train.evaluation.metrics import EpochCounts, confusion_of, headline_of, not_measurable, scores_of, task_counts
from train.head_parts import PARTS_OF_HEAD, tasks_of_head
from train.models.heads import head_of, log_probability, n_outputs, split_outputs
from train.rows.head_labels import auto_head, check_head, has_label, learnable_tasks
from train.rows.row_selection import select_rows
from train.settings import LossSettings, ModelSettings

CUTS = AgeCuts()
HEAD_OF_KIND = {"mask": "mask", "gender": "gender", "age": "age", "mask+gender": "mask+gender", "mixed": "tasks"}
rows_of_labels: st.SearchStrategy[np.ndarray] = st.lists(
    st.tuples(*(st.integers(UNKNOWN, N_LABELS[task] - 1) for task in TASKS)), min_size=1, max_size=60
).map(np.array)


def quiet(line: str) -> None:
    pass


def auto_settings(**sections: Any) -> Any:
    """Return the settings of a tiny network with head and metric chosen from the labels."""
    chosen = {"model": {"head": "auto"}, "optim": {"epochs": 2, "metric": "auto"}}
    return tiny_settings(**{name: chosen.get(name, {}) | sections.get(name, {}) for name in {*chosen, *sections}})


# -- one run of each kind -------------------------------------------------------------------------------------------
@pytest.fixture(scope="module", params=HEAD_OF_KIND)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Run, Store]:
    torch.set_num_threads(1)
    store = Store(tmp_path_factory.mktemp("partial") / "workspace")
    write_partial(store, request.param, 72)  # of `mixed`, three validation rows have all labels
    return request.param, train_and_report(store, "partial", auto_settings(), once=False, echo=quiet), store


def test_a_partial_set_trains_the_tasks_that_have_labels(trained: tuple[str, Run, Store]) -> None:
    kind, run, _ = trained
    tasks = tasks_of_head(HEAD_OF_KIND[kind])
    assert run.settings()["model"]["head"] == HEAD_OF_KIND[kind]
    assert run.about()["tasks"] == list(tasks)
    summary = run.scores()
    for task in TASKS:
        score = summary["scores"][f"{task}_f1"]
        assert (score is None) == (task not in tasks)
        assert summary["not_measurable"].get(task) == (None if task in tasks else "not trained")
    assert (summary["scores"]["f1"] is None) == (kind != "mixed")
    assert summary["headline"] == {"mask+gender": "tasks_f1", "mixed": "f1"}.get(kind, f"{kind}_f1")
    assert run.about()["not_measurable"] == summary["not_measurable"]


def test_the_scores_are_those_of_the_predictions(trained: tuple[str, Run, Store]) -> None:
    kind, run, _ = trained
    predictions = run.predictions().to_pandas()
    val = predictions[predictions["split"] == "val"]
    for index, task in enumerate(TASKS):
        if task not in tasks_of_head(HEAD_OF_KIND[kind]):
            continue
        target = val[TARGETS[task]].to_numpy()
        predicted = np.stack(np.unravel_index(val["predicted"], [N_LABELS[task] for task in TASKS]), 1)[:, index]
        known = target != UNKNOWN
        assert run.scores()["scores"][f"{task}_accuracy"] == pytest.approx((target == predicted)[known].mean())
    # the confidence is that of the labels that are trained: at least that of a uniform guess, never a share of it
    n_answers = np.prod([N_LABELS[task] for task in tasks_of_head(HEAD_OF_KIND[kind])])
    assert (predictions["confidence"] >= 1 / n_answers - 1e-6).all()
    assert np.allclose(predictions[PROBABILITIES].sum(1), 1, atol=1e-5)


def test_the_table_of_epochs_has_empty_cells(trained: tuple[str, Run, Store]) -> None:
    kind, run, _ = trained
    text = (run.path / "metrics.csv").read_text()
    assert "nan" not in text
    table = pd.read_csv(run.path / "metrics.csv")
    tasks = tasks_of_head(HEAD_OF_KIND[kind])
    for task in TASKS:
        assert table[f"val_{task}_f1"].isna().all() == (task not in tasks)
    assert set(run.history()) == {name for name in table if table[name].notna().any()}


def test_the_report_shows_only_what_is_there(trained: tuple[str, Run, Store]) -> None:
    kind, run, _ = trained
    page = (run.path / "report.html").read_text("utf8")
    tasks = tasks_of_head(HEAD_OF_KIND[kind])
    assert ">nan<" not in page
    assert ("18 classes" in page) == (kind == "mixed")
    for task, title in (("mask", "Mask, macro F1"), ("gender", "Gender, macro F1"), ("age", "Age class, macro F1")):
        assert (title in page) == (task in tasks)
    assert (run.path / "confusion.png").is_file()


def test_a_run_is_taken_again_with_the_chosen_settings(trained: tuple[str, Run, Store]) -> None:
    kind, run, store = trained
    messages: list[str] = []
    again = train_and_report(store, "partial", auto_settings(), once=True, echo=messages.append)
    assert again.name == run.name
    explicit = auto_settings(model={"head": HEAD_OF_KIND[kind]})
    assert train_and_report(store, "partial", explicit, once=True, echo=messages.append).name == run.name


def test_it_is_evaluated_on_its_tasks(trained: tuple[str, Run, Store]) -> None:
    kind, run, store = trained
    messages: list[str] = []
    result = evaluate_run(store, run.name, None, "val", echo=messages.append)
    assert result["scores"] == run.scores()["scores"]
    tasks = tasks_of_head(HEAD_OF_KIND[kind])
    assert {line.split()[0] for line in messages[:-1]} == {*tasks, *({"18"} if kind == "mixed" else set())}
    assert json.loads((run.path / "evaluate-partial-1-val.json").read_text())["scores"] == result["scores"]


# -- choice of the head ---------------------------------------------------------------------------------------------
def test_complete_labels_give_the_18_classes(store: Store) -> None:
    write_people(store, train=12, val=6)
    messages: list[str] = []
    chosen = choose_auto(auto_settings(), store.read("drawn"), messages.append)
    assert (chosen.model.head, chosen.optim.metric) == ("class", "f1")
    assert messages == []
    frozen = auto_settings(model={"freeze": "backbone"}, data={"augment": {}})
    assert choose_auto(frozen, store.read("drawn"), quiet).model.head == "tasks"


@given(labels=rows_of_labels)
@settings(deadline=None)
def test_the_chosen_head_has_labels_of_each_part_or_nothing_can_be_learned(labels: np.ndarray) -> None:
    if (labels == UNKNOWN).all():
        return
    head = auto_head(labels, by_parts=False)
    assert has_label(labels, head).any()
    tasks = learnable_tasks(labels)
    if tasks and head != "class":
        assert tasks_of_head(head) == tasks or head == "tasks"
    if set(tasks) & set(tasks_of_head(head)):
        check_head("faces@1", labels, head, CUTS)


def test_a_task_with_one_label_is_not_trained_and_it_says_so(store: Store) -> None:
    people = [row | {"age": None, "mask": "none"} for row in rows_of(store, 12, split="train")]
    people += [row | {"age": None, "mask": "none"} for row in rows_of(store, 6, split="val", first=12)]
    write_rows(store, people)
    messages: list[str] = []
    chosen = choose_auto(auto_settings(), store.read("drawn"), messages.append)
    assert (chosen.model.head, chosen.optim.metric) == ("gender", "gender_f1")
    assert messages[0] == "  mask is not trained: every label in train is 'none'"


# -- scores that cannot be measured ---------------------------------------------------------------------------------
def test_portraits_without_masks_have_no_score_of_masks(store: Store) -> None:
    people = [row | {"mask": "none"} for row in rows_of(store, 12, split="train")]
    write_rows(store, people + [row | {"mask": "none"} for row in rows_of(store, 6, split="val", first=12)])
    messages: list[str] = []
    run = train_and_report(store, "drawn", auto_settings(), once=False, echo=messages.append)
    reason = "not measurable: one class in validation"
    assert run.settings()["model"]["head"] == "class"
    assert run.scores()["scores"]["mask_f1"] is None
    assert run.about()["not_measurable"] == {"mask": "one class in validation"}
    assert f"mask {reason}" in messages[-1]
    page = (run.path / "report.html").read_text("utf8")
    assert reason in page
    assert run.scores()["scores"]["f1"] is not None
    cells = pd.read_csv(run.path / "metrics.csv")
    assert cells[["val_mask_f1", "val_mask_accuracy"]].isna().all(axis=None)


@given(labels=rows_of_labels, seed=st.integers(0, 100))
@settings(deadline=None, max_examples=50)
def test_scores_count_the_rows_with_the_label(labels: np.ndarray, seed: int) -> None:
    predicted = np.random.default_rng(seed).integers(0, 18, len(labels))
    counts = confusion_of(labels, predicted)
    for index, task in enumerate(TASKS):
        assert task_counts(counts, task).sum() == (labels[:, index] != UNKNOWN).sum()
    assert task_counts(counts, "class").sum() == (labels != UNKNOWN).all(1).sum()
    on_device = EpochCounts(torch.device("cpu"))
    on_device.add(torch.eye(18)[predicted], torch.tensor(labels))
    np.testing.assert_array_equal(on_device.counts(), counts)
    scores, reasons = scores_of(counts), not_measurable(counts)
    for task in TASKS:
        assert (scores[f"{task}_f1"] is None) == (task in reasons)
        assert (task in reasons) == (len(set(labels[:, TASKS.index(task)]) - {UNKNOWN}) < 2)
    assert all(value is None or 0 <= value <= 1 for value in scores.values())
    name = headline_of(scores)
    assert name is None or scores[name] is not None


def test_intervals_of_a_task_are_those_of_its_rows() -> None:
    rng = np.random.default_rng(0)
    labels = np.stack([rng.integers(0, 3, 200), np.full(200, UNKNOWN), np.full(200, UNKNOWN)], 1)
    predicted = np.where(rng.random(200) < 0.8, labels[:, 0] * 6, rng.integers(0, 18, 200))
    people = [str(row) for row in range(200)]
    low, high = bootstrap_intervals(labels, predicted, people, np.random.default_rng(1))["mask_accuracy"]
    accuracy = (predicted // 6 == labels[:, 0]).mean()
    assert low < accuracy < high
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(accuracy * (1 - accuracy) / 200), rel=0.2)
    assert np.isnan(bootstrap_intervals(labels, predicted, people, np.random.default_rng(1))["gender_f1"]).all()


def test_the_metric_is_the_first_that_can_be_measured() -> None:
    labels = np.array([[0, 0, UNKNOWN], [1, 1, UNKNOWN], [2, 1, UNKNOWN]])
    assert measurable_metrics(labels, "mask+gender")[0] == "tasks_f1"
    assert measurable_metrics(labels[:, [0, 2, 2]], "mask")[0] == "mask_f1"
    assert measurable_metrics(labels[1:, [2, 1, 2]], "gender") == ["loss"]
    complete = np.array([[0, 0, 0], [1, 1, 1]])
    assert measurable_metrics(complete, "class")[0] == "f1"


def test_a_metric_that_cannot_be_measured_is_one_error(store: Store) -> None:
    write_partial(store, "mask")
    chosen = auto_settings(optim={"metric": "gender_f1"})
    with pytest.raises(
        ManifestError,
        match=r"optim\.metric=gender_f1 is not measurable: not trained.*\{auto, mask_f1, mask_accuracy, loss\}",
    ):
        choose_auto(chosen, store.read("partial"), quiet)


# -- loss -----------------------------------------------------------------------------------------------------------
@given(labels=rows_of_labels, head=st.sampled_from(sorted({*PARTS_OF_HEAD, "mask+gender", "gender+age"})))
@settings(deadline=None, max_examples=60)
def test_an_unlabelled_row_has_no_gradient(labels: np.ndarray, head: str) -> None:
    parts = head_of(ModelSettings(head=head), CUTS)
    target, years = torch.tensor(labels), torch.full((len(labels),), UNKNOWN)
    outputs = torch.randn(len(labels), n_outputs(parts), requires_grad=True)
    loss = HeadLoss(LossSettings(label_smoothing=0.1), parts, target, years)(outputs, target, years)
    assert torch.isfinite(loss)
    (gradient,) = torch.autograd.grad(loss, outputs)
    for name, part in split_outputs(gradient, parts).items():
        known = (target[:, [TASKS.index(task) for task in parts[name].tasks]] != UNKNOWN).all(1)
        if name == "male_age":
            known &= target[:, 1] == 0
        if name == "female_age":
            known &= target[:, 1] == 1
        assert (part[~known] == 0).all()
        if known.any():
            assert (part[known] != 0).any()


def test_the_loss_of_a_part_is_the_mean_over_its_labelled_rows() -> None:
    parts = head_of(ModelSettings(head="mask+gender"), CUTS)
    labels = torch.tensor([[0, 1, -1], [2, -1, -1], [-1, 0, -1], [-1, -1, -1]])
    years, outputs = torch.full((4,), UNKNOWN), torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    found = HeadLoss(LossSettings(), parts, labels, years)(outputs, labels, years)
    cross_entropy = torch.nn.functional.cross_entropy
    expected = cross_entropy(outputs[:2, :3], torch.tensor([0, 2]))
    expected = expected + cross_entropy(outputs[[0, 2], 3:], torch.tensor([1, 0]))
    torch.testing.assert_close(found, expected)


def test_labels_of_other_tasks_get_equal_probabilities() -> None:
    parts = head_of(ModelSettings(head="mask+age"), CUTS)
    probability = log_probability(torch.randn(3, n_outputs(parts)), parts).exp().view(3, 3, 2, 3)
    torch.testing.assert_close(probability[:, :, 0], probability[:, :, 1])


# -- rows -----------------------------------------------------------------------------------------------------------
def test_rows_without_a_label_of_the_head_are_counted_with_the_reason(store: Store) -> None:
    write_partial(store, "mixed")
    manifest = store.read("partial")
    labels = manifest.table.select(["mask", "gender", "age"]).to_pandas()
    for head, columns in (("mask", ["mask"]), ("mask+gender", ["mask", "gender"]), ("tasks", list(labels))):
        selection = select_rows(manifest, tiny_settings().data, head)
        left_out = int(labels[columns].isna().all(axis=1).sum())
        assert (
            selection.ledger[
                f"without a label of {' or '.join(columns) if len(columns) < 3 else 'mask, gender or age'}"
            ]
            == left_out
        )
        assert sum(selection.ledger.values()) == len(labels)
    full = select_rows(manifest, tiny_settings().data, "class")
    assert full.ledger["without a full label"] == int(labels.isna().any(axis=1).sum())


def test_an_explicit_head_without_labels_names_the_one_that_fits(store: Store) -> None:
    write_partial(store, "mask")
    manifest = store.read("partial")
    with pytest.raises(
        ManifestError, match=r"partial@1: 27 rows in train have no gender and no age\. Train with model\.head=mask"
    ):
        select_rows(manifest, tiny_settings().data, "class")
    with pytest.raises(ManifestError, match=r"27 rows in train have no gender\. Train with model\.head=mask"):
        select_rows(manifest, tiny_settings().data, "mask+gender")
    write_partial(store, "none", name="bare")
    with pytest.raises(ManifestError, match=r"bare@1: none of the 27 rows in train has a label"):
        select_rows(store.read("bare"), tiny_settings().data, "mask")
    write_partial(store, "mask", name="unsplit", split=False)
    with pytest.raises(ManifestError, match=r"unsplit@1 has no split\. Run: facecurate split unsplit@1"):
        choose_auto(auto_settings(), store.read("unsplit"), quiet)


def test_one_class_is_nothing_to_learn(store: Store) -> None:
    write_partial(store, "mask")
    table = store.read("partial").table
    place = table.column_names.index("mask")
    store.write("worn", table.set_column(place, "mask", pa.array(["worn"] * table.num_rows)), "ingest")
    with pytest.raises(
        ManifestError, match=r"worn@1: all labelled rows in train have mask 'worn': there is nothing to"
    ):
        choose_auto(auto_settings(), store.read("worn"), quiet)


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_take_rows_with_unknown_labels(name: str) -> None:
    rng = np.random.default_rng(0)
    labels = np.stack([rng.integers(UNKNOWN, N_LABELS[task], 200) for task in TASKS], 1)
    person = np.array([f"p{row // 2}" for row in range(200)])
    drawn = [row for _, row in EpochSampler(labels, person, tiny_settings(data={"sampler": name}))]
    assert set(drawn) <= set(range(200))
    if name == "age_class":  # rows of an unknown age keep their share of the draws
        share = (labels[:, 2] == UNKNOWN).mean()
        assert np.mean(labels[drawn, 2] == UNKNOWN) == pytest.approx(share, abs=0.15)


# -- mistakes -------------------------------------------------------------------------------------------------------
def test_a_mistake_is_a_known_label_of_a_trained_task() -> None:
    labels = np.array([[0, UNKNOWN, UNKNOWN], [1, 1, 2], [UNKNOWN] * 3])
    predicted = np.array([17, 9, 0])  # none female old, incorrect female young, worn male young
    assert is_wrong(labels, predicted).tolist() == [True, True, False]
    assert is_wrong(labels, predicted, ["mask"]).tolist() == [True, False, False]
    probability = np.random.default_rng(0).dirichlet(np.ones(18), 3)
    given = known_labels(labels, ["mask"])
    assert probability_of(probability, given) == pytest.approx(
        [probability[0, :6].sum(), probability[1, 6:12].sum(), 1.0]
    )
    frame = pd.DataFrame(probability, columns=PROBABILITIES).assign(
        sample_id=list("abc"), split="val", predicted=predicted, confidence=0.9, target=-1
    )
    frame[list(TARGETS.values())] = labels
    np.testing.assert_array_equal(labels_in(frame), labels)
    assert worst_mistakes(frame, 5, ["mask"])["sample_id"].tolist() == ["a"]
