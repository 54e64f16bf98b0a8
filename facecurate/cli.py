"""The command table of `facecurate`.

A target is imported when its command is called, so that `facecurate --help` and completion stay quick. Every command of
a package is also there as `python -m PACKAGE …`.
"""

from __future__ import annotations

import sys

import click

from facecurate import __version__
from facecurate.lazy_group import Entry, LazyGroup, resolve

RUN = "data_manifests.command_line:run"  # calls a group; a ToolkitError becomes one line and exit 2
_MANIFESTS = "data_manifests.cli:cli"
_CLICK_ONLY = ("facecurate.app:", "facecurate.completion:")
_PREPARE_TRAINING = "train.process_environment:prepare_process"  # sets what torch reads when it is imported

TABLE = {
    "Data set": {
        "doctor": Entry("facecurate.doctor:doctor", "Look into any folder of photos, and name the next commands."),
        "ingest": Entry(f"{_MANIFESTS} ingest", "Read a folder of labelled photos into a new version."),
        "split": Entry(f"{_MANIFESTS} split", "Assign people to train, validation and test."),
        "apply": Entry(f"{_MANIFESTS} apply", "Apply correction files to a version."),
        "log": Entry(f"{_MANIFESTS} log", "List the versions of a data set, oldest first."),
        "show": Entry(f"{_MANIFESTS} show", "Summarize a version."),
        "diff": Entry(f"{_MANIFESTS} diff", "Compare two versions."),
        "verify": Entry(f"{_MANIFESTS} verify", "Check that all files are as recorded."),
        "lineage": Entry(f"{_MANIFESTS} lineage", "Follow a row back to its photo."),
        "tag": Entry(f"{_MANIFESTS} tag", "Point a tag at a version."),
        "root": Entry(f"{_MANIFESTS} root", "List the photo folders, or set one."),
        "agreement": Entry(f"{_MANIFESTS} agreement", "Report inter-annotator agreement."),
        "consensus": Entry(f"{_MANIFESTS} consensus", "Merge the logs of several annotators into one."),
        "schema": Entry(f"{_MANIFESTS} schema", "Print the columns of a manifest."),
        "export": Entry(f"{_MANIFESTS} export", "Write a version for other programs."),
        "report": Entry("reporting.cli:report_command", "Write an HTML dataset report."),
    },
    "Stages": {
        "audit": Entry("audit.cli:cli", "Find wrong labels, duplicates, identity mismatches and bad photos."),
        "preprocess": Entry("preprocess.cli:cli", "Detect, crop, remove backgrounds, drop ages."),
        "synth": Entry("synth.cli:cli", "Render demo people; balance classes with synthetic masks and ages."),
        "train": Entry("train.cli:cli", "Train, evaluate, compare versions, report.", _PREPARE_TRAINING),
    },
    "Tools": {
        "app": Entry("facecurate.app:app", "Open the review app in the browser."),
        "settings": Entry("facecurate.stage_settings:settings", "Check settings for several stages at once."),
        "weights": Entry("pipeline.cli:cli weights", "List the model files and their licences."),
        "completion": Entry("facecurate.completion:completion", "Print the completion script of a shell."),
    },
}


@click.group(cls=LazyGroup, table=TABLE, context_settings={"max_content_width": 110})
@click.version_option(__version__, prog_name="facecurate")
def cli() -> None:
    """Curate a data set of labelled face photos: find errors, correct, clean, rebalance, train, compare.

    \b
    facecurate doctor PHOTOS
    facecurate app

    Versions are kept in $WORKSPACE (default: workspace/). Add --help to any command to see what it takes.
    """


def main() -> None:
    """Run `facecurate` as a program."""
    if _needs_toolkit(sys.argv[1:]):
        resolve(RUN)(cli)
    else:
        cli()


def _needs_toolkit(words: list[str]) -> bool:
    """Return whether `words` name a command that works with data; help, version and completion need click only."""
    entries = {name: entry for section in TABLE.values() for name, entry in section.items()}
    return bool(words) and words[0] in entries and not entries[words[0]].target.startswith(_CLICK_ONLY)
