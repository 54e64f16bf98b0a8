"""The code of the project as data: its modules, and the imports of each."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLOORS = {
    "data_manifests": 1,
    "pipeline": 2,
    "reporting": 3,
    "audit": 4,
    "preprocess": 4,
    "synth": 4,
    "train": 4,
    "curation_app": 4,
    "benchmarks": 5,
    "facecurate": 6,
}
"""A package imports only packages on lower floors."""
PACKAGES = tuple(name for name in FLOORS if name != "benchmarks")


@dataclass(frozen=True)
class Import:
    """One imported module. `is_top_level` is False inside functions and for types only."""

    module: str
    is_top_level: bool


def module_files(packages: Iterable[str] = PACKAGES) -> list[Path]:
    """Return every Python file of the packages, sorted."""
    return [file for package in packages for file in sorted((ROOT / package).rglob("*.py"))]


def module_name(file: Path, root: Path = ROOT) -> str:
    """Return the dotted name of a file; the name of the package for `__init__.py`."""
    parts = list(file.relative_to(root).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(file: Path, root: Path = ROOT) -> Iterator[Import]:
    """Yield the modules that a file imports; `from package import module` is the module."""
    tree = ast.parse(file.read_text("utf8"))
    top_level = set(_top_level(tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node in top_level) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for name in dict.fromkeys(_imported_module(node.module, alias.name, root) for alias in node.names):
                yield Import(name, node in top_level)


def _imported_module(module: str, name: str, root: Path) -> str:
    path = root / module.replace(".", "/") / name
    is_module = path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
    return f"{module}.{name}" if is_module and not _is_attribute(root, module, name) else module


def _is_attribute(root: Path, package: str, name: str) -> bool:
    """Return whether a package's `__init__` exports a name that a module of it also has, as `page` or `diff`."""
    text = (root / package.replace(".", "/") / "__init__.py").read_text("utf8")
    return any(
        isinstance(node, ast.ImportFrom) and any((alias.asname or alias.name) == name for alias in node.names)
        for node in ast.parse(text).body
    )


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.If):
            if "TYPE_CHECKING" not in ast.unparse(node.test):
                yield from _top_level(node.body)
            yield from _top_level(node.orelse)
        elif isinstance(node, ast.Try):
            yield from _top_level(node.body)
        else:
            yield node
