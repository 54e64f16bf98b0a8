"""`python -m data_manifests …`: thin commands over the functions of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.cli.inspect import diff_command, lineage_command, log_command, show_command, verify_command
from data_manifests.cli.review import agreement_command, consensus_command, report_command
from data_manifests.command_line import echo_json, ledger_line, open_store
from data_manifests.corrections import apply_to_store
from data_manifests.errors import ConfigError, ManifestError
from data_manifests.export import FORMATS
from data_manifests.export import export as write_export
from data_manifests.ingest import LAYOUTS, layout_settings
from data_manifests.inspect import text as texts
from data_manifests.schema import USABLE, as_markdown
from data_manifests.splits import assign_splits, count_people, keep_splits, newest_with_splits, without_splits
from data_manifests.taxonomy import MASKS, AgeCuts
from data_manifests.versions import Store, Version, table_sha256

PHOTOS = "photos"  # the tag that preprocessing starts from
_PATH = click.Path(path_type=Path)


@click.group(context_settings={"max_content_width": 110})
def cli() -> None:
    """The versions of a data set: read photos in, correct, split, compare, check, write out.

    A REF names a version: faces (the newest), faces@3, faces@curated (a tag), faces@9f86d0 (first digits of its content
    hash) or a Parquet file. Versions lie in $WORKSPACE (default: workspace/) and never change.
    """


@cli.command()
@click.argument("source", type=_PATH, metavar="SRC")
@click.option("--layout", required=True, type=click.Choice(list(LAYOUTS)), help="How the photo folder SRC is laid out.")
@click.option("--name", required=True, help="Name of the manifest, and of the photo folder in roots.json.")
@click.option("--age-cuts", help="First age of the middle and the old class.  [default: as before, at first 30,60]")
@click.option("--map", multiple=True, metavar="FIELD=COLUMN", help="table: the CSV's column for a field.")
@click.option("--value", multiple=True, metavar="FIELD:WORD=OURS", help="table: what a word in the CSV means.")
@click.option("--csv", metavar="FILE", help="table: which CSV, when SRC holds several.")
@click.option("--images", metavar="FOLDER", help="table: the folder in SRC that the CSV's paths start from.")
@click.option(
    "--mask",
    type=click.Choice([*MASKS, "unknown"]),
    help="table, utkface: how masks are worn where nothing says so.  [default: none]",
)
def ingest(source: Path, layout: str, name: str, age_cuts: str | None, **options: Any) -> None:
    """Read a folder of labelled photos into a new version.

    \b
    profiles  train.csv (id, gender, age, path, …) and
              images/<path>/{normal,mask1..mask5,incorrect_mask}.<any image extension>
    table     a CSV with a row per photo: path, and if known person_id, profile_id, shot,
              mask, gender, age; other columns are kept as x_…
              such as --map path=file --map person_id=subject --value mask:Masked=worn
    utkface   [age]_[gender]_[race]_[date].jpg; every photo is a person of its own
    folder    folders named after labels at any depth: 0 to 17, or words such as worn, male,
              under30 (worn_male_under30/, worn/male/under30/); age stays empty, the age
              class is known; every photo is a person of its own

    A photo with a problem becomes a row with status failed and a reason; the others go on. An unchanged folder gives
    the same version again. A new version gets the tag photos, which preprocessing starts from.
    """
    store = open_store()
    if not source.is_dir():
        raise ManifestError(f"photo folder {str(source)!r} does not exist.")
    _refuse_other_root(store, name, source)
    given = {key: value for key, value in options.items() if value}
    before = store.log(name) if name in store.names() else []
    cuts = AgeCuts.parse(age_cuts) if age_cuts else AgeCuts(*before[-1].age_cuts) if before else AgeCuts()
    cache = store.workspace / "cache" / f"photos-{name}.parquet"
    table = LAYOUTS[layout](source, root_name=name, cuts=cuts, cache=cache, **layout_settings(layout, given))
    for line in texts.failure_lines(table):
        click.echo(line)
    if not pc.any(pc.is_in(table.column("status"), pa.array(USABLE))).as_py():
        raise ManifestError(f"none of the {table.num_rows} photos of {str(source)!r} can be used; nothing was written.")
    version = store.write(name, table, "ingest", parameters={"layout": layout, **given}, cuts=cuts)
    store.set_root(name, source)
    click.echo("\n".join(texts.class_lines(store.read(version.ref))))
    if version.is_new and any(one.operation == "apply" for one in before):
        click.echo(f"corrections of earlier versions are not in it; next: python -m data_manifests apply {name} CSV…")
    _finish(store, version)


@cli.command()
@click.argument("ref")
@click.argument("csvs", nargs=-1, required=True, type=_PATH, metavar="CSV...")
@click.option("--seed", default=0, show_default=True, help="Draws the ages of corrections that name an age class.")
@click.option("--report", type=_PATH, metavar="FILE", help="Write what became of each correction to a CSV.")
@click.option("--tag", help="Tag the version that comes of it.")
@click.option("--dry-run", is_flag=True, help="Report what would happen, and write no version.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("--limit", default=500, show_default=True, help="List at most this many open corrections (--json).")
def apply(
    ref: str,
    csvs: tuple[Path, ...],
    seed: int,
    report: Path | None,
    tag: str | None,
    dry_run: bool,
    as_json: bool,
    limit: int,
) -> None:
    """Apply correction CSVs to a version.

    Conflicts and corrections that match no row are reported, never guessed; applying twice changes nothing.
    """
    store = open_store()
    version, outcome = apply_to_store(store, ref, csvs, seed=seed, dry_run=dry_run)
    if report:
        outcome.write_csv(report)
    if tag and not dry_run:
        store.tag(version.ref, tag)
    if as_json:
        if not dry_run:
            _follow_photos(store, version)
        result = {"ref": version.ref, "is_new": version.is_new, "dry_run": dry_run, "ledger": dict(version.ledger)}
        echo_json(result | outcome.as_json(limit) | {"report": str(report) if report else None})
        return
    click.echo("\n".join(outcome.lines()))
    if report:
        click.echo(f"report: {report}")
    if dry_run:
        click.echo("dry run: no version was written")
        return
    _finish(store, version)


@cli.command()
@click.argument("ref")
@click.option("--ratios", default="train=8,val=2", show_default=True, help="Shares of train, val and test.")
@click.option("--folds", type=click.IntRange(min=2), help="Also number K cross-validation folds.")
@click.option("--seed", default=0, show_default=True)
@click.option("--anew", is_flag=True, help="Deal again to everyone, also to people who have a split.")
def split(ref: str, ratios: str, folds: int | None, seed: int, anew: bool) -> None:
    """Give every person a split.

    Stratified by gender and age class. People who have a split, here or in an earlier version of the manifest, keep it:
    photos that are added later move nobody.
    """
    store = open_store()
    manifest = store.read(ref)
    shares = _ratios(ratios)
    parents = [manifest.version]
    table = without_splits(manifest.table) if anew else manifest.table
    if not anew and (earlier := newest_with_splits(store, manifest.version)):
        table = keep_splits(table, store.read(earlier.ref, ["person_id", "split", "fold"]).table)
        parents.append(earlier)
    kept = count_people(table)
    if kept:
        click.echo(f"{kept:,} people keep the split that they have; --anew deals again")
    table = assign_splits(table, ratios=shares, folds=folds, seed=seed)
    click.echo("\n".join(texts.split_lines(table)))
    if table_sha256(table) == manifest.version.content_hash:
        _finish(store, manifest.version)
        return
    parameters = {"ratios": shares, "folds": folds, "anew": anew}
    name = manifest.version.name
    version = store.write(name, table, "split", parents=parents, parameters=parameters, seed=seed)
    _finish(store, version)


@cli.command()
@click.argument("ref")
@click.argument("tag")
def tag(ref: str, tag: str) -> None:
    """Point TAG at a version. A tag may move; versions do not change."""
    version = open_store().tag(ref, tag)
    click.echo(f"tag {tag} → {version.ref}")
    click.echo(ledger_line(version))


@cli.command()
@click.argument("ref")
@click.option("--format", "format_", required=True, type=click.Choice(FORMATS))
@click.option("--out", required=True, type=_PATH, metavar="DIR", help="A new or empty folder.")
@click.option(
    "--link/--copy",
    default=False,
    show_default=True,
    help="Hard links save room; a change to one is a change to the photo.",
)
def export(ref: str, format_: str, out: Path, link: bool) -> None:
    """Write a version for other programs.

    \b
    csv       labels.csv: all rows and columns as one flat table
    profiles  train.csv, images/<path>/<shot>.<ext> as in the competition, and ledger.csv:
              what was written as what, and what was left out and why
    """
    click.echo("\n".join(write_export(open_store(), ref, format_, out, link=link).lines()))


@cli.command()
@click.argument("name", required=False)
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
def root(name: str | None, folder: Path | None) -> None:
    """Tell where photo folders lie, or set one.

    After photos were moved: root NAME FOLDER. No version changes, for rows name the folder by NAME.
    """
    store = open_store()
    if name and folder:
        store.set_root(name, folder)
    for known, path in store.roots().items():
        if name in (None, known):
            click.echo(f"{known}  {path}")
    if name and name not in store.roots():
        store.file_of(name, "")  # raises, with the choices


@cli.command()
def schema() -> None:
    """Print the columns of a manifest (docs/manifest.md)."""
    click.echo(as_markdown(), nl=False)


for command in (log_command, show_command, diff_command, verify_command, lineage_command):
    cli.add_command(command)
for command in (agreement_command, consensus_command, report_command):
    cli.add_command(command)


# -- helpers ----------------------------------------------------------------------------------------------------


def _finish(store: Store, version: Version) -> None:
    """Move the tag `photos` to a new version of photos, and print the ledger."""
    _follow_photos(store, version)
    if not version.is_new:
        at = store.tags(version.name).get(PHOTOS)
        click.echo(f"nothing changed{f'; tag {PHOTOS} stays at {version.name}@{at}' if at else ''}")
    click.echo(ledger_line(version))


def _follow_photos(store: Store, version: Version) -> None:
    """Move the tag `photos` to a new version if all of its rows are photos, not pictures made from photos.

    A repeated run that returns an old version leaves the tag alone: corrections may have moved it on since.
    """
    if version.is_new:
        parents = store.read(version.ref, ["parent_id"]).table.column("parent_id")
        if parents.null_count == len(parents):
            store.tag(version.ref, PHOTOS)


def _refuse_other_root(store: Store, name: str, source: Path) -> None:
    known = store.roots().get(name)
    if known is not None and known.resolve() != source.resolve():
        raise ManifestError(
            f"the photos of {name!r} lie in {str(known)!r}, not in {str(source)!r}. Choose another --name; or, if the "
            f"folder has moved: python -m data_manifests root {name} {source}"
        )


def _ratios(text: str) -> dict[str, float]:
    """ "train=8,val=2" → {"train": 0.8, "val": 0.2}."""
    try:
        shares = {name.strip(): float(share) for name, share in (part.split("=") for part in text.split(","))}
        total = sum(shares.values())
        return {name: share / total for name, share in shares.items()}
    except (ValueError, ZeroDivisionError):
        raise ConfigError(f"--ratios must be shares such as train=8,val=2. Got {text!r} instead.") from None
