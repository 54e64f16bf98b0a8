"""The command that most likely follows a plan or a verification."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import join, quote

from data_manifests.inspect import APP
from data_manifests.labels import labelled_tasks
from data_manifests.versions import Manifest
from synth.plan import Plan, Verification


def after_nothing(manifest: Manifest) -> str:
    """Return the command after a version that cannot be balanced: training, or the app to label it."""
    return f"facecurate train fit {quote(manifest.version.ref)}" if labelled_tasks(manifest.table) else APP


def after_plan(ref: str, planned: Plan, words: Sequence[str]) -> str:
    """Return the command that runs a plan with its options and settings; training if nothing is to be made."""
    if planned.table.empty:
        return f"facecurate train fit {quote(ref)}"
    return join(["facecurate", "synth", "run", ref, *words])


def after_verification(ref: str, found: Verification) -> str:
    """Return the history of the first row with a problem; training if no row has one."""
    first = next((one.sample_id for one in found.findings if one.sample_id), None)
    if first:
        return f"facecurate lineage {quote(ref)} {first}"
    return f"facecurate {'synth run' if found.findings or not found.rows else 'train fit'} {quote(ref)}"
