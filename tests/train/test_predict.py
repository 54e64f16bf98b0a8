"""Predictions of a manifest, of a folder, averaged over views; and ensembles."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result

from data_manifests.errors import ConfigError, ManifestError, StageError
from data_manifests.taxonomy import N_CLASSES, AgeCuts
from data_manifests.versions.store import Store
from pipeline.runs import find_run
from tests.support.train_drawn import rows_of, tiny_settings, write_rows
from train.cli.main import cli
from train.data.loader import make_loader, to_device
from train.engine.training_run import train_and_report
from train.evaluation import tta
from train.evaluation.ensemble import Member, ensemble_to_csv, join, weights_of
from train.evaluation.evaluate import evaluate_run, load_best
from train.evaluation.predict import PROBABILITIES, predict_rows, probabilities_of
from train.evaluation.voting import RULES, vote, vote_by_task
from train.rows.row_selection import select_rows


@pytest.fixture(scope="module")
def trained_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Train two runs, drawn-0001 and drawn-0002, with the same 12 validation people; the second is worse."""
    torch.set_num_threads(1)
    store = Store(tmp_path_factory.mktemp("predict") / "workspace")
    rows = rows_of(store, 24, split="train") + rows_of(store, 12, split="val", first=24)
    write_rows(store, rows + rows_of(store, 6, split="test", first=36))
    for seed, epochs in ((1, 8), (2, 2)):
        settings = tiny_settings(seed=seed, optim={"epochs": epochs})
        train_and_report(store, "drawn", settings, once=False, echo=lambda line: None)
    return store


def command(store: Store, *words: str) -> Result:
    return CliRunner().invoke(cli, list(words), env={"WORKSPACE": str(store.workspace)})


# -- predict --------------------------------------------------------------------------------------------------------
def test_answers_on_a_manifest_are_those_of_the_run(trained_store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    result = command(trained_store, "predict", "drawn-0001", "drawn", "--out", str(out), "--probabilities")
    assert result.exit_code == 0, result.output
    answers = pd.read_csv(out)
    assert list(answers.columns) == ["ImageID", "ans", "sample_id", "confidence", *PROBABILITIES]
    assert len(answers) == 3 * (24 + 12 + 6)
    run = pd.read_parquet(find_run(trained_store, "drawn-0001").path / "predictions.parquet").set_index("sample_id")
    both = answers[answers["sample_id"].isin(run.index)].set_index("sample_id")
    assert len(both) == len(run)
    assert (both["ans"] == run["predicted"].loc[both.index]).all()
    assert np.allclose(both[PROBABILITIES], run[PROBABILITIES].loc[both.index], atol=1e-5)
    assert np.allclose(answers[PROBABILITIES].sum(1), 1, atol=1e-5)


def test_a_folder_needs_no_manifest_and_keeps_every_file(trained_store: Store, tmp_path: Path) -> None:
    photos = tmp_path / "eval" / "images"
    shutil.copytree(trained_store.workspace / "images" / "drawn", photos)
    (photos / "broken.jpg").write_bytes(b"no picture")
    (photos / "notes.txt").write_text("no picture either")
    out = tmp_path / "submission.csv"
    result = command(trained_store, "predict", "drawn-0001", str(photos), "--out", str(out))
    assert result.exit_code == 0, result.output
    assert "no answer for broken.jpg: broken.jpg: is not a picture" in result.output
    answers = pd.read_csv(out)
    assert list(answers.columns) == ["ImageID", "ans", "reason"]  # the reason is there only if a picture has one
    assert answers["ImageID"].tolist()[-2:] == ["broken.jpg", "notes.txt"]
    assert answers.iloc[-2].iloc[2].startswith("broken.jpg: is not a picture in a known format")
    assert sorted(answers["ImageID"]) == sorted(path.name for path in photos.iterdir())
    assert answers.set_index("ImageID")["ans"].isna().sum() == 2
    run = pd.read_parquet(find_run(trained_store, "drawn-0001").path / "predictions.parquet")
    expected = {Path(path).name: predicted for path, predicted in zip(run["path"], run["predicted"], strict=True)}
    found = answers.set_index("ImageID")["ans"]
    assert all(found[name] == predicted for name, predicted in expected.items())


def test_a_wrong_source_is_one_line(trained_store: Store, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("")
    out = str(tmp_path / "x.csv")
    for source, words in (("list.txt", "is neither a manifest nor a folder"), ("", "no picture (.jpg")):
        error = command(trained_store, "predict", "drawn-0001", str(tmp_path / source), "--out", out).exception
        assert isinstance(error, ManifestError | StageError)
        assert words in str(error)
    assert not Path(out).exists()
    other = write_rows(trained_store, rows_of(trained_store, 2, split="val"), name="other", cuts=AgeCuts(45, 60))
    with pytest.raises(ManifestError, match=r"the checkpoint has the age classes <30, 30-59, >=60, but other@1"):
        evaluate_run(trained_store, "drawn-0001", other.ref, "val", echo=print)


# -- views ----------------------------------------------------------------------------------------------------------
def test_views_flip_and_crop() -> None:
    image = torch.rand(2, 3, 40, 30)
    assert torch.equal(tta.views_of(image, [])[0], image)
    one, other = tta.views_of(image, ["flip"])
    assert torch.equal(one, image)
    assert torch.equal(other, image.flip(-1))
    crops = tta.views_of(image, ["crops"])
    assert len(crops) == 6
    assert {tuple(view.shape) for view in crops} == {(2, 3, 40, 30)}
    ramp = torch.linspace(0, 1, 40).view(1, 1, 40, 1).expand(1, 3, 40, 30)
    _, top_left, top_right, bottom_left, _, middle = (view.mean().item() for view in tta.views_of(ramp, ["crops"]))
    assert top_left == top_right < middle < bottom_left
    assert len(tta.views_of(image, ["flip", "crops"])) == 12


def test_views_are_averaged_as_probabilities(trained_store: Store) -> None:
    trained = load_best(find_run(trained_store, "drawn-0001"))
    rows = select_rows(trained_store.read("drawn"), trained.settings.data).val
    loader = make_loader(rows, trained_store, trained.settings, train=False)
    plain, averaged = (probabilities_of(trained, loader, "", names) for names in ((), ("flip",)))
    images = torch.cat([to_device(batch, torch.device("cpu"))[0] for batch in loader])
    with torch.inference_mode():
        mirrored = trained.model(images.flip(-1)).double().log_softmax(1).exp().numpy()
    assert np.allclose(averaged, (plain + mirrored) / 2, atol=1e-5)
    assert not np.allclose(averaged, plain, atol=1e-4)
    frame = predict_rows(trained, rows, trained_store, "drawn@1", "", ["flip"])
    assert np.allclose(frame[PROBABILITIES], averaged, atol=1e-6)


def test_evaluation_with_views_writes_its_own_file(trained_store: Store) -> None:
    result = command(trained_store, "evaluate", "drawn-0001", "--split", "test", "--tta", "flip,crops")
    assert result.exit_code == 0, result.output
    about = find_run(trained_store, "drawn-0001").read_json("evaluate-drawn-1-test-flip-crops.json")
    assert about["tta"] == ["flip", "crops"]
    error = command(trained_store, "evaluate", "drawn-0001", "--tta", "turn").exception
    assert isinstance(error, ConfigError)
    assert "--tta must be one of {flip, crops}. Got 'turn' instead." in str(error)


# -- votes ----------------------------------------------------------------------------------------------------------
def spread(*shares: float) -> np.ndarray:
    """(18,): the given shares for classes 0, 1, …"""
    return np.pad(np.array(shares), (0, N_CLASSES - len(shares)))


# three members on two samples. First: two predict class 0 weakly, one predicts class 1 strongly. Second: all disagree.
CAST = np.stack(
    [
        [spread(0.5, 0.4, 0.1), spread(0.6, 0.4)],
        [spread(0.5, 0.4, 0.1), spread(0.1, 0.5, 0.4)],
        [spread(0.0, 1.0, 0.0), spread(0.2, 0.2, 0.6)],
    ]
)


@pytest.mark.parametrize(
    ("how", "weights", "expected"),
    [
        ("soft", [1, 1, 1], [1, 1]),  # means 0.33 0.6 0.07 and 0.3 0.37 0.33
        ("weighted", [3, 1, 0], [0, 0]),  # the third has no weight
        ("product", [1, 1, 1], [1, 1]),  # one zero excludes a class
        ("hard", [1, 1, 1], [0, 1]),  # two to one; the tie goes to the larger mean
        ("hard_best", [3, 1, 2], [0, 0]),  # the tie goes to the first, the best
        ("hard_best", [1, 2, 3], [0, 2]),  # … to the third, although the majority stays
    ],
)
def test_voting_rules(how: str, weights: list[float], expected: list[int]) -> None:
    assert vote(how, CAST, np.array(weights, float)).argmax(1).tolist() == expected


def test_a_tie_goes_to_the_best_tied_member() -> None:
    predicted = [3, 3, 5, 5, 7]  # 7 is the best member's answer, but has one vote only
    probability = np.eye(N_CLASSES)[predicted][:, None]
    weights = np.array([0.2, 0.5, 0.6, 0.1, 0.9])
    assert vote("hard_best", probability, weights).argmax(1).tolist() == [5]
    assert vote("hard_best", probability, np.array([0.7, 0.5, 0.6, 0.1, 0.9])).argmax(1).tolist() == [3]


def test_a_majority_is_never_outvoted() -> None:
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.full(N_CLASSES, 0.1), (7, 500))
    votes = (np.arange(N_CLASSES) == probability.argmax(-1)[..., None]).sum(0)
    for how in ("hard", "hard_best"):
        chosen = vote(how, probability, rng.random(7)).argmax(1)
        assert (votes[np.arange(500), chosen] == votes.max(1)).all()


def test_networks_for_one_task_each_compose_the_classes() -> None:
    rng = np.random.default_rng(1)
    mask, gender, age = (rng.dirichlet(np.ones(n)) for n in (3, 2, 3))
    whole = (mask[:, None, None] * gender[None, :, None] * age[None, None]).reshape(18)
    parts = [
        np.repeat(mask, 6) / 6,  # the probabilities of the 18 classes by the heads `mask`, `gender` and `age`
        np.tile(np.repeat(gender, 3), 3) / 9,
        np.tile(age, 6) / 6,
    ]
    merit = vote("product", np.stack(parts)[:, None], np.ones(3))[0]
    assert merit.argmax() == whole.argmax()
    assert np.allclose(np.log(merit) - np.log(merit[0]), (np.log(whole) - np.log(whole[0])) / 3)


def probabilities_of_task(
    mask: list[float] | None = None, age: list[float] | None = None, gender: list[float] | None = None
) -> np.ndarray:
    """Return probabilities of the 18 classes, with equal shares for tasks that are not given."""
    parts = (mask or [1 / 3] * 3, gender or [1 / 2] * 2, age or [1 / 3] * 3)
    return np.einsum("i,j,k->ijk", *parts).reshape(1, 18)


def test_networks_of_one_task_vote_before_the_tasks_are_composed() -> None:
    cast = np.stack([
        probabilities_of_task(mask=[0.9, 0.1, 0.0]), probabilities_of_task(gender=[0.2, 0.8]),
        probabilities_of_task(age=[0.5, 0.4, 0.1]), probabilities_of_task(age=[0.3, 0.4, 0.3]),
        probabilities_of_task(age=[0.1, 0.2, 0.7]),
    ])  # fmt: skip
    score = {"mask": np.ones(5), "gender": np.ones(5), "age": np.array([9, 9, 0.5, 0.9, 0.7])}
    best = vote_by_task("hard_best", cast, score)
    assert best.argmax() == 0 * 6 + 1 * 3 + 1  # each age has one vote; the best member for age decides
    assert vote_by_task("hard", cast, score).argmax() == 0 * 6 + 1 * 3 + 2  # the mean decides narrowly
    soft = vote_by_task("soft", cast, score)
    assert soft.sum() == pytest.approx(1)
    assert soft[0].reshape(3, 2, 3).sum((0, 1)) == pytest.approx(cast[2:].reshape(3, 3, 2, 3).sum((1, 2)).mean(0))
    with pytest.raises(
        StageError, match=r"no member predicts gender. A vote by task needs at least one member for each"
    ):
        vote_by_task("hard", cast[[0, 2]], {task: np.ones(2) for task in score})


def test_unknown_rules_and_weights_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"--how must be one of \{soft, weighted, product, hard, hard_best\}"):
        vote("sofd", CAST, np.ones(3))
    table = pd.DataFrame({"predicted": [1]}, index=["a"])
    members = [Member("one", table, {"f1": 0.5}), Member("two", table)]
    with pytest.raises(ConfigError, match=r"two has no validation score, which --how hard_best needs"):
        weights_of(members, [], "hard_best")
    with pytest.raises(ConfigError, match=r"one number ≥ 0 for each of 2 members\. Got \[1, 2, 3\]"):
        weights_of(members, [1, 2, 3], "weighted")
    assert weights_of(members, [2, 1], "weighted").tolist() == [2, 1]
    assert set(RULES) == {"soft", "weighted", "product", "hard", "hard_best"}


def member(name: str, samples: str) -> Member:
    return Member(name, pd.DataFrame({"predicted": [ord(sample) % 18 for sample in samples]}, index=list(samples)))


def test_members_are_joined_by_sample_not_by_position() -> None:
    one, other = join([member("one", "abc"), member("other", "cab")])
    assert list(one.table.index) == list(other.table.index) == ["a", "b", "c"]
    assert one.table["predicted"].tolist() == other.table["predicted"].tolist()


def test_members_that_do_not_match_are_reported() -> None:
    with pytest.raises(
        StageError, match=r"the members differ in their 4 pictures: one lacks 1, other lacks 2\. Give --common"
    ):
        join([member("one", "abc"), member("other", "bd")])
    joined = join([member("one", "abc"), member("other", "bd")], common=True)
    assert [list(entry.table.index) for entry in joined] == [["b"], ["b"]]
    with pytest.raises(StageError, match=r"one and other have no picture in common.*Give --on REF"):
        join([member("one", "ab"), member("other", "cd")], common=True)
    with pytest.raises(StageError, match=r"other has two predictions of 'c'"):
        join([member("one", "ab"), member("other", "cc")])


# -- ensembles of runs ----------------------------------------------------------------------------------------------
def test_an_ensemble_of_runs_is_scored_where_labels_are_known(trained_store: Store, tmp_path: Path) -> None:
    messages: list[str] = []
    out = tmp_path / "votes.csv"
    runs = ["drawn-0001", "drawn-0002"]
    about = ensemble_to_csv(trained_store, runs, out, how="soft", probabilities=True, echo=messages.append)
    tables = [pd.read_parquet(find_run(trained_store, run).path / "predictions.parquet") for run in runs]
    val = [table[table["split"] == "val"].set_index("sample_id") for table in tables]
    answers = pd.read_csv(out, index_col="sample_id")
    assert len(answers) == 36
    mean = (val[0][PROBABILITIES] + val[1][PROBABILITIES].loc[val[0].index]) / 2
    assert np.allclose(answers[PROBABILITIES].loc[mean.index], mean, atol=1e-5)
    scores = {entry["name"]: entry["scores"] for entry in about["judged"]}
    assert set(scores) == {*runs, "ensemble"}
    for run in runs:
        assert scores[run]["f1"] == pytest.approx(find_run(trained_store, run).read_json("scores.json")["scores"]["f1"])
    hits = (answers["ans"] == val[0]["target"].loc[answers.index]).mean()
    assert scores["ensemble"]["accuracy"] == pytest.approx(hits)
    assert json.loads(out.with_suffix(".json").read_text()) == about
    assert any("against the best" in line for line in messages)


def test_runs_predict_the_source_and_files_replace_runs(trained_store: Store, tmp_path: Path) -> None:
    one, votes = tmp_path / "one.csv", tmp_path / "votes.csv"
    test = ["--on", "drawn", "--split", "test"]
    assert command(trained_store, "predict", "drawn-0001", "drawn", "--out", str(one), "--probabilities").exit_code == 0
    result = command(trained_store, "ensemble", str(one), "drawn-0002", *test, "--out", str(votes), "--weights", "3,1")
    assert isinstance(result.exception, StageError)  # the file has every picture, the run the 18 of the split
    assert "drawn-0002 lacks 108. Give --common to vote over the 18" in str(result.exception)
    words = ["ensemble", str(one), "drawn-0002", *test, "--out", str(votes), "--how", "weighted", "--weights", "1,0"]
    result = command(trained_store, *words, "--common")
    assert result.exit_code == 0, result.output
    answers, alone = pd.read_csv(votes), pd.read_csv(one).set_index("ImageID")["ans"]
    assert len(answers) == 18
    assert (answers.set_index("ImageID")["ans"] == alone.loc[answers["ImageID"]]).all()  # the second has no weight


def test_answers_without_probabilities_allow_only_a_hard_vote(trained_store: Store, tmp_path: Path) -> None:
    files = []
    for place, answers in enumerate(([1, 2, 3], [1, 5, 4], [1, 2, 4])):
        files.append(tmp_path / f"{place}.csv")
        pd.DataFrame({"ImageID": ["a.jpg", "b.jpg", "c.jpg"], "ans": answers}).to_csv(files[-1], index=False)
    names, out = [str(file) for file in files], tmp_path / "votes.csv"
    ensemble_to_csv(trained_store, names, out, how="hard", echo=print)
    assert pd.read_csv(out)["ans"].tolist() == [1, 2, 4]
    with pytest.raises(
        StageError, match=r"0\.csv has no probabilities: predict with --probabilities, or use --how hard"
    ):
        ensemble_to_csv(trained_store, names, out, how="soft", echo=print)
    with pytest.raises(StageError, match="at least two members"):
        ensemble_to_csv(trained_store, names[:1], out, echo=print)
    files[0].write_text("a,b\n1,2\n")
    with pytest.raises(StageError, match="has no ImageID and ans"):
        ensemble_to_csv(trained_store, names, out, how="hard", echo=print)


def test_votes_on_a_folder_join_by_name(trained_store: Store, tmp_path: Path) -> None:
    out = tmp_path / "votes.csv"
    photos = trained_store.workspace / "images" / "drawn"
    result = command(trained_store, "ensemble", "drawn-0001", "drawn-0002", "--on", str(photos), "--out", str(out))
    assert result.exit_code == 0, result.output
    assert sorted(pd.read_csv(out)["ImageID"]) == sorted(path.name for path in photos.glob("*.png"))
    assert json.loads(out.with_suffix(".json").read_text())["judged"] == []
