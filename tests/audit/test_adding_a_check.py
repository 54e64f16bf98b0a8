"""Adding an audit check: one module, which is this file, and one row of the table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner

from audit.checks import (
    AuditData,
    Check,
    Issue,
    check_names,
    complete_weights,
    find_check,
    load_checks,
    table,
    validate_table,
)
from audit.cli import cli
from audit.run import run_audit
from audit.settings import AuditSettings
from data_manifests.errors import ConfigError
from data_manifests.export import export
from data_manifests.versions import Store
from data_manifests.versions.content_hash import table_sha256
from tests.conftest import write_photos

DOCS = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "audit.md"


# -- the module of the check -----------------------------------------------------------------------------------------
MIN_PIXELS = 64 * 64


def score(data: AuditData) -> np.ndarray:
    """Return the share of MIN_PIXELS that each photo (P,) has, at most 1."""
    pixels = data.rows["width_px"].to_numpy() * data.rows["height_px"].to_numpy()
    return np.minimum(pixels / MIN_PIXELS, 1.0)


def columns(data: AuditData) -> dict[str, np.ndarray]:
    """Return `x_resolution_score` (P,)."""
    return {"x_resolution_score": data.scores["resolution"]}


def issues(data: AuditData) -> Iterator[Issue]:
    """Yield one issue per photo with too few pixels."""
    for position in np.flatnonzero(data.scores["resolution"] < 1).tolist():
        yield Issue([position], 1.0, "fewer pixels than a usable photo")


# -- its row ---------------------------------------------------------------------------------------------------------
ROW = Check("resolution", __name__, ("x_resolution_score",), 0.4, "low resolution")


def add_row(monkeypatch: pytest.MonkeyPatch, row: Check) -> None:
    monkeypatch.setattr(table, "CHECKS", (*table.CHECKS, row))


@pytest.fixture
def audited(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The summary of `audit run --json` on four photos, with the check added."""
    add_row(monkeypatch, ROW)
    version = write_photos(store, tmp_path / "photos", 4)
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    shown = CliRunner().invoke(
        cli, ["run", version.ref, "--json", "executor=serial", "values.resolution=9"], catch_exceptions=False
    )
    assert shown.exit_code == 0
    summary: dict[str, object] = json.loads(shown.stdout)
    return summary


def test_the_check_is_in_columns_queue_report_and_summary(store: Store, audited: dict[str, object]) -> None:
    written = store.read(str(audited["ref"]))
    photos = written.table.to_pandas()
    assert photos["x_resolution_score"].between(0, 1, inclusive="left").all()
    for types, reasons, probabilities in zip(
        photos["issue_types"], photos["issue_reasons"], photos["issue_probabilities"], strict=True
    ):
        assert set(types) == {"quality", "resolution"}
        assert "low resolution · fewer pixels than a usable photo" in set(reasons)
        assert len(probabilities) == 2
    assert (
        photos["audit_reason"]
        .str.contains("low resolution · fewer pixels than a usable photo (1.00)", regex=False)
        .all()
    )
    queue = pd.read_csv(str(audited["queue"]))
    assert (queue["kind"] == "resolution").sum() == 4
    assert queue["expected_value"].iloc[0] >= 9  # the weight, changed by a setting
    page = Path(str(audited["report"])).read_text("utf8")
    assert "<td>low resolution" in page
    assert page.count('<span class="kind">low resolution</span>') == 4
    assert written.version.parameters["values"]["resolution"] == 9
    counts = audited["issues"]
    assert isinstance(counts, dict)
    assert list(counts) == [*(check.name for check in table.CHECKS)]
    assert counts["resolution"] == {"label": "low resolution", "likely": 4, "expected": 4.0}


def test_the_summary_has_counts_and_paths(store: Store, audited: dict[str, object]) -> None:
    assert (audited["rows"], audited["photos"], audited["new_photos"], audited["people"]) == (4, 4, 4, 4)
    assert audited["ledger"] == dict(store.version(str(audited["ref"])).ledger)
    assert audited["duplicate_groups"] == 0
    assert any("not checked: gender (" in note for note in audited["notes"])  # type: ignore[attr-defined]


INCOMPLETE = {
    "no weight": (replace(ROW, weight=None), "must have a weight of 0 or more. Got None instead"),
    "no label": (replace(ROW, label=""), "has no label"),
    "no column": (replace(ROW, columns=()), "writes no column"),
    "unknown column": (replace(ROW, columns=("resolution_score",)), "column 'resolution_score' is not in the manifest"),
    "column of another": (replace(ROW, columns=("blur_score",)), "which belongs to check 'quality'"),
    "no module": (replace(ROW, module="audit.checks.resolution"), "'audit.checks.resolution', which does not exist"),
    "same name": (replace(ROW, name="age"), "occurs twice"),
}


@pytest.mark.parametrize("case", INCOMPLETE)
def test_an_incomplete_row_is_refused_before_a_picture_is_read(
    case: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, problem = INCOMPLETE[case]
    ref = write_photos(store, tmp_path / "photos", 1).ref
    add_row(monkeypatch, row)
    with pytest.raises(ConfigError, match=re.escape(problem)) as raised:
        run_audit(store.read(ref), store, AuditSettings())
    assert not (store.workspace / "cache").exists()
    assert f"audit check {row.name!r} in audit/checks/table.py" in str(raised.value)


@pytest.mark.parametrize("function", ["score", "columns", "issues"])
def test_a_module_without_a_function_is_refused(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    add_row(monkeypatch, ROW)
    monkeypatch.delitem(globals(), function)
    with pytest.raises(ConfigError, match=f"'resolution' in audit/checks/table.py is incomplete: define {function} in"):
        load_checks()


def test_other_columns_than_those_of_the_row_are_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_row(monkeypatch, replace(ROW, columns=("x_other",)))
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    ref = write_photos(store, tmp_path / "photos", 2).ref
    with pytest.raises(ConfigError, match="names the columns x_other; its module writes x_resolution_score"):
        CliRunner().invoke(cli, ["run", ref, "executor=serial"], catch_exceptions=False)


def test_an_unknown_check_is_refused_with_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"audit check must be one of \{gender, age, mask.*audit/checks/table.py"):
        find_check("smile")
    with pytest.raises(ConfigError, match=r"must be one of \{gender, age, mask.*Got 'smile'"):
        complete_weights({"smile": 1.0})


def test_the_old_name_of_the_identity_check_is_read() -> None:
    assert complete_weights({"stranger": 3.0}) == table.default_weights() | {"identity": 3.0}


def test_every_check_is_complete() -> None:
    validate_table()
    assert [check.row.name for check in load_checks()] == check_names()


def test_the_page_shows_this_check() -> None:
    block = re.search(r"```python\n# audit/checks/resolution.py\n(.*?)```", DOCS.read_text("utf8"), re.DOTALL)
    assert block
    source = Path(__file__).read_text("utf8")
    for part in re.split(
        r"\n{2,}(?=def |MIN_)", block[1].split("from audit.checks import AuditData, Issue\n")[1].strip()
    ):
        assert part.strip() in source


def test_an_issue_column_survives_the_file(store: Store, audited: dict[str, object]) -> None:
    table_ = store.read(str(audited["ref"])).table
    assert table_.schema.field("issue_types").type == pa.list_(pa.string())
    assert table_.schema.field("issue_probabilities").type == pa.list_(pa.float32())


def test_list_columns_are_hashed_by_value_and_exported_as_text(
    store: Store, audited: dict[str, object], tmp_path: Path
) -> None:
    audited_version = store.read(str(audited["ref"]))
    whole = audited_version.table
    shuffled = pa.concat_tables([whole.slice(2), whole.slice(0, 2)])
    assert table_sha256(shuffled) == table_sha256(whole)
    for name, other in {"issue_types": ["mask"], "issue_probabilities": [0.5], "issue_reasons": None}.items():
        at = whole.column_names.index(name)
        values = pa.array([other, *whole[name].to_pylist()[1:]], whole[name].type)
        assert table_sha256(whole.set_column(at, name, values)) != table_sha256(whole)
    export(store, str(audited["ref"]), "csv", tmp_path / "csv")
    labels = pd.read_csv(tmp_path / "csv" / "labels.csv")
    assert set(labels["issue_types"]) <= {"quality; resolution", "resolution; quality"}
