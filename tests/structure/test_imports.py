"""Who may import whom, read from the import statements themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("data_manifests", "pipeline", "audit", "preprocess", "synth", "train", "curation_app")
ALLOWED = {
    "data_manifests": set(),
    "pipeline": {"data_manifests"},
    "audit": {"data_manifests", "pipeline"},
    "preprocess": {"data_manifests", "pipeline"},
    "synth": {"data_manifests", "pipeline"},
    "train": {"data_manifests", "pipeline"},
    "curation_app": {"data_manifests", "pipeline"},
}
FILES = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text("utf8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def forbidden(file: Path) -> list[str]:
    relative = file.relative_to(ROOT)
    package = relative.parts[0]
    bad = []
    for name in imported(file):
        top = name.split(".")[0]
        if top in PACKAGES and top != package and top not in ALLOWED[package]:
            bad.append(name)
        if top == "torch" and package != "train" and "backends" not in relative.parts:
            bad.append(name)
        if top == "ray" and relative.as_posix() != "pipeline/executor.py":
            bad.append(name)
        if top == "streamlit" and package != "curation_app":
            bad.append(name)
    return bad


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_file_imports_only_what_its_floor_allows(file: Path) -> None:
    assert forbidden(file) == []


def test_the_rule_sees_a_breach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    breach = tmp_path / "synth" / "bad.py"
    breach.parent.mkdir()
    breach.write_text("import torch\nfrom preprocess.crop import crop\nimport numpy\n")
    assert forbidden(breach) == ["torch", "preprocess.crop"]


def test_the_contract_is_light() -> None:
    heavy = ("torch", "cv2", "streamlit", "sklearn")
    code = f"import data_manifests.versions.store, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout.strip() == "[]"
