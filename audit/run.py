"""The audit of a manifest: describe pictures, run the checks, rank people, write version, report and queue."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.checks import complete_weights
from audit.features import describe_rows
from audit.settings import AuditSettings
from data_manifests.errors import StageError
from data_manifests.files import csv_bytes
from data_manifests.splits import Leak, find_leaks, leak_note
from data_manifests.versions import Manifest, Store, Version, write_atomic
from pipeline.progress import announce
from pipeline.threads import one_thread

if TYPE_CHECKING:  # pandas takes a second to load: the first line of the progress comes before it
    import pandas as pd

    from audit.checks import AuditData
    from audit.predictions import LogOdds

LIKELY = 0.5  # an issue of this probability is more likely real than not


@dataclass(frozen=True)
class Audit:
    """The results of one audit.

    `queue` has one row per listed issue (queue.csv), `ranked` one row per person, `leaks` people and pictures in more
    than one split, and `folder` holds the report and the queue.
    """

    version: Version
    folder: Path
    data: AuditData
    queue: pd.DataFrame
    ranked: pd.DataFrame
    leaks: tuple[Leak, ...]

    @property
    def report_path(self) -> Path:
        """Return the path of the HTML report."""
        return self.folder / "audit.html"

    @property
    def queue_path(self) -> Path:
        """Return the path of the queue."""
        return self.folder / "queue.csv"

    @property
    def new_photos(self) -> int:
        """Return the number of photos that no earlier run had described."""
        return len(self.data.rows) - self.data.features.reused

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        likely = self.queue[self.queue["probability"] >= LIKELY]
        counts = ", ".join(f"{kind} {count}" for kind, count in likely["kind"].value_counts().items()) or "none"
        return [
            *(f"note: {note}" for note in self.data.notes),
            f"{len(self.data.rows):,} photos described, {self.new_photos:,} of them new; likely issues: {counts}",
            f"report: {self.report_path}; queue: {self.queue_path}",
        ]

    def summary(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        from audit.results import count_issues

        return {
            "ref": self.version.ref,
            "content_hash": self.version.content_hash,
            "rows": self.version.rows,
            "ledger": dict(self.version.ledger),
            "photos": len(self.data.rows),
            "new_photos": self.new_photos,
            "people": len(self.ranked),
            "issues": {row.pop("name"): row for row in count_issues(self.queue, self.data.skipped)},
            "not_checked": dict(self.data.skipped),
            "duplicate_groups": int((self.queue["kind"] == "duplicate").sum()),
            "leaks": [asdict(leak) for leak in self.leaks],
            "notes": list(self.data.notes),
            "report": str(self.report_path),
            "queue": str(self.queue_path),
        }


def run_audit(
    manifest: Manifest, store: Store, settings: AuditSettings, out: Path | None = None, predictions: Path | None = None
) -> Audit:
    """Audit a manifest; write the next version, `audit.html` and `queue.csv`.

    `out` defaults to audit/NAME-N in the workspace; `predictions` is a table as in audit/predictions.py. Raises
    StageError if no picture can be read, ConfigError for an unknown or incomplete check.
    """
    weights = complete_weights(settings.values)
    log_odds = _read_predictions(predictions, manifest) if predictions else None
    features = describe_rows(manifest.table, settings, store)
    if not len(features.rows):
        raise StageError(f"{manifest.version.ref} has no picture that can be read. Run: facecurate verify REF")
    announce("audit: comparing labels, people and pictures…")
    # After the workers have ended: SciPy and scikit-learn would hold 80 MB beside the workers' models.
    from audit.checks import list_issues, photo_rows, run_checks
    from audit.results import add_columns, order_issues, rank_people, write_report

    rows = photo_rows(manifest.table, features)
    with one_thread():  # the scores are part of the version
        data = run_checks(rows, features, manifest.cuts, settings, log_odds.take(features.rows) if log_odds else None)
        issues = list_issues(data)
    ranked = rank_people(issues, manifest.table.column("person_id").to_pandas(), weights)
    queue = order_issues(issues, ranked)
    table = add_columns(manifest.table, data, queue, ranked)
    leaks = find_leaks(table)
    version = store.write(
        manifest.version.name,
        table,
        "audit",
        parents=[manifest.version],
        parameters=settings.model_dump(exclude={"jobs", "executor", "report_people"})
        | {"values": weights}
        | ({"predictions_sha256": log_odds.sha256} if log_odds else {}),
        seed=settings.seed,
    )
    if leaks:  # the new version knows the near-duplicates
        review = "" if any(leak.kind == "person" for leak in leaks) else "review the duplicates, or "
        data.notes.append(f"{leak_note(leaks)}; {review}assign all again: facecurate split {version.ref} --reassign")
    folder = out or store.workspace / "audit" / f"{version.name}-{version.number}"
    audit = Audit(version, folder, data, queue, ranked, leaks)
    audit.folder.mkdir(parents=True, exist_ok=True)
    write_atomic(audit.queue_path, csv_bytes(queue, float_format="%.4f"))
    announce("audit: writing the report…")
    write_report(audit.report_path, version, data, queue, ranked, leaks, store, settings.report_people)
    return audit


def _read_predictions(path: Path, manifest: Manifest) -> LogOdds:
    from audit.predictions import read_predictions

    return read_predictions(path, manifest.table.column("sample_id").to_pylist())
