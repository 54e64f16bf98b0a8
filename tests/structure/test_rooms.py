"""The shape of the packages: modules per folder, length of a module, no module that is imported by nobody."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path

import pytest

from tests.support.code_base import FLOORS, PACKAGES, ROOT, imports_of, module_files, module_name

MAX_MODULES = 12  # side by side in a folder, without __init__ and __main__
MAX_LINES = 260
FILES = module_files(PACKAGES)
COMMANDS = ("__init__.py", "__main__.py")
ENTRY_POINTS = {
    "curation_app.streamlit_app",  # run by `streamlit run curation_app`
    "train.queue.supervisor",  # run by the worker as a process of its own
}


def test_no_folder_holds_more_modules_than_one_can_overlook() -> None:
    counts = Counter(file.parent.relative_to(ROOT).as_posix() for file in FILES if file.name not in COMMANDS)
    assert {folder: count for folder, count in counts.items() if count > MAX_MODULES} == {}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_module_can_be_read_in_one_sitting(file: Path) -> None:
    assert len(file.read_text("utf8").splitlines()) <= MAX_LINES


@pytest.mark.slow
def test_every_module_is_imported_by_another_one() -> None:
    imported = {one.module for file in module_files(FLOORS) for one in imports_of(file)}
    named = "\n".join(file.read_text("utf8") for file in FILES)  # tables name modules as "package.module"
    orphans = {
        name
        for file in FILES
        if file.name not in COMMANDS and (name := module_name(file)) not in imported | ENTRY_POINTS
        if f'"{name}"' not in named and f'"{name}:' not in named and f"{name} import" not in named
    }
    assert orphans == set()


@pytest.mark.parametrize(
    "package", sorted({module_name(file) for file in FILES if file.name == "__init__.py"}), ids=lambda name: name
)
def test_a_package_describes_itself_and_its_public_face_exists(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__doc__, package
    assert not module.__doc__.startswith("TODO")
    assert [name for name in getattr(module, "__all__", []) if not hasattr(module, name)] == []
