"""Options and output that the commands of `facecurate train` share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Any

import click

from data_manifests.command_line import echo_json
from data_manifests.errors import ConfigError
from data_manifests.schema import SPLITS
from pipeline.runs import Run
from train.process_environment import is_first_rank

Command = Callable[..., None]

config_option = click.option(
    "--config", type=click.Path(path_type=Path), help="Read settings from a YAML file, such as configs/train/demo.yaml."
)
split_option = click.option(
    "--split", type=click.Choice(SPLITS), default="val", show_default=True, help="Use the rows of this split."
)
tta_option = click.option("--tta", default="", help="Average over views of each picture: flip, crops, or flip,crops.")
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as one JSON object on stdout, and messages on stderr."
)


def run_on_pictures(command: Command) -> Command:
    """Add the parameters that `cam` and `shortcuts` share: run, manifest, split, version with painted backgrounds."""
    for parameter in (
        click.option(
            "--regions",
            "painted",
            metavar="REF",
            help="Take background regions from this version, in which the same pictures have painted backgrounds.",
        ),
        split_option,
        click.argument("ref", required=False),
        click.argument("name", metavar="RUN"),
    ):
        command = parameter(command)
    return command


def message_printer(as_json: bool) -> Callable[[str], None]:
    """Return the function that prints messages: on stdout, or with `--json` on stderr of the first process only."""

    def echo(message: str) -> None:
        if not as_json or is_first_rank():
            click.echo(message, err=as_json)

    return echo


def print_result(as_json: bool, result: dict[str, Any]) -> None:
    """Print the result of a command as JSON if requested; NaN becomes null."""
    if as_json:
        echo_json(_without_nan(result))


def predict_command(run: Run) -> str:
    """Return the command that writes the answers of a run for the manifest that it was trained on."""
    return f"facecurate train predict {run.name} {quote(run.manifest)} --out {run.name}.csv"


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def split_words(text: str) -> list[str]:
    """Split comma-separated text: "flip,crops" → ["flip", "crops"]."""
    return [word.strip() for word in text.split(",") if word.strip()]


def split_numbers(text: str) -> list[float]:
    """Split comma-separated numbers. Raises ConfigError for other text."""
    try:
        return [float(word) for word in split_words(text)]
    except ValueError:
        raise ConfigError(f"--weights takes numbers such as 2,1,1. Got {text!r} instead.") from None
