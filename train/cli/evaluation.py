"""Commands on trained networks: evaluate, predict, ensemble, cam, shortcuts."""

from __future__ import annotations

from pathlib import Path

import click

from data_manifests.command_line import open_store
from data_manifests.errors import ManifestError
from data_manifests.schema import SPLITS
from train.cli.options import (
    json_option,
    message_printer,
    print_result,
    run_on_pictures,
    split_numbers,
    split_option,
    split_words,
    tta_option,
)

csv_file = click.Path(path_type=Path, dir_okay=False)
probabilities_option = click.option(
    "--probabilities", is_flag=True, help="Add the sample id and the probabilities of the 18 classes."
)


@click.command()
@click.argument("name", metavar="RUN")
@click.argument("ref", required=False)
@split_option
@tta_option
@json_option
def evaluate(name: str, ref: str | None, split: str, tta: str, as_json: bool) -> None:
    """Evaluate the best checkpoint of RUN on a split of REF (default: the manifest that it was trained on)."""
    from train.evaluation import evaluate_run

    result = evaluate_run(open_store(), name, ref, split, tta=split_words(tta), echo=message_printer(as_json))
    print_result(as_json, result)


@click.command()
@click.argument("name", metavar="RUN")
@click.argument("source", metavar="REF|FOLDER")
@click.option("--out", type=csv_file, required=True, help="Write this CSV file.")
@probabilities_option
@tta_option
def predict(name: str, source: str, out: Path, probabilities: bool, tta: str) -> None:
    """Predict every usable row of a manifest, or every picture below a folder; write a CSV with ImageID,ans."""
    from train.evaluation import predict_to_csv

    _check_source(source)
    predict_to_csv(open_store(), name, source, out, probabilities=probabilities, tta=split_words(tta), echo=click.echo)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="RUN|FILE RUN|FILE …")
@click.option("--out", type=csv_file, required=True, help="Write this CSV file, and a JSON file with the scores.")
@click.option(
    "--how", default="soft", show_default=True, help="Combine by soft, weighted, product, hard, or hard_best."
)
@click.option(
    "--by-task", is_flag=True, help="Vote on mask, gender and age separately, by the members that predict it."
)
@click.option("--weights", default="", help="Give one number per member, such as 2,1,1 (default: validation macro F1).")
@click.option(
    "--on", "source", metavar="REF|FOLDER", help="Predict these pictures (default: each run's own validation rows)."
)
@click.option("--split", type=click.Choice(SPLITS), help="Use only this split of REF.")
@click.option("--common", is_flag=True, help="Vote over the pictures that all members have, and leave out the others.")
@probabilities_option
@tta_option
def ensemble(
    names: tuple[str, ...], out: Path, how: str, by_task: bool, weights: str, source: str | None, split: str | None,
    common: bool, probabilities: bool, tta: str,
) -> None:  # fmt: skip
    """Combine runs, or CSV and Parquet files of predictions, by a vote; members are joined by sample id.

    hard_best gives ties to the best member. product also composes the classes from runs for one task each; with
    several runs for a task, use --by-task, so that those vote first.
    """
    from train.evaluation import ensemble_to_csv

    if source:
        _check_source(source)
    ensemble_to_csv(
        open_store(), names, out, how=how, by_task=by_task, weights=split_numbers(weights), source=source, split=split,
        tta=split_words(tta), common=common, probabilities=probabilities, echo=click.echo,
    )  # fmt: skip


@click.command()
@run_on_pictures
@click.option(
    "--per-class", default=6, show_default=True, type=click.IntRange(1, 12), help="Show this many photos per sheet."
)
@click.option(
    "--measured", default=20, show_default=True, type=click.IntRange(1), help="Measure this many photos of each class."
)
def cam(name: str, ref: str | None, split: str, painted: str | None, per_class: int, measured: int) -> None:
    """Show the attention of RUN: Grad-CAM++ and Smooth Grad-CAM++ sheets of each class, shares of face and background.

    REF is the manifest that it was trained on, unless another is given.
    """
    from train.explain import show_attention

    show_attention(
        open_store(), name, ref, split=split, painted_ref=painted, per_class=per_class, measured=measured,
        echo=click.echo,
    )  # fmt: skip


@click.command()
@run_on_pictures
def shortcuts(name: str, ref: str | None, split: str, painted: str | None) -> None:
    """Find labels that RUN predicts by a shortcut: evaluate it on the face, without the face, on the background.

    REF is the manifest that it was trained on, unless another is given.
    """
    from train.explain import audit_shortcuts

    audit_shortcuts(open_store(), name, ref, split=split, painted_ref=painted, echo=click.echo)


COMMANDS = (evaluate, predict, ensemble, cam, shortcuts)


def _check_source(source: str) -> None:
    if Path(source).exists() and not Path(source).is_dir() and not source.endswith(".parquet"):
        raise ManifestError(
            f"{source!r} is neither a manifest nor a folder of pictures. Give NAME@VERSION or a folder."
        )
