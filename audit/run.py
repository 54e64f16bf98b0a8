"""The audit of a manifest: look, score, put in order, write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from audit.features import describe_rows
from audit.settings import AuditSettings
from data_manifests.errors import StageError
from data_manifests.versions import Manifest, Store, Version, write_atomic

if TYPE_CHECKING:
    from audit.checks import Findings


@dataclass(frozen=True)
class Audit:
    """What came of an audit."""

    version: Version
    folder: Path
    found: Findings
    queue: pd.DataFrame
    ranked: pd.DataFrame

    def lines(self) -> list[str]:
        """For people: what was found, and where to read about it."""
        likely = self.queue[self.queue["probability"] >= 0.5]
        counts = ", ".join(f"{kind} {count}" for kind, count in likely["kind"].value_counts().items()) or "none"
        looked = len(self.found.rows)
        return [
            *(f"note: {note}" for note in self.found.notes),
            f"{looked} photos looked at, {looked - self.found.features.reused} of them new; likely issues: {counts}",
            f"report: {self.folder / 'audit.html'}; queue: {self.folder / 'queue.csv'}",
        ]


def run_audit(
    manifest: Manifest, store: Store, settings: AuditSettings, out: Path | None = None, predictions: Path | None = None
) -> Audit:
    """Audit a manifest, write the next version, `audit.html` and `queue.csv`. `out` defaults to audit/NAME-N below the
    workspace; `predictions` is a table as in audit/scoring/run_predictions.py. Raises StageError if no row
    has a picture that can be read.
    """
    from audit.scoring import read_predictions

    said = read_predictions(predictions, manifest.table.column("sample_id").to_pylist()) if predictions else None
    features = describe_rows(manifest.table, settings, store)
    if not len(features.rows):
        raise StageError(
            f"{manifest.version.ref} has no picture that can be read; see: python -m data_manifests verify REF"
        )
    # not before: SciPy and scikit-learn hold 80 MB, which must not lie beside the workers' models
    from audit.checks import find, list_issues, photo_rows
    from audit.results import add_columns, queue, rank_people, write_report

    rows = photo_rows(manifest.table, features)
    found = find(rows, features, manifest.cuts, settings, said.take(features.rows) if said else None)
    issues = list_issues(found)
    ranked = rank_people(issues, manifest.table.column("person_id").to_pandas(), settings.values)
    ordered = queue(issues, ranked)
    version = store.write(
        manifest.version.name,
        add_columns(manifest.table, found, ordered, ranked),
        "audit",
        parents=[manifest.version],
        parameters=settings.model_dump(exclude={"jobs", "executor", "report_people"})
        | ({"predictions_sha256": said.sha256} if said else {}),
        seed=settings.seed,
    )
    folder = out or store.workspace / "audit" / f"{version.name}-{version.number}"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "queue.csv", ordered.to_csv(index=False, float_format="%.4f").encode())
    write_report(folder / "audit.html", version, found, ordered, ranked, manifest.cuts, store, settings.report_people)
    return Audit(version, folder, found, ordered, ranked)
