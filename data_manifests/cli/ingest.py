"""The command `ingest`, the parsing of its layout options, and the tag `photos` that follows the newest photos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.command_line import ledger_line, open_store
from data_manifests.errors import ConfigError, ManifestError
from data_manifests.ingest import LAYOUTS
from data_manifests.inspect import class_lines, failure_lines
from data_manifests.schema import USABLE
from data_manifests.taxonomy import MASKS, AgeCuts
from data_manifests.versions import Store, Version

PHOTOS = "photos"  # the tag from which preprocessing starts
_OPTIONS_OF = {"table": ("map", "value", "csv", "images", "mask"), "utkface": ("mask",)}


@click.command("ingest")
@click.argument("source", type=click.Path(path_type=Path), metavar="SRC")
@click.option("--layout", required=True, type=click.Choice(list(LAYOUTS)), help="Set the layout of SRC.")
@click.option("--name", required=True, help="Name the manifest, and the photo folder in roots.json.")
@click.option(
    "--age-cuts",
    help="Set the first age of the middle and of the old class.  [default: those of the last version, at first 30,60]",
)
@click.option("--map", multiple=True, metavar="FIELD=COLUMN", help="table: Read a field from this CSV column.")
@click.option("--value", multiple=True, metavar="FIELD:WORD=VALUE", help="table: Translate a word of the CSV.")
@click.option("--csv", metavar="FILE", help="table: Read this CSV, if SRC contains several.")
@click.option("--images", metavar="FOLDER", help="table: Take the CSV's paths as relative to this folder of SRC.")
@click.option(
    "--mask",
    type=click.Choice([*MASKS, "unknown"]),
    help="table, utkface: Set the mask label of photos without one.  [default: none]",
)
def ingest_command(source: Path, layout: str, name: str, age_cuts: str | None, **options: Any) -> None:
    """Ingest a folder of labelled photos as a new version.

    \b
    profiles  train.csv (id, gender, age, path, …) and
              images/<path>/{normal,mask1..mask5,incorrect_mask}.<any image extension>
    table     a CSV with a row per photo: path, and optionally person_id, profile_id,
              shot, mask, gender, age; other columns are kept as x_…
              for example --map path=file --map person_id=subject --value mask:Masked=worn
    utkface   [age]_[gender]_[race]_[date].jpg; every photo is its own person
    folder    folders named after labels at any depth: 0 to 17, or words such as worn, male,
              under30 (worn_male_under30/, worn/male/under30/); age stays empty, the age
              class is set; every photo is its own person

    A photo with a problem becomes a row with status failed and a reason; the others are not affected. An unchanged
    folder gives the same version again. A new version gets the tag photos, from which preprocessing starts.
    """
    store = open_store()
    if not source.is_dir():
        raise ManifestError(f"photo folder {str(source)!r} does not exist.")
    _check_root(store, name, source)
    given = {key: value for key, value in options.items() if value}
    before = store.log(name) if name in store.names() else []
    cuts = AgeCuts.parse(age_cuts) if age_cuts else AgeCuts(*before[-1].age_cuts) if before else AgeCuts()
    cache = store.workspace / "cache" / f"photos-{name}.parquet"
    table = LAYOUTS[layout](source, root_name=name, cuts=cuts, cache=cache, **layout_arguments(layout, given))
    for line in failure_lines(table):
        click.echo(line)
    if not pc.any(pc.is_in(table.column("status"), pa.array(USABLE))).as_py():
        raise ManifestError(f"none of the {table.num_rows} photos of {str(source)!r} can be used; nothing was written.")
    version = store.write(name, table, "ingest", parameters={"layout": layout, **given}, cuts=cuts)
    store.set_root(name, source)
    click.echo("\n".join(class_lines(store.read(version.ref))))
    if version.is_new and any(one.operation == "apply" for one in before):
        click.echo(
            f"the new version does not contain the corrections of earlier versions; next: facecurate apply {name} CSV…"
        )
    echo_version(store, version)


def layout_arguments(layout: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of a layout's function, given the options that were set.

    Raises ConfigError for an option of another layout, or one that does not have the form of its usage.
    """
    for option in given:
        if option not in _OPTIONS_OF.get(layout, ()):
            layouts = [name for name, options in _OPTIONS_OF.items() if option in options]
            raise ConfigError(f"--{option} requires --layout {' or '.join(layouts)}. Got --layout {layout} instead.")
    arguments: dict[str, Any] = {name: given[name] for name in ("csv", "images") if name in given}
    if "mask" in given:
        arguments["mask"] = None if given["mask"] == "unknown" else given["mask"]
    if "map" in given:
        arguments["columns"] = dict(_pair(text, "--map FIELD=COLUMN") for text in given["map"])
    if "value" in given:
        pairs = [_pair(text, "--value FIELD:WORD=VALUE") for text in given["value"]]
        if any(":" not in left for left, _ in pairs):
            raise ConfigError(
                f"--value must be FIELD:WORD=VALUE, such as mask:Masked=worn. Got {given['value']} instead."
            )
        arguments["words"] = {tuple(left.split(":", 1)): right for left, right in pairs}
    return arguments


def _pair(text: str, usage: str) -> tuple[str, str]:
    left, sign, right = text.rpartition("=")
    if not sign or not left or not right:
        raise ConfigError(f"an option must have the form {usage}. Got {text!r} instead.")
    return left, right


def _check_root(store: Store, name: str, source: Path) -> None:
    """Check that a known root name is not used for another folder. Raises ManifestError."""
    known = store.roots().get(name)
    if known is not None and known.resolve() != source.resolve():
        raise ManifestError(
            f"the photos of {name!r} are in {str(known)!r}. Got {str(source)!r} instead; choose another --name, or, if "
            f"the folder was moved: facecurate root {name} {source}"
        )


def echo_version(store: Store, version: Version) -> None:
    """Move the tag `photos` to a new version of photos, and print the ledger."""
    move_photos_tag(store, version)
    if not version.is_new:
        at = store.tags(version.name).get(PHOTOS)
        click.echo(f"nothing changed{f'; tag {PHOTOS} stays at {version.name}@{at}' if at else ''}")
    click.echo(ledger_line(version))


def move_photos_tag(store: Store, version: Version) -> None:
    """Move the tag `photos` to a new version if all of its rows are photos, not images made from photos.

    A repeated command that returns an old version does not move the tag: corrections may have moved it on since.
    """
    if version.is_new:
        parents = store.read(version.ref, ["parent_id"]).table.column("parent_id")
        if parents.null_count == len(parents):
            store.tag(version.ref, PHOTOS)
