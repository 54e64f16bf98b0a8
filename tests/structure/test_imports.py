"""The import rules, read from the import statements themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.code_base import FLOORS, PACKAGES, ROOT, Import, imports_of, module_files, module_name

FILES = module_files(PACKAGES)
LIGHT = ("torch", "cv2", "streamlit", "sklearn")
"""Packages that the contract must not load: every command line imports it."""


def violations(file: Path, root: Path = ROOT) -> list[str]:
    """Return the imports of a file that its floor or one of the package rules forbids."""
    importer = module_name(file, root)
    package = importer.split(".")[0]
    folders = file.relative_to(root).parts[:-1]
    bad = []
    for one in imports_of(file, root):
        top = one.module.split(".")[0]
        if top in FLOORS and top != package and FLOORS[top] >= FLOORS[package]:
            bad.append(one.module)
        if top == "torch" and package != "train" and "backends" not in folders:
            bad.append(one.module)
        if top == "ray" and importer != "pipeline.executor":
            bad.append(one.module)
        if top == "streamlit" and package != "curation_app":
            bad.append(one.module)
    return bad


def bypassed_faces(importer: str, imports: list[Import]) -> list[str]:
    """Return the imports that enter a sub-package by one of its modules instead of its `__init__`.

    Backends are loaded by name from a table, and some have functions that only their users need.
    """
    bad = []
    for one in imports:
        parts = one.module.split(".")
        if parts[0] not in FLOORS or "backends" in parts:
            continue
        for depth in range(2, len(parts)):  # data_manifests.errors is depth 2: a module of a package, not a sub-package
            sub_package = ".".join(parts[:depth])
            if importer != sub_package and not importer.startswith(f"{sub_package}."):
                bad.append(one.module)
                break
    return bad


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_file_imports_only_what_its_floor_allows(file: Path) -> None:
    assert violations(file) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_sub_package_is_entered_through_its_public_face(file: Path) -> None:
    assert bypassed_faces(module_name(file), list(imports_of(file))) == []


@pytest.mark.slow
def test_sub_packages_do_not_import_one_another_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for file in FILES:
        importer = _sub_package(module_name(file))
        for one in imports_of(file):
            target = _sub_package(one.module)
            nested = target.startswith(f"{importer}.") or importer.startswith(f"{target}.")
            if one.is_top_level and target.split(".")[0] in FLOORS and target != importer and not nested:
                graph.setdefault(importer, set()).add(target)
    assert _cycle(graph) == []


def test_the_rules_see_a_breach(tmp_path: Path) -> None:
    breach = tmp_path / "synth" / "bad.py"
    breach.parent.mkdir()
    breach.write_text("import torch\nfrom preprocess.crop import crop\nimport numpy\n")
    assert violations(breach, tmp_path) == ["torch", "preprocess.crop"]
    deep = [Import("data_manifests.versions.store", is_top_level=True), Import("data_manifests.versions", True)]
    assert bypassed_faces("synth.cli", deep) == ["data_manifests.versions.store"]
    assert bypassed_faces("data_manifests.versions.metadata", deep) == []
    assert _cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == ["a", "b", "c"]


def test_the_contract_is_light() -> None:
    code = f"import data_manifests.versions.store, sys; print([name for name in {LIGHT} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout.strip() == "[]"


def _sub_package(module: str) -> str:
    """Return the sub-package of a module: data_manifests.versions for data_manifests.versions.store."""
    path = ROOT / module.replace(".", "/")
    return module if path.is_dir() or module.count(".") < 2 else _sub_package(module.rpartition(".")[0])


def _cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return the nodes that lie on a cycle of a directed graph, sorted."""
    remaining = {node: set(targets) for node, targets in graph.items()}
    for targets in graph.values():
        for target in targets:
            remaining.setdefault(target, set())
    shrinking = True
    while shrinking:
        has_incoming = {target for targets in remaining.values() for target in targets}
        ends = [node for node, targets in remaining.items() if not targets or node not in has_incoming]
        shrinking = bool(ends)
        for node in ends:
            del remaining[node]
        for targets in remaining.values():
            targets.difference_update(ends)
    return sorted(remaining)
