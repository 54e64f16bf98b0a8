"""The language of names, docstrings and messages: standard terms, and a verb first."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.code_base import FLOORS, ROOT, module_files

FILES = module_files(FLOORS)
SCRIPTS = sorted(ROOT.glob("curation_app/**/*.js"))
DOCS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

BANNED_IN_NAMES = (
    "sitting", "deal", "deals", "dealt", "judged", "twins", "cheats", "wonder", "talk", "voices", "talks", "stranger",
    "strangers", "wears", "team", "alone", "fates", "board", "leash", "slipped", "least", "desk", "trail", "told",
    "said", "anew", "filed", "whom", "everybody", "nobody",
)  # fmt: skip
"""Parts of public names, as snake_case or CamelCase splits them."""

BANNED_IN_PROSE = (
    r"strangers?", r"sittings?", r"dealt", r"wears", r"told", r"whom", r"nobody", r"everybody", r"anew", r"cheats?",
    r"filed (worn|under|as|label|age)", r"review desk", r"the desk", r"in each other's place", r"no network knows",
    r"judged", r"who can tell", r"speaks? of", r"what became of", r"came of it", r"of one's own",
)  # fmt: skip
"""Regular expressions of whole words in docstrings, messages, help texts, labels and documentation."""

QUESTION_FIRST = re.compile(r"\W*(What|Who|Which|Where|How|Whether|Whose|Whom)\b")
PROSE = re.compile(r"\b(" + "|".join(BANNED_IN_PROSE) + r")\b", re.IGNORECASE)


def public_names(tree: ast.Module) -> Iterator[str]:
    """Yield the public names that a module defines: functions, classes, methods, constants, parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def parts_of(name: str) -> set[str]:
    """Return the lower-case words of a snake_case or CamelCase name."""
    return {part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def texts(tree: ast.Module) -> Iterator[str]:
    """Yield every string of a module that is prose: docstrings, messages, labels. Keys and names have no spaces."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.value


def question_docstrings(tree: ast.Module) -> Iterator[str]:
    """Yield the public docstrings that begin with a question word instead of a verb or a noun."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node) or ""
            if QUESTION_FIRST.match(text) and not getattr(node, "name", "").startswith("_"):
                yield text.splitlines()[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_names_are_standard_terms(file: Path) -> None:
    found = {name for name in [file.stem, *public_names(ast.parse(file.read_text("utf8")))] if not name.startswith("_")}
    assert {name for name in found if parts_of(name) & set(BANNED_IN_NAMES)} == set()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_messages_and_docstrings_are_plain(file: Path) -> None:
    tree = ast.parse(file.read_text("utf8"))
    assert [match[0] for text in texts(tree) for match in PROSE.finditer(text)] == []
    assert list(question_docstrings(tree)) == []


@pytest.mark.parametrize("file", [*SCRIPTS, *DOCS], ids=lambda file: file.relative_to(ROOT).as_posix())
def test_scripts_and_documentation_are_plain(file: Path) -> None:
    if file.name == "glossary.md":  # lists former terms beside the present ones
        return
    text = re.sub(r"--[a-z-]+", "", file.read_text("utf8"))  # former spellings of options stay in the help
    assert [match[0] for match in PROSE.finditer(text)] == []


def test_the_rule_sees_a_breach() -> None:
    tree = ast.parse('def deal_out():\n    """How it is told."""\nclass Judged:\n    """Which."""\n')
    assert [name for name in public_names(tree) if parts_of(name) & set(BANNED_IN_NAMES)] == ["deal_out", "Judged"]
    assert [match[0] for text in texts(tree) for match in PROSE.finditer(text)] == ["told"]
    assert list(question_docstrings(tree)) == ["How it is told.", "Which."]
    assert parts_of("MAX_LANDMARK_px") == {"max", "landmark", "px"}
    assert parts_of("AssignmentLeases") == {"assignment", "leases"}
