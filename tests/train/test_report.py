"""The commands from end to end, and what the report says."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from sklearn.metrics import f1_score

from data_manifests.errors import ManifestError, StageError
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.store import Store
from reporting.charts import CURVE_HEIGHT_PX, learning_curve, to_svg
from reporting.mistakes import worst_mistakes
from reporting.theme import PAGE
from tests.support.partial_sets import write_partial
from tests.support.train_drawn import rows_of, write_people, write_rows
from train.cli.main import cli
from train.reports.summary import summarise

SETTINGS = (
    "device=cpu", "threads=1", "data.size=[32, 32]", "data.batch_size=16", "data.augment={flip: 0.5}",
    "model.backbone=test_resnet", "model.pretrained=false", "optim.lr=0.004", "optim.epochs=2",
)  # fmt: skip


def run(store: Store, *words: str) -> Result:
    done = CliRunner().invoke(cli, words, env={"WORKSPACE": str(store.workspace)})
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One finished run, drawn-0001, on version 2 of a manifest with synthetic rows."""
    store = Store(tmp_path_factory.mktemp("report") / "workspace")
    first = write_people(store, train=12, val=6, synthetic=4)
    store.write("drawn", store.read("drawn").table, "balance", parents=[first], parameters={"stage": 1}, seed=3)
    done = run(store, "fit", "drawn", *SETTINGS)
    assert done.exit_code == 0, done.output
    return store


def folder_of(store: Store) -> Path:
    return store.workspace / "runs" / "drawn-0001"


def text_of(page: str) -> str:
    """What a reader sees."""
    words = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.S)
    return " ".join(html.unescape(words).split())


def test_the_run_folder_holds_all_that_it_should(trained: Store) -> None:
    names = {path.name for path in folder_of(trained).iterdir()}
    assert names >= {
        "config.yaml", "run.json", "metrics.csv", "best.pt", "last.pt", "predictions.parquet", "scores.json",
        "confusion.png", "report.html",
    }  # fmt: skip
    assert json.loads((folder_of(trained) / "run.json").read_text())["state"] == "finished"
    assert (folder_of(trained) / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_predictions_are_joined_by_sample_id_and_agree_with_the_scores(trained: Store) -> None:
    predictions = pd.read_parquet(folder_of(trained) / "predictions.parquet").set_index("sample_id")
    table = trained.read("drawn").table.to_pandas().set_index("sample_id")
    assert set(predictions.index) == set(table.index)
    assert (predictions["target"] == table["class_id"].loc[predictions.index]).all()
    probability = predictions.filter(regex=r"^p_\d\d$").to_numpy()
    np.testing.assert_allclose(probability.sum(1), 1, atol=1e-5)
    assert (probability.argmax(1) == predictions["predicted"]).all()
    val = predictions[predictions["split"] == "val"]
    scores = json.loads((folder_of(trained) / "scores.json").read_text())["scores"]
    assert scores["f1"] == pytest.approx(f1_score(val["target"], val["predicted"], average="macro"))
    best = pd.read_csv(folder_of(trained) / "metrics.csv")["val_f1"].max()
    assert scores["f1"] == pytest.approx(best, abs=1e-5)  # the best epoch's network, not the last one's


def test_the_report_says_what_data_it_was(trained: Store) -> None:
    page = (folder_of(trained) / "report.html").read_text("utf8")
    text = text_of(page)
    version = trained.version("drawn")
    for words in (
        "trained on drawn@2 and evaluated on 18 validation images of 6 people",
        f"content hash {version.content_hash[:16]}",
        "training 48 validation 18 all rows 66",
        "all 36 12 18",  # real, synthetic, validation
        "drawn@1",
        "stage=1 seed=3",
        "training, synthetic 12 4",
        f"facecurate train fit drawn@2 --config {folder_of(trained) / 'config.yaml'}",
    ):
        assert words in text
    scores = json.loads((folder_of(trained) / "scores.json").read_text())["scores"]
    for name in ("f1", "mask_f1", "gender_f1", "age_f1", "accuracy"):
        assert f"{scores[name]:.3f}" in text
    for label in ("worn male <30", "incorrect female ≥60"):
        assert label in text.replace("\u2060", "")


def test_the_report_needs_nothing_beside_it(trained: Store) -> None:
    page = (folder_of(trained) / "report.html").read_text("utf8")
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page) == []
    assert "prefers-color-scheme: dark" in page
    assert "<script" not in page
    assert page.count("<svg") == 3 + 4  # learning curves; confusion of all, mask, gender, age


def test_the_worst_mistakes_are_shown_with_their_pictures(trained: Store) -> None:
    predictions = pd.read_parquet(folder_of(trained) / "predictions.parquet")
    worst = worst_mistakes(predictions, 12)
    assert (worst["target"] != worst["predicted"]).all()
    assert worst["margin"].is_monotonic_decreasing
    page = (folder_of(trained) / "report.html").read_text("utf8")
    assert page.count("data:image/jpeg") == len(worst) > 0
    assert re.findall(r'alt="sample (\w+)"', page) == worst["sample_id"].tolist()


@pytest.mark.slow
def test_a_report_is_written_again_and_says_when_a_picture_is_gone(trained: Store) -> None:
    path = folder_of(trained) / "report.html"
    before = path.read_text("utf8")
    path.unlink()
    done = run(trained, "report", "drawn-0001")
    assert done.output.splitlines() == [
        f"report: {path}",
        "next: facecurate train predict drawn-0001 drawn@2 --out drawn-0001.csv",
    ]
    assert path.read_text("utf8") == before
    worst = worst_mistakes(pd.read_parquet(folder_of(trained) / "predictions.parquet"), 1).iloc[0]
    picture = trained.file_of(worst["root"], worst["path"])
    data = picture.read_bytes()
    picture.unlink()
    run(trained, "report", "drawn-0001")
    assert text_of(path.read_text("utf8")).count("The file is no longer where the manifest expects it.") == 1
    picture.write_bytes(data)


def test_fit_says_where_the_report_is_and_takes_a_known_run(trained: Store) -> None:
    done = run(trained, "fit", "drawn", *SETTINGS, "--once")
    last = done.stdout.splitlines()[-2]
    assert last.startswith("drawn-0001: exists already; macro F1 0.")
    assert last.endswith(f"report: {folder_of(trained) / 'report.html'}")
    assert not (trained.workspace / "runs" / "drawn-0002").exists()


def test_evaluate_gives_the_same_scores_again(trained: Store) -> None:
    done = run(trained, "evaluate", "drawn-0001")
    written = json.loads((folder_of(trained) / "evaluate-drawn-2-val.json").read_text())
    assert written["scores"] == json.loads((folder_of(trained) / "scores.json").read_text())["scores"]
    assert f"macro F1 {written['scores']['f1']:.4f}" in done.output
    with pytest.raises(ManifestError, match="no usable labelled row in the split 'test'"):
        run(trained, "evaluate", "drawn-0001", "--split", "test")


def test_evaluate_refuses_another_taxonomy(trained: Store) -> None:
    write_rows(trained, rows_of(trained, 2, split="val"), "other", AgeCuts(45, 60))
    with pytest.raises(ManifestError, match=r"age classes <30, 30-59, >=60, but other@1 has <45, 45-59, >=60"):
        run(trained, "evaluate", "drawn-0001", "other")


def test_predict_a_manifest_and_a_folder_alike(trained: Store, tmp_path: Path) -> None:
    done = run(trained, "predict", "drawn-0001", "drawn", "--out", str(tmp_path / "a.csv"))
    rows = pd.read_csv(tmp_path / "a.csv")
    assert list(rows.columns) == ["ImageID", "ans"]
    meaning = (
        "ans = 6 × mask (0 worn, 1 incorrect, 2 none) + 3 × gender (0 male, 1 female) + age (0 <30, 1 30-59, 2 >=60)"
    )
    assert meaning in done.output
    folder = trained.workspace / "images" / "drawn"
    (folder / "broken.jpg").write_bytes(b"no picture")
    done = run(trained, "predict", "drawn-0001", str(folder), "--out", str(tmp_path / "b.csv"), "--probabilities")
    (folder / "broken.jpg").unlink()
    files = pd.read_csv(tmp_path / "b.csv").set_index("ImageID")
    assert "no answer for broken.jpg: broken.jpg: is not a picture" in done.output
    assert done.stdout.splitlines()[-2].endswith(f"66 of 67 pictures predicted; wrote {tmp_path / 'b.csv'}")
    assert np.isnan(files["ans"].to_dict()["broken.jpg"])
    answers = files["ans"].to_dict()
    for path, answer in zip(rows["ImageID"].tolist(), rows["ans"].tolist(), strict=True):
        assert answers[Path(path).name] == answer
    stored = pd.read_parquet(folder_of(trained) / "predictions.parquet").set_index("path")
    wanted = stored.loc[rows["ImageID"], "p_07"].to_numpy()
    np.testing.assert_allclose(files.loc[[Path(p).name for p in rows["ImageID"]], "p_07"], wanted, atol=1e-5)


def test_predict_an_empty_folder_is_told(trained: Store, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no picture"):
        run(trained, "predict", "drawn-0001", str(tmp_path), "--out", str(tmp_path / "x.csv"))


def test_resume_of_a_finished_run_is_refused(trained: Store) -> None:
    with pytest.raises(StageError, match=r"drawn-0001' is finished\. To train again: facecurate train fit drawn@2"):
        run(trained, "resume", "drawn-0001")


def test_a_failed_run_keeps_its_error(store: Store) -> None:
    write_people(store, train=12, val=6)
    with pytest.raises(StageError, match="the loss became"):
        run(store, "fit", "drawn", *SETTINGS, "optim.name=sgd", "optim.lr=1e30")
    about = json.loads((folder_of(store) / "run.json").read_text())
    assert about["state"] == "failed"
    assert about["error"].startswith("the loss became")


@pytest.mark.slow
def test_absent_classes_are_said_in_the_report(store: Store) -> None:
    write_rows(store, rows_of(store, 6, split="train") + rows_of(store, 4, split="val", first=6))
    run(store, "fit", "drawn", *SETTINGS, "optim.epochs=1")
    text = text_of((folder_of(store) / "report.html").read_text("utf8")).replace("\u2060", "")
    assert "6 of 18 classes have no validation image (worn male ≥60, worn female ≥60, incorrect male ≥60" in text
    assert "Macro F1 is the mean over the 12 that do." in text


def test_figures_by_hand() -> None:
    columns = {f"p_{index:02d}": 0.0 for index in range(18)}
    rows = [
        {"sample_id": "a", "person_id": "p", "split": "val", "is_synthetic": False, "target": 0, "predicted": 0},
        {"sample_id": "b", "person_id": "p", "split": "val", "is_synthetic": False, "target": 0, "predicted": 2},
        {"sample_id": "c", "person_id": "q", "split": "val", "is_synthetic": True, "target": 13, "predicted": 13},
        {"sample_id": "d", "person_id": "r", "split": "train", "is_synthetic": True, "target": 0, "predicted": 0},
    ]
    frame = pd.DataFrame([columns | row | {f"p_{row['predicted']:02d}": 1.0} for row in rows])
    summary = summarise(frame, AgeCuts())
    # each part has rows of one class only
    assert [(part["split"], part["kind"], part["rows"], part["accuracy"]) for part in summary["parts"]] == [
        ("val", "real", 2, None), ("val", "synthetic", 1, None), ("train", "synthetic", 1, None)
    ]  # fmt: skip
    assert summary["scores"]["accuracy"] == pytest.approx(2 / 3)
    assert summary["age_by_mask"][0][0] == {"rows": 2, "age_accuracy": 0.5, "accuracy": 0.5}
    assert summary["age_by_mask"][1][2] == {"rows": 1, "age_accuracy": 1.0, "accuracy": 1.0}
    assert summary["age_by_mask"][2][1] == {"rows": 0, "age_accuracy": None, "accuracy": None}
    assert summary["age_by_gender"][0][0] == {"rows": 2, "age_accuracy": 0.5, "accuracy": 0.5}
    assert summary["age_by_gender"][1][0] == {"rows": 1, "age_accuracy": 1.0, "accuracy": 1.0}
    assert summary["parts"][1]["calibration_error"] == 0  # sure of the right class
    assert summary["parts"][0]["calibration_error"] == pytest.approx(0.5)  # twice sure, once right
    assert summary["rows_by_class"][0] == {
        "name": "worn male <30", "train_real": 0, "train_synthetic": 1, "val_real": 2, "val_synthetic": 0
    }  # fmt: skip
    first = summary["tasks"]["class"][0]
    assert (first["precision"], first["recall"], first["f1"]) == (1.0, 0.5, pytest.approx(2 / 3))
    assert summary["tasks"]["class"][1]["f1"] is None
    json.dumps(summary, allow_nan=False)


@pytest.mark.parametrize("name", ["faces-0001", "faces-0002"])
def test_a_run_of_the_first_version_is_reported_again(tmp_path: Path, name: str) -> None:
    fixture = Path(__file__).resolve().parents[1] / "fixtures" / "workspace_0_1"
    shutil.copytree(fixture / "runs", tmp_path / "runs")
    run(Store(tmp_path), "report", name)
    scores = json.loads((tmp_path / "runs" / name / "scores.json").read_text())["scores"]
    assert f"{scores['f1']:.3f}" in text_of((tmp_path / "runs" / name / "report.html").read_text("utf8"))


def test_labels_at_the_ends_of_lines_keep_apart() -> None:
    history = {"epoch": [1, 2], "a_f1": [0.5, 0.9], "b_f1": [0.1, 0.9], "c_f1": [0.2, 0.91]}
    chart = learning_curve(history, {name: f"{name}_f1" for name in "abc"}, PAGE, best=2)
    assert chart is not None
    layers = chart.to_dict()["layer"]
    ends = [row for layer in layers for row in layer["data"]["values"] if "height" in row]
    assert [row["text"] for row in ends] == ["a 0.90", "b 0.90", "c 0.91"]
    heights = sorted(row["height"] * CURVE_HEIGHT_PX for row in ends)
    assert np.diff(heights).min() >= 14 - 0.11
    svg = to_svg(chart, "x", 320)
    assert len(re.findall(r'<g class="mark-line role-mark[^"]*"', svg)) == 3
    assert [layer["data"]["values"] for layer in layers if layer["mark"]["type"] == "rule"] == [[{"epoch": 2}]]
    assert learning_curve(history, {"d": "d_f1"}, PAGE) is None
    one = learning_curve({"epoch": [1], "a_f1": [0.3]}, {"a": "a_f1"}, PAGE)  # a single epoch is a dot
    assert one is not None
    assert to_svg(one, "x", 320).count("<title>a, epoch 1: 0.300</title>") == 1


def test_single_photos_are_not_called_people_and_no_error_has_a_bound(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder of single photos it is not known who is in them; without an error there is no interval."""
    write_partial(store, "mask", name="drawn")
    run(store, "fit", "drawn", *SETTINGS, "optim.epochs=1")
    folder = folder_of(store)
    predictions = pd.read_parquet(folder / "predictions.parquet")
    predictions["predicted"] = 6 * predictions["mask_target"]  # all right
    predictions.to_parquet(folder / "predictions.parquet")
    summary = summarise(predictions, AgeCuts(), 0, ["mask"])
    assert summary["scores"]["mask_accuracy"] == 1
    (folder / "scores.json").write_text(json.dumps(summary))
    monkeypatch.chdir(store.workspace)
    run(store, "report", "drawn-0001")
    text = text_of((folder / "report.html").read_text("utf8"))
    assert "evaluated on 9 validation photos that are not in the training data." in text
    assert "bootstrap intervals over photos" in text
    assert not re.search(r"\d people|images people", text)
    assert "Mask, macro F1 1.000 no error accuracy 1.000 (at least 0.717 with 95 % confidence)" in text  # 0.05 ** (1/9)
    assert "1.000 to 1.000" not in text
    assert "facecurate train fit drawn@1 --config runs/drawn-0001/config.yaml" in text
