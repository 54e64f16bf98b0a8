"""A workspace of version 0.1.0 opens: versions, hashes, tags, lineage, comparison, verification and correction logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from data_manifests.cli import cli
from data_manifests.corrections import apply_to_store
from data_manifests.inspect import DIFF_COLUMNS, diff, lineage, verify
from data_manifests.schema import BY_NAME, STATUSES, USABLE
from data_manifests.versions import Store, table_sha256
from tests.support.old_workspace import EXPECTED, copy_old_workspace, without_nan

OPEN = ("conflict", "unplaced")
VERSIONS: dict[str, dict[str, Any]] = EXPECTED["versions"]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A copy that no test changes."""
    return copy_old_workspace(tmp_path_factory.mktemp("old"))


def run(store: Store, *words: str) -> list[str]:
    """Run a command in a workspace and return the lines it prints, without the last one that names the next command."""
    result = CliRunner().invoke(cli, words, env={"WORKSPACE": str(store.workspace)}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return [line for line in result.stdout.splitlines() if not line.startswith("next: ")]


def test_names_and_tags(old: Store) -> None:
    assert old.names() == EXPECTED["names"]
    assert old.tags("faces") == EXPECTED["tags"]
    assert [version.ref for version in old.log("faces")] == list(VERSIONS)
    assert old.readable("faces") == (old.log("faces"), [])
    for tag, number in EXPECTED["tags"].items():
        assert old.version(f"faces@{tag}").number == number


@pytest.mark.parametrize("ref", VERSIONS)
def test_a_version_has_its_record(old: Store, ref: str) -> None:
    expected, version = VERSIONS[ref], old.version(ref)
    for name in ("number", "operation", "pinned", "parameters", "seed", "rows", "classes", "ledger", "created"):
        assert getattr(version, name) == expected[name], name
    assert list(version.parents) == expected["parents"]
    assert list(version.age_cuts) == expected["age_cuts"]
    assert version.content_hash == expected["content_hash"]
    assert old.version(f"faces@{version.content_hash[:12]}").content_hash == version.content_hash


@pytest.mark.parametrize("ref", VERSIONS)
def test_the_rows_of_a_version_have_their_values_and_their_hash(old: Store, ref: str) -> None:
    expected, table = VERSIONS[ref], old.read(ref).table
    assert table_sha256(table) == expected["content_hash"]
    present = {name: len(table) - table[name].null_count for name in table.column_names}
    assert {name: count for name, count in present.items() if count} == expected["values_by_column"]
    assert [name for name in table.column_names if name not in BY_NAME] == expected["own_columns"]
    left_out = [row for row in table.to_pylist() if row["status"] != "ok"]
    assert [{name: row[name] for name in ("sample_id", "status", "reason")} for row in left_out] == [
        {name: row[name] for name in ("sample_id", "status", "reason")} for row in expected["left_out"]
    ]
    assert sum(row["status"] not in USABLE for row in left_out) == sum(
        count for status, count in expected["ledger"].items() if status not in USABLE
    )
    if "rows_labels" in expected:
        labels = {
            row["sample_id"]: [row[name] for name in EXPECTED["rows_labels_columns"]] for row in table.to_pylist()
        }
        assert labels == expected["rows_labels"]


@pytest.mark.parametrize("ref", VERSIONS)
def test_the_files_of_a_version_are_as_recorded(old: Store, ref: str) -> None:
    found = verify(old, ref)
    expected = VERSIONS[ref]["verify"]
    assert (found.checked, found.without_hash) == (expected["checked"], expected["without_hash"])
    assert found.problems.to_pylist() == expected["problems"]


def test_scores_of_the_audit(old: Store) -> None:
    expected = EXPECTED["audit"]["columns"]
    table = old.read("faces@photos", list(expected[0])).table
    assert without_nan(table.to_pylist()) == expected


def test_the_lineage_of_a_synthetic_row(old: Store) -> None:
    expected = EXPECTED["lineage"]
    steps = lineage(old, expected["ref"], expected["sample_id"])
    assert [
        {
            "version": step.version.ref,
            "sample_id": step.row["sample_id"],
            "is_new_picture": step.is_new_image,
            "changes": {name: list(change) for name, change in step.changes.items()},
        }
        for step in steps
    ] == expected["steps"]
    lines = run(old, "lineage", expected["ref"], expected["sample_id"])
    assert [line.split()[0] for line in lines if line[0] != " "] == [step["version"] for step in expected["steps"]]


@pytest.mark.parametrize("pair", EXPECTED["diffs"])
def test_differences_of_versions(old: Store, pair: str) -> None:
    expected = EXPECTED["diffs"][pair]
    a, b = pair.split()
    found = diff(old.read(a, DIFF_COLUMNS).table, old.read(b, DIFF_COLUMNS).table)
    changed = {name: len(rows) for name, (rows, _) in found.changed.items() if len(rows)}
    assert changed == expected["changed"]
    assert (len(found.added), len(found.removed)) == (expected["added"], expected["removed"])
    printed = json.loads(run(old, "diff", a, b, "--json")[0])
    counts = {name: change["count"] for name, change in printed["changes"].items()}
    assert counts == changed | {name: expected[name] for name in ("added", "removed") if expected[name]}
    assert run(old, "diff", a, b)[0] == f"{old.version(a).ref} → {old.version(b).ref}"


def test_show_and_log_print_every_version(old: Store) -> None:
    lines = run(old, "log", "faces")
    assert [line.split()[0] for line in lines] == list(VERSIONS)
    for line, expected in zip(lines, VERSIONS.values(), strict=True):
        assert expected["content_hash"][:8] in line
        assert f"{expected['rows']} rows  {expected['operation']}" in line
    for ref, expected in VERSIONS.items():
        shown = run(old, "show", ref)
        counts = ", ".join(f"{name} {expected['ledger'].get(name, 0)}" for name in STATUSES)
        assert f"rows       {expected['rows']}: {counts}" in shown


def test_photos_ingested_again_are_the_first_version(tmp_path: Path) -> None:
    store = copy_old_workspace(tmp_path)
    photos = str(store.workspace / "photos" / "faces")
    lines = run(store, "ingest", photos, "--layout", "profiles", "--name", "faces")
    assert lines[-2] == f"nothing changed; tag photos stays at faces@{EXPECTED['tags']['photos']}"
    assert len(store.log("faces")) == len(VERSIONS)


def test_a_repeated_split_is_recognised(tmp_path: Path) -> None:
    store = copy_old_workspace(tmp_path)
    parameters = VERSIONS["faces@2"]["parameters"]["ratios"]
    ratios = ",".join(f"{name}={share}" for name, share in parameters.items())
    assert run(store, "split", "faces@1", "--ratios", ratios)[-1].startswith("faces@2: ")
    assert run(store, "split", "faces@3", "--ratios", ratios)[-1].startswith("faces@3: ")
    assert len(store.log("faces")) == len(VERSIONS)


def test_a_new_version_continues_the_numbers(tmp_path: Path) -> None:
    store = copy_old_workspace(tmp_path)
    parent = store.version("faces@agreed")
    table: pa.Table = store.read(parent.ref).table
    assert store.write("faces", table.slice(0, 10), "filter", parents=[parent]).ref == "faces@9"


@pytest.mark.parametrize("number", range(len(EXPECTED["apply"])))
def test_logs_are_applied_with_the_same_outcome(tmp_path: Path, number: int) -> None:
    expected = EXPECTED["apply"][number]
    store = copy_old_workspace(tmp_path)
    logs = [store.workspace / log for log in expected["logs"]]
    version, report = apply_to_store(store, expected["ref"], logs, seed=expected["seed"])
    assert dict(report.counts) == expected["counts"]
    assert report.rows_changed == expected["rows_changed"]
    result = {name: getattr(version, name) for name in expected["result"]}
    assert result == expected["result"]
    rows = report.table.to_pylist()
    for outcome, ids in expected["outcomes"].items():
        assert [row["correction_id"] for row in rows if row["outcome"] == outcome] == ids, outcome
    reported = [[row["file"], row["line"], row["outcome"]] for row in rows if row["detail"]]
    assert [line[:3] for line in expected["details"]] == [line for line in reported if line[2] in OPEN]
