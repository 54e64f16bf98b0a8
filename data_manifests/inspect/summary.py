"""Summaries of versions and rows as text lines for a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.labels import TASKS, UNKNOWN, has_all_tasks, label_codes, label_names, missing_labels_text
from data_manifests.schema import STATUSES, USABLE
from data_manifests.taxonomy import GENDERS, MASKS, N_AGE_CLASSES, AgeCuts
from data_manifests.versions import Manifest, Version, count_values


def log_lines(versions: Sequence[Version], tags: Mapping[str, int]) -> list[str]:
    """Return one line per version: reference, time, hash, rows, operation, parents, tags."""
    lines = []
    for version in versions:
        own = [tag for tag, number in tags.items() if number == version.number]
        parents = f" from {', '.join(version.parents)}" if version.parents else ""
        mark = f"  [{', '.join(own)}]" if own else ""
        time = version.created[:16].replace("T", " ")
        content = f"{version.content_hash[:8]}  {version.rows:>9,} rows  {version.operation}"
        lines.append(f"{version.ref:12} {time}  {content}{parents}{mark}")
    return lines


def version_lines(manifest: Manifest, tags: Mapping[str, int]) -> list[str]:
    """Return history, ledger, people, splits and label counts of a version."""
    version, table = manifest.version, manifest.table
    own = [tag for tag, number in tags.items() if number == version.number]
    parameters = ", ".join(f"{name}={value}" for name, value in version.parameters.items())
    facts = {
        "version": f"{version.ref}  {version.content_hash[:16]}  {version.created}",
        "tags": ", ".join(own),
        "made by": version.operation + (f" ({parameters})" if parameters else ""),
        "seed": "" if version.seed is None else str(version.seed),
        "from": ", ".join(version.parents),
        "rows": f"{table.num_rows:,}: " + ", ".join(f"{name} {version.ledger.get(name, 0):,}" for name in STATUSES),
        "people": f"{pc.count_distinct(table.column('person_id')).as_py():,}",
        "synthetic": f"{count_values(table, 'is_synthetic').get('True', 0):,}",
        "splits": ", ".join(f"{name} {count:,}" for name, count in count_values(table, "split").items()),
    }
    lines = [f"{name:10} {value}" for name, value in facts.items() if value]
    return [*lines, "", *class_lines(manifest)]


def class_lines(manifest: Manifest) -> list[str]:
    """Return the usable rows of each label and, if a row has all three labels, of the 18 classes.

    `manifest` needs the columns status, mask, gender, age and age_class.
    """
    usable = manifest.table.filter(pc.is_in(manifest.table.column("status"), pa.array(USABLE)))
    lines = [f"{'usable':10} {_rows(usable.num_rows)}"]
    lines += [f"{task:10} {_task_counts(usable, task, manifest.cuts)}" for task in TASKS]
    if not has_all_tasks(usable):
        return lines
    if missing := missing_labels_text(usable):
        lines.append(f"no class   {missing}")
    return [*lines, "", *_class_table(manifest)]


def _rows(count: int) -> str:
    return f"{count:,} {'row' if count == 1 else 'rows'}"


def _task_counts(usable: pa.Table, task: str, cuts: AgeCuts) -> str:
    """Return the rows of each label of a task as text, for ages with the youngest and the oldest."""
    names, codes = label_names(task, cuts), label_codes(usable, task)
    counts = np.bincount(codes[codes != UNKNOWN], minlength=len(names)).tolist()
    unknown = len(codes) - sum(counts)
    if not sum(counts):
        return "unknown in all rows"
    parts = [f"{name} {count:,}" for name, count in zip(names, counts, strict=True)]
    text = ", ".join([*parts, *([f"unknown {unknown:,}"] if unknown else [])])
    years = pc.min_max(usable.column("age")).as_py() if task == "age" else {"min": None}
    return text if years["min"] is None else f"{text}; from {years['min']} to {years['max']} years"


def _class_table(manifest: Manifest) -> list[str]:
    """Return the usable rows of the 18 classes: one line per mask and gender, one column per age class."""
    counts, ages = manifest.version.classes, manifest.cuts.names
    lines = [f"{'usable':18}" + "".join(f"{age:>10}" for age in ages)]
    for m, mask in enumerate(MASKS):
        for g, gender in enumerate(GENDERS):
            cells = [counts.get(str(m * 6 + g * 3 + age), 0) for age in range(N_AGE_CLASSES)]
            lines.append(f"{mask:10}{gender:8}" + "".join(f"{cell:>10,}" for cell in cells))
    return lines


def split_lines(table: pa.Table) -> list[str]:
    """Return one line per split: its people and rows."""
    lines = []
    for name, rows in count_values(table, "split").items():
        people = pc.count_distinct(table.column("person_id").filter(pc.equal(table.column("split"), name))).as_py()
        lines.append(f"{name:6} {people:>7,} people {rows:>9,} rows")
    return lines


def row_lines(table: pa.Table, most: int) -> list[str]:
    """Return one line per row, at most `most`: id, path, labels, status, reason."""
    columns = ("sample_id", "path", "mask", "gender", "age", "status", "reason")
    rows = table.select(columns).slice(0, most).to_pylist()
    lines = []
    for row in rows:
        labels = " ".join("-" if row[name] is None else str(row[name]) for name in ("mask", "gender", "age"))
        reason = f"  {row['reason']}" if row["reason"] else ""
        lines.append(f"{row['sample_id']}  {row['path']}  {labels}  {row['status']}{reason}")
    more = table.num_rows - len(rows)
    return lines + ([f"… and {more:,} more; use --limit to list them"] if more > 0 else [])


def failure_lines(table: pa.Table, most: int = 8) -> list[str]:
    """Return the reasons of failed rows grouped by kind: the number of rows and the first row of each kind.

    Two reasons are of one kind if they differ only in quoted values and numbers.
    """
    failed = table.filter(pc.equal(table.column("status"), "failed")).select(["path", "reason"]).to_pylist()
    kinds: dict[str, list[str]] = {}
    for row in failed:
        kind = re.sub(r"'[^']*'|\d+", "…", row["reason"])
        kinds.setdefault(kind, []).append(f"{row['path']}: {row['reason']}")
    ranked = sorted(kinds.values(), key=len, reverse=True)
    lines = [f"{len(rows):7,} × {rows[0]}" for rows in ranked[:most]]
    rest = sum(map(len, ranked[most:]))
    if lines:
        lines.insert(0, f"{len(failed):,} of {table.num_rows:,} rows failed. First row of each kind of reason:")
    return lines + ([f"{rest:7,} × other reasons"] if rest else [])
