"""The commands on trained networks: evaluate, predict, ensemble, cam, shortcuts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from data_manifests.command_line import open_store
from data_manifests.errors import ConfigError, ManifestError
from data_manifests.schema import SPLITS

csv_file = click.Path(path_type=Path, dir_okay=False)
tta_option = click.option("--tta", default="", help="Views to average over: flip, crops, or flip,crops.")


@click.command()
@click.argument("name", metavar="RUN")
@click.argument("ref", required=False)
@click.option("--split", type=click.Choice(SPLITS), default="val", show_default=True)
@tta_option
def evaluate(name: str, ref: str | None, split: str, tta: str) -> None:
    """Judge the best checkpoint of RUN on a split of REF (default: the manifest that it was trained on)."""
    from train.evaluation import evaluate_run

    evaluate_run(open_store(), name, ref, split, tta=_words(tta), say=click.echo)


@click.command()
@click.argument("name", metavar="RUN")
@click.argument("source", metavar="REF|FOLDER")
@click.option("--out", type=csv_file, required=True, help="The CSV to write.")
@click.option("--probabilities", is_flag=True, help="Add the sample id and the probabilities of the 18 classes.")
@tta_option
def predict(name: str, source: str, out: Path, probabilities: bool, tta: str) -> None:
    """Predict every usable row of a manifest, or every picture below a folder: CSV with ImageID,ans."""
    from train.evaluation import predict_to_csv

    _check_source(source)
    predict_to_csv(open_store(), name, source, out, probabilities=probabilities, tta=_words(tta), say=click.echo)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="RUN|FILE RUN|FILE …")
@click.option("--out", type=csv_file, required=True, help="The CSV to write; a JSON with the scores lies beside it.")
@click.option("--how", default="soft", show_default=True, help="soft, weighted, product, hard, or hard_best.")
@click.option("--by-task", is_flag=True, help="Vote on mask, gender and age apart, each by those who can tell it.")
@click.option("--weights", default="", help="One number a member, such as 2,1,1 (default: validation macro F1).")
@click.option("--on", "source", metavar="REF|FOLDER", help="What runs predict (default: their own validation rows).")
@click.option("--split", type=click.Choice(SPLITS), help="Only this split of REF.")
@click.option("--common", is_flag=True, help="Vote over the pictures that all have, leaving the others out.")
@click.option("--probabilities", is_flag=True, help="Add the sample id and the probabilities of the 18 classes.")
@tta_option
def ensemble(
    names: tuple[str, ...], out: Path, how: str, by_task: bool, weights: str, source: str | None, split: str | None,
    common: bool, probabilities: bool, tta: str,
) -> None:  # fmt: skip
    """Let runs, or CSV and Parquet files of predictions, vote; joined by sample id.

    hard_best is the vote of answers with ties to the best member. product also puts runs for one task each together;
    with several runs for a task, --by-task lets those vote first.
    """
    from train.evaluation import ensemble_to_csv

    if source:
        _check_source(source)
    ensemble_to_csv(
        open_store(), names, out, how=how, by_task=by_task, weights=_numbers(weights), source=source, split=split,
        tta=_words(tta), common=common, probabilities=probabilities, say=click.echo,
    )  # fmt: skip


def _pictures_of_a_run(command: Callable[..., None]) -> Callable[..., None]:
    """The words that `cam` and `shortcuts` share: the run, the manifest, the split, where the background is painted."""
    for word in (
        click.option(
            "--regions", "painted", metavar="REF", help="The version in which the same pictures' background is painted."
        ),
        click.option("--split", type=click.Choice(SPLITS), default="val", show_default=True),
        click.argument("ref", required=False),
        click.argument("name", metavar="RUN"),
    ):
        command = word(command)
    return command


@click.command()
@_pictures_of_a_run
@click.option("--per-class", default=6, show_default=True, type=click.IntRange(1, 12), help="Photos on a sheet.")
@click.option(
    "--measured", default=20, show_default=True, type=click.IntRange(1), help="Photos measured, of each class."
)
def cam(name: str, ref: str | None, split: str, painted: str | None, per_class: int, measured: int) -> None:
    """Show what RUN looks at: Grad-CAM++ and Smooth Grad-CAM++ sheets of each class, shares of face and background.

    REF is the manifest that it was trained on, unless another is given.
    """
    from train.explain import show_attention

    show_attention(
        open_store(),
        name,
        ref,
        split=split,
        painted_ref=painted,
        per_class=per_class,
        measured=measured,
        say=click.echo,
    )


@click.command()
@_pictures_of_a_run
def shortcuts(name: str, ref: str | None, split: str, painted: str | None) -> None:
    """Judge RUN on the face only, without the face, on the background only: what does it tell by a shortcut?

    REF is the manifest that it was trained on, unless another is given.
    """
    from train.explain import audit_shortcuts

    audit_shortcuts(open_store(), name, ref, split=split, painted_ref=painted, say=click.echo)


COMMANDS = (evaluate, predict, ensemble, cam, shortcuts)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in _words(text)]
    except ValueError:
        raise ConfigError(f"--weights takes numbers such as 2,1,1. Got {text!r} instead.") from None


def _check_source(source: str) -> None:
    if Path(source).exists() and not Path(source).is_dir() and not source.endswith(".parquet"):
        raise ManifestError(f"{source!r} is neither a manifest nor a folder of pictures.")
