"""The documentation: links lead somewhere, generated pages cover the code, and the walks of adding a piece work."""

from __future__ import annotations

import importlib
import re
import runpy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from audit.checks import check_columns, list_issues, run_checks, table
from audit.settings import AuditSettings
from curation_app import navigation
from data_manifests.errors import ConfigError
from data_manifests.ingest import LAYOUTS
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store
from pipeline.backends import BACKENDS
from synth.masks.drawing import draw_template
from synth.masks.drawing.shapes import SHAPES
from synth.masks.types import MASK_TYPES
from tests.conftest import write_photos
from tests.support.audit_data import draw_photos
from tests.support.code_base import PACKAGES, ROOT
from train.engine.losses import LOSSES, Loss
from train.settings import LossSettings

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
ARCHITECTURE = DOCS / "architecture.md"
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


# -- links ------------------------------------------------------------------------------------------------------------


def broken_links(page: Path) -> list[str]:
    """Return the relative links of a page that lead to no file, or to no heading of the file."""
    text = re.sub(r"```.*?```", "", page.read_text("utf8"), flags=re.DOTALL)
    broken = []
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A title\n[a](gone.md) [b](#a-title) [c](#no) [d](https://example.org) [e](page.md#a-title)")
    assert broken_links(page) == ["gone.md", "#no"]


def test_every_page_is_linked_from_the_readme_or_the_architecture() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in (ROOT / "README.md", ARCHITECTURE)
        for link in LINK.findall(page.read_text("utf8"))
    }
    assert [page.relative_to(ROOT).as_posix() for page in DOCS.rglob("*.md") if page.resolve() not in linked] == []


# -- coverage of the code ---------------------------------------------------------------------------------------------


def test_the_architecture_names_every_sub_package_and_no_other() -> None:
    existing = {
        file.parent.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("__init__.py")
        if "backends" not in file.parts and file.parent != ROOT / package
    }
    rooms = ARCHITECTURE.read_text("utf8").partition("## Packages")[2].partition("\n## ")[0]
    named = {name.rstrip("/") for name in re.findall(r"`([a-z_]+/[a-z_/]+)`", rooms) if (ROOT / name).is_dir()}
    assert named == existing
    assert [path for path in re.findall(r"`([a-z_]+/[a-z_/]+(?:\.py)?)`", rooms) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_of_the_code_that_a_page_names_exist(page: Path) -> None:
    packages = "|".join((*PACKAGES, "tests", "benchmarks", "configs"))
    named = set(re.findall(rf"`((?:{packages})/[\w/.-]+\.(?:py|yaml|js))`", page.read_text("utf8")))
    new = {
        "audit/checks/resolution.py",
        "curation_app/people/page.py",
        "data_manifests/ingest/years.py",
    }  # of the walks
    assert {name for name in named - new if not (ROOT / name).is_file()} == set()


def test_the_command_page_has_the_commands_of_all_packages() -> None:
    make = runpy.run_path(str(DOCS / "make.py"))
    page = make["cli_page"]()
    helps = {
        " ".join(command.help.split()[:6])
        for package in make["PACKAGES"]
        for path, command in make["package_commands"](package)
        if " " in path and command.help
    }
    flat = " ".join(page.split())
    assert {text for text in helps if text not in flat} == set()


def test_the_backend_page_names_every_backend() -> None:
    page = (DOCS / "reference" / "backends.md").read_text("utf8")
    assert {name for names in BACKENDS.values() for name in names if f"`{name}`" not in page} == set()


def test_the_glossary_is_sorted_and_has_one_sentence_per_term() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", (DOCS / "glossary.md").read_text("utf8").partition("## ")[0], re.M)
    terms = [term for term, _ in rows if term not in ("term", "---")]
    assert terms == sorted(terms, key=str.lower)
    assert len(terms) == len(set(terms)) > 50
    assert [term for term, meaning in rows if term != "term" and not meaning.endswith(".")] == []


# -- the walks of adding a piece --------------------------------------------------------------------------------------


def walk(title: str) -> str:
    """Return the Python blocks of a section of the architecture page as one module."""
    section = ARCHITECTURE.read_text("utf8").partition(f"### {title}\n")[2].partition("\n##")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert blocks, f"no python block below {title!r}"
    return "\n".join(blocks)


@pytest.fixture
def tables() -> Iterator[None]:
    """Restore the tables to which the walks add a row."""
    dictionaries: list[dict[str, Any]] = [LOSSES, MASK_TYPES, SHAPES, LAYOUTS]
    copies = [dict(one) for one in dictionaries]
    pages, checks = navigation.PAGES, table.CHECKS
    yield
    for one, copy in zip(dictionaries, copies, strict=True):
        one.clear()
        one.update(copy)
    navigation.PAGES, table.CHECKS = pages, checks


def run_walk(title: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the walk's code as a module, which adds its row to a table."""
    name = "walk_" + title.lower().replace(" ", "_")
    (folder / f"{name}.py").write_text(walk(title), "utf8")
    monkeypatch.syspath_prepend(str(folder))
    return importlib.import_module(name)


def test_walk_a_loss(tables: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="must be one of"):
        Loss(LossSettings(terms={"brier": 1.0}), torch.tensor([3, 1]))
    run_walk("A loss", tmp_path, monkeypatch)
    loss = Loss(LossSettings(terms={"brier": 1.0}), torch.tensor([1, 1]))
    target = torch.tensor([0, 1])
    assert loss(torch.tensor([[9.0, -9.0], [-9.0, 9.0]]), target).item() == pytest.approx(0, abs=1e-6)
    assert loss(torch.zeros(2, 2), target).item() == pytest.approx(0.5)


def test_walk_a_mask_type(tables: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(MASK_TYPES)
    run_walk("A mask type", tmp_path, monkeypatch)
    [name] = set(MASK_TYPES) - before
    template = draw_template(name, 0, 200)
    alpha = template.rgba[..., 3]
    assert template.rgba.shape[1] > 200
    assert alpha[alpha.shape[0] // 2, alpha.shape[1] // 2] == 255
    assert alpha[0, 0] == 0


def test_walk_a_layout(tables: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_walk("A layout", tmp_path, monkeypatch)
    for age in ("37", "64", "old"):
        (tmp_path / "photos" / age).mkdir(parents=True)
        Image.new("RGB", (40, 50), "grey").save(tmp_path / "photos" / age / "a.png")
    rows = LAYOUTS["years"](tmp_path / "photos", root_name="years", cuts=AgeCuts()).to_pandas()
    assert rows["age"].tolist()[:2] == [37, 64]
    assert rows["age_class"].tolist()[:2] == [1, 2]
    assert rows["status"].tolist() == ["ok", "ok", "failed"]
    assert "age must be" in rows["reason"].iloc[2]


def test_walk_a_page_of_the_app(tables: None, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    version = write_photos(store, tmp_path / "photos", 3)
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    run_walk("A page of the app", tmp_path, monkeypatch)
    row = navigation.PAGES[-1]
    assert (row.title, row.url_path) == ("People", "people")
    navigation.PAGES = (replace(row, url_path=""),)  # opens first
    bench = AppTest.from_string("from curation_app import navigation\nnavigation.draw()", default_timeout=60)
    bench.session_state["ref"] = version.ref
    bench.run()
    assert not bench.exception
    assert [metric.value for metric in bench.metric] == ["3"]


def test_walk_an_audit_check(tables: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_walk("An audit check", tmp_path, monkeypatch)
    rows, features = draw_photos(np.random.default_rng(1))
    rows.loc[3, ["width_px", "height_px"]] = 32
    data = run_checks(rows, features, AgeCuts(), AuditSettings(executor="serial"))
    scores = check_columns(data)["x_resolution_score"]
    assert scores[3] == pytest.approx(0.25)
    assert np.delete(scores, 3).min() == 1
    issues = list_issues(data)
    found = issues[issues["kind"] == "resolution"]
    assert found["sample_ids"].tolist() == [rows["sample_id"].iloc[3]]
    assert AuditSettings(values={"resolution": 2.0}).values["resolution"] == 2.0
