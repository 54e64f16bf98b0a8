"""Audited people, their rows and logs, for tests of the Grid page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curation_app.annotations.log_files import log_path
from curation_app.images.manifest_rows import ManifestRows, load_manifest_rows
from curation_app.tiles.actions import relabel_actions
from data_manifests.corrections.annotator_log import AnnotatorLog
from data_manifests.corrections.log import read_corrections
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.store import Store
from tests.support.app_server import write_people

AUDITED = {"gender_label_score": 0.9, "age_label_score": 0.9, "mask_label_score": 0.9, "audit_rank": 1}
ACTIONS = {action.name: action for action in relabel_actions(AgeCuts())}


def audited_people(store: Store, number: int = 6, **wrong: dict[str, Any]) -> ManifestRows:
    """Write a version of drawn people with audit scores. `wrong` replaces columns, by person or person_shot."""
    known = {name.replace("_", "/"): values for name, values in wrong.items()}
    all_people = {f"p{at:03d}": AUDITED | known.get(f"p{at:03d}", {}) for at in range(number)}
    return load_manifest_rows(store, write_people(store, number, known | all_people).ref)


def annotator_log(store: Store, version_rows: ManifestRows, annotator: str = "Kim") -> AnnotatorLog:
    """Return an annotator's log as a new server reads it."""
    own = AnnotatorLog(log_path(store, version_rows.version, annotator))
    own.refresh()
    return own


def rows_of(version_rows: ManifestRows, *names: str) -> list[dict[str, Any]]:
    """Return rows by person/shot."""
    rows = {f"{row['person_id']}/{row['shot']}": row for row in version_rows.table.to_pylist()}
    return [rows[name] for name in names]


def logs(store: Store) -> list[Path]:
    """Return all correction logs of the workspace."""
    return sorted((store.workspace / "corrections").glob("*/*.csv"))


def saved_values(store: Store) -> list[tuple[str, ...]]:
    """Return person, scope, field, old and new value of each correction in the logs, none of which may be broken."""
    found = read_corrections(logs(store)).to_pylist()
    assert [one["problem"] for one in found if one["problem"]] == []
    return [(one["person_id"], one["scope"], one["field"], one["old"], one["new"]) for one in found]
