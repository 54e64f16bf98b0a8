"""Commands on trained networks: evaluate, predict, ensemble, cam, shortcuts."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import click

from data_manifests.command_line import echo_next, open_store
from data_manifests.errors import ManifestError
from data_manifests.schema import SPLITS
from data_manifests.versions import Store
from pipeline.progress import announce
from pipeline.runs import Run, find_run, section
from train.cli.options import (
    json_option,
    message_printer,
    predict_command,
    print_result,
    run_on_pictures,
    split_numbers,
    split_option,
    split_words,
    tta_option,
)
from train.manifest_photos import missing_steps
from train.photo_folder import FolderPhotos, prepare_folder, steps_for

csv_file = click.Path(path_type=Path, dir_okay=False)
probabilities_option = click.option(
    "--probabilities", is_flag=True, help="Add the sample id and the probabilities of the 18 classes, or of each task."
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
    if not as_json:
        echo_next(_after_evaluation(find_run(open_store(), name)))


@click.command()
@click.argument("name", metavar="RUN")
@click.argument("source", metavar="FOLDER|REF")
@click.option("--out", type=csv_file, required=True, help="Write this CSV file.")
@click.option(
    "--as-is", is_flag=True, help="Take the pictures of a folder as they are, without cropping or background removal."
)
@probabilities_option
@tta_option
def predict(name: str, source: str, out: Path, as_is: bool, probabilities: bool, tta: str) -> None:
    """Predict every picture below a folder, or every usable row of a manifest; write a CSV with ImageID,ans.

    The pictures of a folder are prepared as those that RUN was trained on. A RUN that does not predict all of mask,
    gender and age gives a column for each task that it predicts. A picture without an answer has a reason.
    """
    _check_source(source)
    store = open_store()
    run = find_run(store, name)
    prepared, following = _prepare(store, run, source, as_is)
    from train.evaluation import predict_to_csv

    predict_to_csv(
        store, run, prepared, out, probabilities=probabilities, tta=split_words(tta), echo=click.echo
    )  # fmt: skip
    echo_next(following)


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
    echo_next("facecurate app")


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
    echo_next(f"facecurate train shortcuts {name}")


@click.command()
@run_on_pictures
def shortcuts(name: str, ref: str | None, split: str, painted: str | None) -> None:
    """Find labels that RUN predicts by a shortcut: evaluate it on the face, without the face, on the background.

    REF is the manifest that it was trained on, unless another is given.
    """
    from train.explain import audit_shortcuts

    audit_shortcuts(open_store(), name, ref, split=split, painted_ref=painted, echo=click.echo)
    echo_next("facecurate app")


COMMANDS = (evaluate, predict, ensemble, cam, shortcuts)


def _prepare(store: Store, run: Run, source: str, as_is: bool) -> tuple[str | FolderPhotos, str]:
    """Return a folder's prepared photos or the manifest, and the next command; report what is done to the photos.

    Torch is loaded after this, so that the first line appears at once.
    """
    model = section(run.settings(), "model")
    announce(f"{run.name}: {model.get('embedding') or model.get('backbone')}, trained on {run.manifest}")
    if Path(source).is_dir():
        steps = steps_for(run, as_is)
        if steps:
            announce(f"photos are prepared as for {run.manifest}: {', '.join(steps)} (--as-is changes no picture)")
        return prepare_folder(store, run, Path(source), as_is), f"facecurate train report {run.name}"
    manifest = store.read(source)
    ref = quote(source if source.endswith(".parquet") else manifest.version.ref)
    missing = missing_steps(run, manifest)
    if missing:
        announce(
            f"the pictures of {manifest.version.ref} look different from those that the run was trained on, which went "
            f"through {' and '.join(missing)}. Preprocess them first: facecurate preprocess run {ref}"
        )
        return source, f"facecurate preprocess run {ref}"
    return source, f"facecurate train evaluate {run.name} {ref}"


def _after_evaluation(run: Run) -> str:
    """Return the command that follows an evaluation: what the network looks at, or training on all people.

    An embedding has no pictures to look at, and a refit is trained on all people already.
    """
    settings = run.settings()
    if not section(settings, "model").get("embedding"):
        return f"facecurate train shortcuts {run.name}"
    if not section(settings, "data").get("all_rows"):
        return f"facecurate train refit {run.name}"
    return predict_command(run)


def _check_source(source: str) -> None:
    if Path(source).exists() and not Path(source).is_dir() and not source.endswith(".parquet"):
        raise ManifestError(
            f"{source!r} is neither a manifest nor a folder of pictures. Give NAME@VERSION or a folder."
        )
