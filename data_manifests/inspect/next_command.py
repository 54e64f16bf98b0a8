"""The command that most likely follows, from the state of a version: its splits, audit, crops and labels."""

from __future__ import annotations

import shlex

import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.labels import has_all_tasks, labelled_tasks
from data_manifests.schema import USABLE
from data_manifests.versions import Manifest

NEXT_COLUMNS = ("split", "status", "parent_id", "made_by", "audit_rank", "is_synthetic", "mask", "gender", "age_class")
"""The columns that `next_command` reads."""

APP = "facecurate app"


def next_command(manifest: Manifest, given: str = "") -> str:
    """Return the command after those that made a version: split, audit, review, then preprocess, balance and train.

    The version's table has at least `NEXT_COLUMNS`. `given` is the reference that the user gave: the path of a file
    stays, because its version need not be in this workspace.
    """
    version = manifest.version
    table = manifest.table.filter(pc.is_in(manifest.table["status"], pa.array(USABLE)))
    ref = shlex.quote(given if given.endswith(".parquet") else version.ref)
    if not table.num_rows:
        return f"facecurate show {ref} --status failed"
    if not pc.any(pc.equal(table["split"], "val")).as_py():  # none at all, or train and test only
        return f"facecurate split {ref}"
    if not labelled_tasks(table):
        return APP
    kept_crops = pc.any(pc.match_substring_regex(table["made_by"], "(^|; )crop:")).as_py()  # were crops before
    if kept_crops or not _is_empty(table, "parent_id"):
        is_unbalanced = has_all_tasks(table) and not pc.any(table["is_synthetic"]).as_py()
        return f"facecurate synth run {ref} --tag balanced" if is_unbalanced else f"facecurate train fit {ref}"
    if _is_empty(table, "audit_rank"):
        return f"facecurate audit run {ref} --tag photos"
    return f"facecurate preprocess run {ref} --tag preprocessed" if version.operation in ("apply", "split") else APP


def _is_empty(table: pa.Table, name: str) -> bool:
    return bool(table[name].null_count == table.num_rows)
