"""Command line `facecurate synth`: demo data sets, masks on folders, plans of synthetic profiles and their checks."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from shlex import quote

import click
import cv2
import numpy as np
from tqdm import tqdm

from data_manifests.command_line import echo_json, echo_next, ledger_line, open_store, parse_settings
from data_manifests.corrections import append_corrections, read_corrections
from data_manifests.errors import ConfigError
from pipeline.progress import counted
from pipeline.settings import load_settings
from synth.next_command import after_nothing, after_plan, after_verification
from synth.plan import NothingToBalance, Plan, make_plan, read_plan, run_plan, write_plan
from synth.settings import SynthSettings

_config = click.option("--config", type=click.Path(path_type=Path), help="Read the section `synth` of a YAML file.")
_settings = click.argument("settings", nargs=-1)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
_jobs = click.option(
    "--jobs", type=click.IntRange(min=1), help="Set the number of worker processes; default: one per core."
)


@click.group()
def cli() -> None:
    """Render demo people; balance a data set with synthetic masks and ages."""


@cli.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--persons", type=click.IntRange(min=1), default=150, show_default=True, help="Set the number of people.")
@click.option("--seed", type=int, default=1, show_default=True, help="Set the random seed.")
def demo(out: Path, persons: int, seed: int) -> None:
    """Render a demo data set in the competition's layout, with known label errors."""
    from synth.demo_faces import write_demo

    spawn = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(mp_context=spawn, initializer=cv2.setNumThreads, initargs=(1,)) as pool,
        tqdm(total=persons, desc="render people", unit="person") as bar,
    ):
        truth = write_demo(out, persons, seed, bar.update, pool.map)
        bar.update(persons - bar.n)  # if the same demo exists already
    click.echo(truth.line())
    echo_next(f"facecurate ingest {quote(str(out))} --layout profiles --name demo")


@cli.command()
@click.argument("ref")
@click.option("--truth", type=click.Path(path_type=Path), required=True, help="Read the truth.csv of the demo.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Append the corrections to this log."
)
def review(ref: str, truth: Path, out: Path) -> None:
    """Write the corrections of a demo's label errors, in place of a human reviewer."""
    from synth.demo_faces import review as review_truth

    corrections = review_truth(open_store().read(ref), truth)
    known = set(read_corrections([out])["correction_id"].to_pylist()) if out.exists() else set()
    new = [correction for correction in corrections if correction.correction_id not in known]
    append_corrections(out, new)
    click.echo(f"{len(corrections)} labels of {ref} are wrong; wrote {len(new)} new corrections to {out}")
    echo_next(f"facecurate apply {quote(ref)} {quote(str(out))}")


@cli.command()
@click.argument("ref")
@_config
@click.option("--out", type=click.Path(path_type=Path), help="Write the plan as CSV, to read, edit and run.")
@_json
@_settings
def plan(ref: str, config: Path | None, out: Path | None, as_json: bool, settings: tuple[str, ...]) -> None:
    """Plan the synthetic profiles that balance REF."""
    planned = _plan(ref, load_settings(SynthSettings, config, parse_settings(settings), "synth"))
    if out:
        write_plan(out, planned.table)
    if as_json:
        echo_json({"ref": ref, **planned.to_json(), "out": str(out) if out else None})
        return
    for note in planned.notes:
        click.echo(note)
    click.echo(f"{counted(len(planned.table), 'image')} planned" + (f"; wrote {out}" if out else ""))
    words = [*(["--config", str(config)] if config else []), *(["--plan", str(out)] if out else []), *settings]
    echo_next(after_plan(ref, planned, words))


@cli.command()
@click.argument("ref")
@_config
@click.option("--plan", "plan_file", type=click.Path(path_type=Path), help="Run this plan, as written by `plan --out`.")
@click.option("--tag", help="Tag the new version.")
@_jobs
@_settings
def run(
    ref: str, config: Path | None, plan_file: Path | None, tag: str | None, jobs: int | None, settings: tuple[str, ...]
) -> None:
    """Make the synthetic images that balance REF and write the next version.

    If no photo is known to be bare, nothing can be made: --tag then tags REF itself, so that training can go on.
    """
    synth_settings = load_settings(SynthSettings, config, parse_settings(settings), "synth")
    store = open_store()
    given = Plan(read_plan(plan_file), [f"plan read from {plan_file}"]) if plan_file else None
    try:
        planned = given or _plan(ref, synth_settings)
    except NothingToBalance as nothing:
        manifest = store.read(ref)
        if tag:
            store.tag(manifest.version.ref, tag)
        click.echo(f"nothing to balance; {manifest.version.ref} stays as it is: {nothing}")
        click.echo(ledger_line(manifest.version))
        echo_next(after_nothing(manifest))
        return
    for note in planned.notes:
        click.echo(note)
    result = run_plan(store, store.read(ref), planned.table, synth_settings, jobs=jobs)
    for line in result.lines():
        click.echo(line)
    if tag:
        store.tag(result.version.ref, tag)
    click.echo(ledger_line(result.version))
    made = result.planned > result.failed
    echo_next(f"facecurate {'synth gallery' if made else 'train fit'} {quote(result.version.ref)}")


@cli.command()
@click.argument("ref")
@click.option("--regenerate", is_flag=True, help="Render every image again from its row and compare the bytes.")
@click.option("--realism", is_flag=True, help="Measure how well a classifier separates synthetic from real worn masks.")
@_json
def verify(ref: str, regenerate: bool, realism: bool, as_json: bool) -> None:
    """Check the synthetic rows of REF: splits, labels, coverage, whole profiles, identity. Exit with 1 on problems."""
    from synth.plan import verify as verify_rows

    store = open_store()
    manifest = store.read(ref)
    found = verify_rows(store, manifest, regenerate=regenerate)
    measured = None
    if realism:
        from synth.realism import measure_realism

        measured = measure_realism(store, manifest.table)
    if as_json:
        echo_json({"ref": ref, **found.to_json(), "realism": asdict(measured) if measured else None})
    else:
        again = f", {found.regenerated} made again" if regenerate else ""
        summary = f"{found.rows} synthetic rows{again}: {len(found.problems)} problems"
        for line in (*([measured.line()] if measured else []), *found.counts, *found.problems, summary):
            click.echo(line)
        echo_next(after_verification(ref, found))
    sys.exit(1 if found.problems else 0)


@cli.command()
@click.argument("ref")
@_config
@click.option("--people", type=click.IntRange(min=1), help="Use at most that many people, drawn by the seed.")
@click.option("--folds", type=click.IntRange(min=3), default=4, show_default=True, help="Set the number of folds.")
@_settings
def age_report(ref: str, config: Path | None, people: int | None, folds: int, settings: tuple[str, ...]) -> None:
    """Report the shift in predicted age and the kept identities when the ages of REF's train people are moved.

    The age predictors are trained on other people than those who are moved or who trained the prototypes.
    """
    from pipeline.backends import load_backend
    from synth.ages import age_report as report
    from synth.ages import labelled_faces

    synth_settings = load_settings(SynthSettings, config, parse_settings(settings), "synth")
    store = open_store()
    manifest = store.read(ref)
    faces = labelled_faces(manifest.table, store)
    if people is not None:
        chosen = np.random.default_rng(synth_settings.seed).permutation(len(faces))[:people]
        faces = [faces[index] for index in sorted(chosen)]
    bands, embed = manifest.cuts.starts, load_backend("embedder", "dlib_face").make()
    ages = synth_settings.ages
    result = report(
        faces, bands, embed, strength=ages.strength, folds=folds, min_people=ages.min_people, seed=synth_settings.seed
    )
    for line in result.lines():
        click.echo(line)
    if ages.method == "none":
        settings = (*settings, "ages.method=prototypes")
    echo_next(" ".join(map(quote, ["facecurate", "synth", "plan", ref, *settings])))


@cli.command()
@click.argument("ref")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write to this folder; default: gallery/NAME-N in the workspace."
)
def gallery(ref: str, out: Path | None) -> None:
    """Write contact sheets of REF's synthetic images, one per mask type and placement."""
    from synth.gallery import write_gallery

    store = open_store()
    manifest = store.read(ref)
    folder = out or store.workspace / "gallery" / f"{manifest.version.name}-{manifest.version.number}"
    paths = write_gallery(store, manifest, folder)
    click.echo(f"wrote {counted(len(paths), 'sheet')} to {folder}")
    echo_next(f"facecurate synth verify {quote(ref)}")


@cli.command()
@click.argument("src", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--mask", default="any", show_default=True, help="Choose types, groups such as surgical or kf94, any, or none."
)
@click.option(
    "--placement", "--wear", "placement", default="worn", show_default=True,
    help="Choose placements; incorrect or any draws one of them per photo.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Set the random seed.")
@click.option(
    "--templates",
    type=click.Path(path_type=Path),
    help="Read your own mask templates from a folder (docs/how-to/add-your-own-masks.md).",
)
@_jobs
def images(
    src: Path, out: Path, mask: str, placement: str, seed: int, templates: Path | None, jobs: int | None
) -> None:
    """Put masks on the faces of a plain folder SRC; OUT gets the same tree and synth.csv with one row per output.

    --mask and --placement take lists separated by commas; every photo gets each mask in each placement. For a group or
    `any`, each photo gets one member drawn by the seed, common ones more often. --mask none copies the photo unmasked.
    """
    from synth.images import run_images
    from synth.mask_choices import UNMASKED, mask_type_choices, parse_choices, placement_choices
    from synth.masks import load_templates

    own = load_templates(templates) if templates else {}
    if UNMASKED in own:
        raise ConfigError(
            f"{UNMASKED!r} stands for no mask and cannot be the name of a template. Rename that template."
        )
    masks = parse_choices("--mask", mask, {**mask_type_choices(own), UNMASKED: (UNMASKED,)})
    placements = parse_choices("--placement", placement, placement_choices())
    result = run_images(src, out, masks, placements, seed=seed, templates=templates, jobs=jobs)
    for line in result.lines(out):
        click.echo(line)
    echo_next(f"facecurate doctor {quote(str(out))}")


def _plan(ref: str, settings: SynthSettings) -> Plan:
    manifest = open_store().read(ref)
    return make_plan(manifest.table, settings, manifest.cuts, manifest.version.ref)
