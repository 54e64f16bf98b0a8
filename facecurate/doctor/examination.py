"""The examination of a photo set: ingest, count, write the first page, audit, write the page again."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from data_manifests.cli import PHOTOS, Source, detection_lines, ingest_photos, move_photos_tag
from data_manifests.errors import ToolkitError
from data_manifests.splits import find_leaks
from data_manifests.versions import Manifest, Store
from facecurate.doctor.contents import count_contents
from facecurate.doctor.findings import Findings
from facecurate.doctor.next_commands import NextCommand, choose_commands
from facecurate.doctor.page import write_page
from facecurate.doctor.pictures import Pictures, example_samples
from facecurate.doctor.summary import content_lines, issue_lines

Say = Callable[[str], None]


def examine(
    store: Store,
    read: Source,
    name: str,
    age_cuts: str | None,
    out: Path | None,
    say: Say,
    show: Callable[[Path], None],
) -> tuple[Findings, tuple[NextCommand, ...], Path]:
    """Examine the photos of a source; return the findings, the next commands, and the page.

    `say` prints a line, and `show` is called once with the page when it has counts and pictures. The audit and the tag
    `photos` continue from the newest version of the photos, so corrections and splits made since count. An audit that
    cannot run is reported in `Findings.problem`; no other step is skipped.
    """
    for line in _taken_for(read):
        say(line)
    say(f"  name: {name} (--name gives another one)")
    version, _ = ingest_photos(store, read, name, age_cuts)
    move_photos_tag(store, version)
    if PHOTOS not in store.tags(name):
        store.tag(version.ref, PHOTOS)
    manifest = _before_audit(store, store.read(f"{name}@{PHOTOS}"))
    out = out or store.workspace / "doctor" / f"{name}.html"
    table = manifest.table
    found = Findings(
        name=name,
        ref=manifest.version.ref,
        source=str(read.root),
        layout=read.layout,
        evidence=read.detected.evidence if read.detected else "as --layout states",
        contents=count_contents(table, manifest.cuts),
        leaks=find_leaks(table),
    )
    pictures, examples = Pictures(store, table), example_samples(table, manifest.cuts)
    place, can_make = str(Path.cwd()), _has_makefile(Path.cwd())

    def write(found: Findings) -> tuple[NextCommand, ...]:
        commands = choose_commands(found, can_make)
        write_page(out, found, commands, pictures, examples, _otherwise(read), place)
        return commands

    write(found)
    show(out)
    for line in content_lines(found):
        say(line)
    try:
        found = _search(store, manifest, found)
    except BaseException as error:  # also an interruption: a page must not reload itself for ever
        found = replace(found, problem=str(error) or "the search was interrupted.")
        write(found)
        if not isinstance(error, ToolkitError):
            raise
    commands = write(found)
    for line in issue_lines(found):
        say(line)
    return found, commands, out


def _taken_for(read: Source) -> Sequence[str]:
    """Return what the source was taken for, why, and how to state another layout."""
    if read.detected is None:
        return [f"{read.root}: layout {read.layout}, as --layout states"]
    return [line.replace("facecurate ingest", "facecurate doctor", 1) for line in detection_lines(read.detected)]


def _otherwise(read: Source) -> list[str]:
    """Return commands that read the source as it was read, and as the other layouts that fit."""
    if read.detected is None:
        return [f"facecurate doctor {shlex.quote(str(read.root))} --layout auto"]
    found = [read.detected, *read.detected.others]
    return [one.command.replace("facecurate ingest", "facecurate doctor", 1) for one in found]


def _before_audit(store: Store, manifest: Manifest) -> Manifest:
    """Return the version that an audited version was made from, so that the same audit gives the same version."""
    version = manifest.version
    if version.operation != "audit" or not version.parents:
        return manifest
    return store.read(version.parents[0].split("#")[0])


def _search(store: Store, manifest: Manifest, found: Findings) -> Findings:
    """Measure the faces and audit the photos; the tag `photos` moves to the audited version."""
    from audit.run import run_audit
    from audit.settings import AuditSettings
    from facecurate.doctor.suspects import list_suspects
    from pipeline.faces import measure_face_share

    found = replace(found, face_share=measure_face_share(manifest, store))
    audit = run_audit(manifest, store, AuditSettings())
    store.tag(audit.version.ref, PHOTOS)
    return replace(found, ref=audit.version.ref, suspicions=list_suspects(audit), leaks=audit.leaks)


def _has_makefile(folder: Path) -> bool:
    """Return whether `make` runs the toolkit's stages in a folder."""
    makefile = folder / "Makefile"
    return makefile.is_file() and "DATASET" in makefile.read_text("utf8", "replace")
