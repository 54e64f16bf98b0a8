"""`python -m synth …`: rendered people, and synthetic profiles that rebalance a data set."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from data_manifests.command_line import ledger_line, open_store, parse_settings
from data_manifests.corrections import append_corrections, read_corrections
from data_manifests.errors import ConfigError, StageError
from data_manifests.versions import write_atomic
from pipeline.settings import load_settings
from synth.plan import PLAN_COLUMNS, Plan, make_plan, run_plan
from synth.settings import SynthSettings

_config = click.option("--config", type=click.Path(path_type=Path), help="YAML file; its section `synth` is read.")
_settings = click.argument("settings", nargs=-1)
_WORDS = ("profile_id", "person_id", "parent_id", "shot", "mask_type", "wear")
_PLAN_TYPES: dict[str, Any] = dict.fromkeys(_WORDS, str) | dict.fromkeys(("from_age", "to_age"), "Int64")


@click.group()
def cli() -> None:
    """Rendered people for trying things out, and synthetic profiles that rebalance a data set."""


@cli.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--persons", type=click.IntRange(min=1), default=150, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def demo(out: Path, persons: int, seed: int) -> None:
    """Render a data set of drawn people in the competition's layout, with planted errors and their truth."""
    from synth.demo_faces import write_demo

    spawn = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(mp_context=spawn, initializer=cv2.setNumThreads, initargs=(1,)) as pool,
        tqdm(total=persons, desc="render people", unit="person") as bar,
    ):
        truth = write_demo(out, persons, seed, bar.update, pool.map)
        bar.update(persons - bar.n)  # the same demo was there already
    click.echo(truth.line())


@cli.command()
@click.argument("ref")
@click.option("--truth", type=click.Path(path_type=Path), required=True, help="The truth.csv of the demo.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The corrections.")
def review(ref: str, truth: Path, out: Path) -> None:
    """Say what is wrong with a demo's photos, as a reviewer who knows the truth: corrections for `apply`."""
    from synth.demo_faces import review as look

    said = look(open_store().read(ref), truth)
    known = set(read_corrections([out])["correction_id"].to_pylist()) if out.exists() else set()
    new = [record for record in said if record.correction_id not in known]
    append_corrections(out, new)
    click.echo(f"{len(said)} labels of {ref} are wrong; wrote {len(new)} new corrections to {out}")


@cli.command()
@click.argument("ref")
@_config
@click.option("--out", type=click.Path(path_type=Path), help="Write the plan as CSV, to read, edit and run.")
@_settings
def plan(ref: str, config: Path | None, out: Path | None, settings: tuple[str, ...]) -> None:
    """Say which synthetic profiles would balance REF."""
    made = _plan(ref, load_settings(SynthSettings, config, parse_settings(settings), "synth"))
    for note in made.notes:
        click.echo(note)
    if out:
        write_atomic(out, made.table.to_csv(index=False).encode())
        click.echo(
            f"wrote {len(made.table)} planned pictures to {out}; run it with: python -m synth run {ref} --plan {out}"
        )


@cli.command()
@click.argument("ref")
@_config
@click.option("--plan", "plan_file", type=click.Path(path_type=Path), help="A plan written before, perhaps edited.")
@click.option("--tag", help="Tag the new version.")
@click.option("--jobs", type=click.IntRange(min=1), help="Worker processes; default: one per core.")
@_settings
def run(
    ref: str, config: Path | None, plan_file: Path | None, tag: str | None, jobs: int | None, settings: tuple[str, ...]
) -> None:
    """Make the synthetic profiles that balance REF and write the next version."""
    read = load_settings(SynthSettings, config, parse_settings(settings), "synth")
    store = open_store()
    made = Plan(_read_plan(plan_file), [f"plan read from {plan_file}"]) if plan_file else _plan(ref, read)
    for note in made.notes:
        click.echo(note)
    done = run_plan(store, store.read(ref), made.table, read, jobs=jobs)
    for line in done.lines():
        click.echo(line)
    if tag:
        store.tag(done.version.ref, tag)
    click.echo(ledger_line(done.version))


@cli.command()
@click.argument("ref")
@click.option("--regenerate", is_flag=True, help="Render every picture again from its recipe and compare the bytes.")
@click.option("--realism", is_flag=True, help="Measure how well a classifier tells synthetic from real worn masks.")
def verify(ref: str, regenerate: bool, realism: bool) -> None:
    """Check the synthetic rows of REF: splits, labels against coverage, whole profiles, identity of moved ages."""
    from synth.plan import verify as check

    store = open_store()
    found = check(store, store.read(ref), regenerate=regenerate)
    if realism:
        from synth.realism import realism as measure

        click.echo(measure(store, store.read(ref).table).line())
    for line in (*found.counts, *found.problems):
        click.echo(line)
    again = f", {found.regenerated} made again" if regenerate else ""
    click.echo(f"{found.rows} synthetic rows{again}: {len(found.problems)} problems")
    sys.exit(1 if found.problems else 0)


@cli.command()
@click.argument("ref")
@_config
@click.option("--people", type=click.IntRange(min=1), help="At most so many, drawn by the seed; default: all.")
@click.option("--folds", type=click.IntRange(min=3), default=4, show_default=True)
@_settings
def age_report(ref: str, config: Path | None, people: int | None, folds: int, settings: tuple[str, ...]) -> None:
    """Say how far prototypes move the ages of REF's train people, and how many of them keep their identity.

    Judged by age predictors trained on other people than those moved and those that the prototypes were learned from.
    """
    from pipeline.backends import load_backend
    from synth.ages import age_report as report
    from synth.ages import known_faces

    read = load_settings(SynthSettings, config, parse_settings(settings), "synth")
    store = open_store()
    manifest = store.read(ref)
    faces = known_faces(manifest.table, store)
    if people is not None:
        chosen = np.random.default_rng(read.seed).permutation(len(faces))[:people]
        faces = [faces[index] for index in sorted(chosen)]
    bands, embed = (manifest.cuts.middle, manifest.cuts.old), load_backend("embedder", "dlib_face").make()
    ages = read.ages
    done = report(faces, bands, embed, strength=ages.strength, folds=folds, min_people=ages.min_people, seed=read.seed)
    for line in done.lines():
        click.echo(line)


@cli.command()
@click.argument("ref")
@click.option("--out", type=click.Path(path_type=Path), help="Folder; default: gallery/NAME-N in the workspace.")
def gallery(ref: str, out: Path | None) -> None:
    """Write contact sheets of REF's synthetic pictures, one per mask type and wear."""
    from synth.gallery import write_gallery

    store = open_store()
    manifest = store.read(ref)
    folder = out or store.workspace / "gallery" / f"{manifest.version.name}-{manifest.version.number}"
    paths = write_gallery(store, manifest, folder)
    click.echo(f"wrote {len(paths)} sheets to {folder}")


@cli.command()
@click.argument("src", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--mask", default="any", show_default=True, help="Types, groups such as surgical or kf94, any, or none.")
@click.option("--wear", default="worn", show_default=True, help="Wears; incorrect or any: one of them.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--templates", type=click.Path(path_type=Path), help="Folder of masks of your own (docs/synthesis.md).")
@click.option("--jobs", type=click.IntRange(min=1), help="Worker processes; default: one per core.")
def images(src: Path, out: Path, mask: str, wear: str, seed: int, templates: Path | None, jobs: int | None) -> None:
    """Put masks on the faces of a plain folder SRC; OUT gets the same tree and synth.csv, a line per picture.

    --mask and --wear take lists with commas; every photo gets each mask in each wear. A group or `any` stands for one
    of its members, drawn for each photo by the seed, the common ones more often. --mask none is the photo as it is.
    """
    from synth.choice import UNMASKED, mask_choices, parse_words, wear_choices
    from synth.images import run_images
    from synth.masks import load_templates

    own = load_templates(templates) if templates else {}
    if UNMASKED in own:
        raise ConfigError(f"{UNMASKED!r} is the word for no mask. Rename that template.")
    masks = parse_words("--mask", mask, {**mask_choices(own), UNMASKED: (UNMASKED,)})
    wears = parse_words("--wear", wear, wear_choices())
    for line in run_images(src, out, masks, wears, seed=seed, templates=templates, jobs=jobs).lines(out):
        click.echo(line)


def _plan(ref: str, settings: SynthSettings) -> Plan:
    manifest = open_store().read(ref)
    return make_plan(manifest.table, settings, manifest.cuts)


def _read_plan(file: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(file, dtype=_PLAN_TYPES, keep_default_na=False, na_values={"from_age": "", "to_age": ""})
    except (OSError, ValueError) as error:
        raise StageError(f"plan {file} cannot be read: {error}") from None
    missing = [name for name in PLAN_COLUMNS if name not in table.columns]
    if missing:
        raise StageError(
            f"plan {file} lacks the columns {', '.join(missing)}. Make one with: python -m synth plan REF --out {file}"
        )
    return table
