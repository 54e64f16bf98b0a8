"""The command `ingest`, and the tag `photos` that follows the newest photos."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.cli.layout_options import AUTO, layout_arguments, layout_options
from data_manifests.command_line import echo_next, ledger_line, open_store
from data_manifests.errors import ManifestError
from data_manifests.ingest import LAYOUTS, DetectedLayout, detect_layout, with_former_ids
from data_manifests.inspect import NEXT_COLUMNS, class_lines, failure_lines, next_command
from data_manifests.schema import USABLE
from data_manifests.splits import group_people
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import WORKSPACE_ROOT, Store, Version, has_former_ids

PHOTOS = "photos"  # the tag from which preprocessing starts


@dataclass(frozen=True)
class Source:
    """A photo folder, its layout, the options of the layout that are set, and its detection if there was one."""

    root: Path
    layout: str
    options: Mapping[str, Any]
    detected: DetectedLayout | None = None


@click.command("ingest")
@click.argument("source", type=click.Path(path_type=Path), metavar="SRC")
@click.option(
    "--name", help="Name the manifest, and the photo folder in roots.json.  [default: the name of the folder]"
)
@click.option(
    "--age-cuts",
    help="Set the first age of the middle and of the old class.  [default: those of the last version, at first 30,60]",
)
@layout_options
def ingest_command(source: Path, layout: str, name: str | None, age_cuts: str | None, **options: Any) -> None:
    """Ingest a folder of photos, or a CSV or JSON file that lists them, as a new version.

    \b
    auto          detect the layout, and print what was detected, why, and the command for it
    profiles      train.csv (id, gender, age, path, …) and
                  images/<path>/{normal,mask1..mask5,incorrect_mask}.<any image extension>
    table         a CSV with a row per photo: path, and optionally person_id, profile_id,
                  shot, mask, gender, age, age_class, split; other columns are kept as x_…
                  for example --map path=file --map person_id=subject --value mask:Masked=worn
    utkface       [age]_[gender]_[race]_[date].jpg; every photo is its own person
    folder        folders named after labels at any depth: 0 to 17, or words such as worn, male,
                  under30, with_mask (worn_male_under30/, worn/male/under30/); age stays empty,
                  the age class is set; every photo is its own person
    imagefolder   metadata.csv or metadata.jsonl with file_name (Hugging Face)
    label_studio  export of Label Studio as JSON or JSON_MIN
    coco          JSON with images, annotations and categories
    plain         photos without labels

    A label that is not given is unknown. A photo with a problem becomes a row with status failed and a reason; the
    others are not affected. An unchanged folder gives the same version again. A new version gets the tag photos, from
    which preprocessing starts.
    """
    store = open_store()
    if layout == AUTO:
        click.echo(f"looking at {source}…", err=True)  # a large folder takes seconds
    read = read_source(source, layout, {key: value for key, value in options.items() if value})
    if read.detected:
        click.echo("\n".join(detection_lines(read.detected)))
    if name is None:
        name = default_name(store, read.root)
        click.echo(f"  name: {name} (--name gives another one)")
    before = store.log(name) if name in store.names() else []
    version, failures = ingest_photos(store, read, name, age_cuts)
    for line in failures:
        click.echo(line)
    manifest = store.read(version.ref)
    click.echo("\n".join([*class_lines(manifest), *group_people(manifest.table).duplicate_lines()]))
    logs = _correction_logs(store, before) if version.is_new else None
    if logs is not None:
        click.echo("the new version does not contain the corrections of earlier versions; apply them again")
    echo_version(store, version)
    if logs:
        echo_next(shlex.join(["facecurate", "apply", name, *logs]))
    else:
        ref = f"{name}@{PHOTOS}" if PHOTOS in store.tags(name) else version.ref
        echo_next(next_command(store.read(ref, NEXT_COLUMNS)))


def read_source(source: Path, layout: str, given: Mapping[str, Any]) -> Source:
    """Return folder, layout and options of a source, detected if the layout is `auto`; `given` options take precedence.

    Raises ManifestError for a source without photos, ConfigError for an option of another layout.
    """
    if len(given.get("csv", ())) == 1:  # one file is recorded as in 0.1.0, so that a repeated command is recognised
        given = {**given, "csv": given["csv"][0]}
    if layout != AUTO:
        if not source.exists():
            raise ManifestError(f"photo folder {str(source)!r} does not exist.")
        layout_arguments(layout, given)
        if source.is_dir():
            return Source(source, layout, given)
        own = {"table": "csv", "coco": "annotations", "label_studio": "annotations"}.get(layout)
        return Source(source.parent, layout, {**given, **({own: source.name} if own else {})})
    detected = detect_layout(source)
    for one in (detected, *detected.others):  # --csv or --annotations choose one of several lists
        if all(one.options.get(key) == given[key] for key in ("csv", "annotations") if key in given):
            detected = one
            break
    arguments = dict(detected.arguments)
    for key, value in layout_arguments(detected.layout, given).items():
        arguments[key] = {**arguments.get(key, {}), **value} if isinstance(value, dict) else value
    chosen = detected.with_arguments(arguments)
    return Source(chosen.root, chosen.layout, chosen.options, chosen)


def ingest_photos(store: Store, read: Source, name: str, age_cuts: str | None = None) -> tuple[Version, list[str]]:
    """Read the photos of a source and write them as a version; return it and lines on the rows that failed.

    age_cuts: "30,60"; None for those of the newest version. The folder is noted in roots.json; the tag `photos` is
    not moved. Raises ManifestError if no photo can be used, or if `name` is that of another folder.
    """
    _check_root(store, name, read.root)
    before = store.log(name) if name in store.names() else []
    cuts = AgeCuts.parse(age_cuts) if age_cuts else AgeCuts(*before[-1].age_cuts) if before else AgeCuts()
    cache = store.workspace / "cache" / f"photos-{name}.parquet"
    arguments = layout_arguments(read.layout, read.options)
    table = LAYOUTS[read.layout](read.root, root_name=name, cuts=cuts, cache=cache, **arguments)
    if before and has_former_ids(store.read(before[-1].ref, ["source_id"]).table["source_id"]):
        table = with_former_ids(table)
    failures = failure_lines(table)
    if not pc.any(pc.is_in(table.column("status"), pa.array(USABLE))).as_py():
        first = f" {failures[1].strip()}." if len(failures) > 1 else ""
        raise ManifestError(
            f"none of the {table.num_rows} photos of {str(read.root)!r} can be used; nothing was written.{first}"
        )
    version = store.write(name, table, "ingest", parameters={"layout": read.layout, **read.options}, cuts=cuts)
    store.set_root(name, read.root)
    return version, failures


def detection_lines(detected: DetectedLayout) -> list[str]:
    """Return what a source was taken for, why, what else fits, and the command that says so."""
    lines = [f"{detected.root}: layout {detected.layout}", f"  seen: {detected.evidence}"]
    lines += [f"  note: {note}" for note in detected.notes]
    if detected.others:
        lines.append(f"  also possible: {', '.join(map(_words_of_other, detected.others))}")
    return [*lines, f"  same as: {detected.command}"]


def _words_of_other(other: DetectedLayout) -> str:
    """Return the options that choose another layout that fits too."""
    words = ["--layout", other.layout]
    for name in ("csv", "person"):
        if value := other.options.get(name):
            words += [part for one in ([value] if isinstance(value, str) else value) for part in (f"--{name}", one)]
    return shlex.join(words)


def default_name(store: Store, root: Path) -> str:
    """Return the name under which a folder is known, else one made from the folder's name that is still free."""
    roots = store.roots()
    folder = root.resolve()
    for name, known in roots.items():
        if name != WORKSPACE_ROOT and known.resolve() == folder:
            return name
    ascii_name = unicodedata.normalize("NFKD", folder.name).encode("ascii", "ignore").decode()
    clean = re.sub(r"[^A-Za-z0-9._]+", "-", ascii_name).strip("-._") or "faces"
    taken = {*roots, *store.names()}
    numbered = (f"{clean}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (clean, *numbered) if name not in taken)


def _check_root(store: Store, name: str, source: Path) -> None:
    """Check that a known root name is not used for another folder. Raises ManifestError."""
    known = store.roots().get(name)
    if known is not None and known.resolve() != source.resolve():
        raise ManifestError(
            f"the photos of {name!r} are in {str(known)!r}. Got {str(source)!r} instead; choose another --name, or, if "
            f"the folder was moved: facecurate root {name} {shlex.quote(str(source))}"
        )


def _correction_logs(store: Store, before: list[Version]) -> list[str] | None:
    """Return the logs that earlier versions applied and that still exist; None if no corrections were applied."""
    applied = [version for version in before if version.operation == "apply"]
    names = dict.fromkeys(log["file"] for version in applied for log in version.parameters.get("corrections", ()))
    if not applied:
        return None
    folder = store.workspace / "corrections" / applied[0].name
    return [str(folder / name) for name in names if (folder / name).is_file()]


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
