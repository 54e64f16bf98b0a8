"""The parts that reports share: palette, page, thumbnails, confusion table, worst mistakes."""

from __future__ import annotations

import base64
import io
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from jinja2 import UndefinedError
from PIL import Image

from data_manifests.errors import ManifestError
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.store import Store
from pipeline.runs import PROBABILITIES
from reporting.charts import spread, to_svg
from reporting.confusion import confusion_cells, confusion_chart, confusion_png
from reporting.html import render
from reporting.mistakes import worst_mistakes
from reporting.tables import class_label, score_text, share_text, signed_text, task_labels, value_text
from reporting.theme import DARK, LIGHT, PAGE, style_variables
from reporting.thumbnails import photo_file, small_jpeg, thumbnail_url

APP = Path(__file__).resolve().parents[2] / "curation_app"


@pytest.mark.parametrize(("theme", "palette"), [("light", LIGHT), ("dark", DARK)])
def test_the_app_has_the_palette_of_the_reports(theme: str, palette: object) -> None:
    config = tomllib.loads((APP / ".streamlit" / "config.toml").read_text("utf8"))["theme"][theme]
    names = {"primaryColor": "blue", "backgroundColor": "paper", "textColor": "ink", "borderColor": "rule"}
    assert {key: config[key] for key in names} == {key: getattr(palette, name) for key, name in names.items()}


def test_every_colour_of_a_page_is_defined_light_and_dark() -> None:
    rules = style_variables()
    for name in ("paper", "card", "ink", "blue", "red"):
        assert getattr(PAGE, name) == f"var(--{name})"
        assert rules.count(f"--{name}: ") == 2


def test_a_template_that_names_a_missing_value_is_an_error(tmp_path: Path) -> None:
    template = tmp_path / "page.html.j2"
    template.write_text(
        '{% extends "base.html.j2" %}{% block title %}{{ a }}{% endblock %}{% block main %}{{ b }}{% endblock %}'
    )
    page = render(template, a="<b>", b=1)
    assert "<title>&lt;b&gt;</title>" in page
    assert "prefers-color-scheme: dark" in page
    with pytest.raises(UndefinedError, match="'b' is undefined"):
        render(template, a="x")


def test_texts_of_cells() -> None:
    assert class_label("worn male 30-59") == "worn male 30–59"
    assert task_labels("age", AgeCuts(45, 60)) == ["<45", "45–59", "≥60"]
    assert (share_text(0.314), share_text(None), signed_text(-0.02)) == ("31 %", "–", "−0.020")
    assert value_text({"a": ["x", 1]}) == "{a=x, 1}"


def test_a_score_that_cannot_be_measured_is_no_number() -> None:
    assert (score_text(0.5), score_text(1.0, "one class in validation")) == ("0.500", "1.000")
    assert (score_text(None), score_text(float("nan"))) == ("–", "–")
    for missing in (None, float("nan")):
        assert score_text(missing, "one class in validation") == "not measurable: one class in validation"


def test_labels_are_spread_within_bounds() -> None:
    assert spread([0.5, 0.5, 0.1], 0.1, 0, 1) == pytest.approx([0.5, 0.6, 0.1])
    assert spread([1.0, 1.0], 0.1, 0, 1) == pytest.approx([0.9, 1.0])
    assert spread([0.0, 0.0], 0.1, 0, 1) == pytest.approx([0.0, 0.1])


@pytest.mark.slow
def test_a_confusion_table_has_shares_of_its_rows() -> None:
    cells = confusion_cells([[3, 1], [0, 0]], ["male", "female"])
    assert [cell["share"] for cell in cells] == [0.75, 0.25, 0, 0]
    assert [cell["outcome"] for cell in cells] == ["correct", "wrong", "empty", "correct"]
    svg = to_svg(confusion_chart([[3, 1], [0, 0]], ["male", "female"], PAGE), "gender", 300)
    assert "<title>labelled male, predicted female: 1 (25 %)</title>" in svg
    counts = {"class": np.eye(18, dtype=int).tolist(), "mask": np.eye(3, dtype=int).tolist(),
              "gender": [[1, 0], [2, 3]], "age": np.eye(3, dtype=int).tolist()}  # fmt: skip
    assert Image.open(io.BytesIO(confusion_png(counts, AgeCuts(), "a run"))).width > 1500


def test_worst_mistakes_come_from_validation_and_by_margin() -> None:
    def row(name: str, split: str, target: int, predicted: int, confidence: float, p_label: float) -> dict:
        probabilities = dict.fromkeys(PROBABILITIES, 0.0) | {
            f"p_{predicted:02d}": confidence,
            f"p_{target:02d}": p_label,
        }
        about = {"sample_id": name, "split": split, "target": target, "predicted": predicted}
        return about | {"confidence": confidence} | probabilities

    rows = [row("a", "val", 0, 1, 0.6, 0.3), row("b", "val", 0, 2, 0.9, 0.1), row("c", "train", 0, 2, 0.9, 0.0),
            row("d", "val", 3, 3, 0.9, 0.9), row("e", "val", 1, 0, 0.5, 0.2)]  # fmt: skip
    worst = worst_mistakes(pd.DataFrame(rows), 2)
    assert worst["sample_id"].tolist() == ["b", "a"]
    assert worst["p_label"].tolist() == [0.1, 0.3]
    assert worst_mistakes(pd.DataFrame(rows[3:4]), 2).empty


def test_a_small_copy_fits_and_never_grows(store: Store, tmp_path: Path) -> None:
    image = np.full((40, 80, 3), 200, np.uint8)
    assert Image.open(io.BytesIO(small_jpeg(image, 40, 40))).size == (40, 20)
    assert Image.open(io.BytesIO(small_jpeg(image, 400, 400))).size == (80, 40)
    Image.fromarray(image).save(tmp_path / "a.png")
    store.set_root("photos", tmp_path)
    url = thumbnail_url(store, {"root": "photos", "path": "a.png"}, 20, 20)
    assert url is not None
    assert Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).size == (20, 10)
    assert thumbnail_url(store, {"root": "photos", "path": "gone.png"}, 20, 20) is None
    with pytest.raises(ManifestError, match="leads out of the folder"):
        photo_file(store, {"root": "photos", "path": "../x.png"})
