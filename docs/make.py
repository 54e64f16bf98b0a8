"""Write the pages of docs/reference that are generated from the code. Run by `make docs`."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import io
import json
import sys
import textwrap
import tokenize
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("data_manifests", "pipeline", "reporting", "audit", "preprocess", "synth", "train")
SETTINGS = {  # title → the settings model, its key in a YAML file
    "preprocess": ("preprocess.settings:PreprocessSettings", "section `preprocess`"),
    "audit": ("audit.settings:AuditSettings", "section `audit`"),
    "synth": ("synth.settings:SynthSettings", "section `synth`"),
    "train": ("train.settings:TrainSettings", "the whole file"),
}
_HEAD = "Generated from the code by `make docs`; do not edit."
_WIDTH = 100
_TYPES = {int: "integer", float: "number", str: "text", bool: "true, false", tuple: "list", list: "list", dict: "map"}
_BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))


def pages() -> dict[str, str]:
    """Return the text of each generated page by its path in docs/."""
    from data_manifests.schema import as_markdown

    return {
        "reference/cli.md": cli_page(),
        "reference/manifest.md": as_markdown(),
        "reference/settings.md": settings_page(),
    }


# -- commands ---------------------------------------------------------------------------------------------------


def cli_page() -> str:
    """Return the help of every command of `facecurate`, and the commands of `python -m PACKAGE`."""
    from facecurate.cli import TABLE, cli

    lines = ["# Commands", "", _HEAD, "", "```text", _help(cli, "facecurate"), "```", ""]
    for section, entries in TABLE.items():
        lines += [f"## {section}", ""]
        for name, entry in entries.items():
            command = dataclasses.replace(entry, prepare="").load()
            for path, one in _commands(command, f"facecurate {name}"):
                lines += [f"### {path}", "", "```text", _help(one, path), "```", ""]
    lines += ["## python -m PACKAGE", "", "The same commands by package.", "", "| program | commands |", "|---|---|"]
    for package in PACKAGES:
        names = [path.removeprefix(f"{package} ") for path, one in package_commands(package) if _is_leaf(one)]
        lines.append(f"| `python -m {package}` | {', '.join(f'`{name}`' for name in names)} |")
    return "\n".join([*lines, ""])


def package_commands(package: str) -> list[tuple[str, click.Command]]:
    """Return every command of a package with its path, such as "train queue add", groups included."""
    return list(_commands(importlib.import_module(f"{package}.cli").cli, package))


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in sorted(command.list_commands(context)):
            child = command.get_command(context, name)
            assert child, f"{path} lists {name}"
            yield from _commands(child, f"{path} {name}")


def _is_leaf(command: click.Command) -> bool:
    return not isinstance(command, click.Group)


def _help(command: click.Command, path: str) -> str:
    context = click.Context(command, info_name=path, terminal_width=_WIDTH, max_content_width=_WIDTH)
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


# -- settings ---------------------------------------------------------------------------------------------------


def settings_page() -> str:
    """Return a table of every setting: type, allowed values, default and meaning."""
    lines = [
        "# Settings",
        "",
        _HEAD,
        "",
        "A setting is a key of a YAML file (`--config FILE`) or a `key=value` argument.",
    ]
    for title, (target, place) in SETTINGS.items():
        module, _, name = target.partition(":")
        model = getattr(importlib.import_module(module), name)
        lines += ["", f"## {title}", "", f"In a YAML file: {place}.", ""]
        lines += [*_model_lines(model, "")]
    return "\n".join([*lines, ""])


def _model_lines(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """Yield the description and the table of one model, then those of the models in it."""
    nested = {name: field.annotation for name, field in model.model_fields.items() if _is_model(field.annotation)}
    if prefix:
        yield from (f"### {prefix.rstrip('.')}", "")
    yield from (" ".join(inspect.getdoc(model).split()), "")
    comments = _comments(model)
    rows = [
        (f"`{prefix}{name}`", _values(field), f"`{_default(field)}`", comments.get(name, ""))
        for name, field in model.model_fields.items()
        if name not in nested
    ]
    width = 4 if any(row[3] for row in rows) else 3
    for row in (("setting", "values", "default", "meaning"), ("---",) * 4, *rows):
        yield f"| {' | '.join(row[:width])} |"
    for name, inner in nested.items():
        yield ""
        yield from _model_lines(inner, f"{prefix}{name}.")


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _default(field: Any) -> str:
    return json.dumps(field.get_default(call_default_factory=True))


def _values(field: Any) -> str:
    """Return the type, the choices and the bounds of a setting as text."""
    bounds = [f"{sign} {getattr(one, name)}" for one in field.metadata for name, sign in _BOUNDS if hasattr(one, name)]
    return ", ".join([_type_text(field.annotation), *bounds])


def _type_text(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join("null" if one is type(None) else _type_text(one) for one in arguments)
    if origin is Annotated:
        return _type_text(arguments[0])
    return _TYPES.get(origin or annotation, getattr(annotation, "__name__", str(annotation)))


def _comments(model: type[BaseModel]) -> dict[str, str]:
    """Return the comments of the fields of a model: on the field's own lines, else on the lines above it."""
    source = textwrap.dedent(inspect.getsource(model))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    found = {}
    for node in ast.parse(source).body[0].body:
        if isinstance(node, ast.AnnAssign):
            own = [comments[node.end_lineno]] if node.end_lineno in comments else []
            above = node.lineno - 1
            while not own and above in comments and source.splitlines()[above - 1].lstrip().startswith("#"):
                above -= 1
            own = own or [comments[line] for line in range(above + 1, node.lineno)]
            found[ast.unparse(node.target)] = " ".join(own).replace("|", "\\|")
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for page, text in pages().items():
        (ROOT / "docs" / page).write_text(text, "utf8")
        print(f"docs/{page}")
