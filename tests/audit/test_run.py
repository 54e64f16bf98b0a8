"""From a manifest to its audited version, report and queue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner

from audit.checks import check_names
from audit.cli import cli
from audit.run import Audit, run_audit
from audit.settings import AuditSettings
from data_manifests.errors import BackendError, ConfigError
from data_manifests.versions.store import Store
from pipeline.faces.mean_shape import fit_mean_shape
from tests.conftest import write_photos

SETTINGS = AuditSettings(executor="serial")


def with_landmarks(store: Store, count: int, folder: Path) -> str:
    """Drawn pictures whose 'faces' are given, so that no detector runs."""
    version = write_photos(store, folder, count)
    points = np.array([[15, 24], [33, 24], [24, 36], [17, 46], [31, 46]], np.float32)
    shape = fit_mean_shape(points).ravel().tolist()
    table = store.read(version.ref).table
    column = table.column_names.index("landmarks_xy")
    table = table.set_column(column, "landmarks_xy", pa.array([shape] * count, table.schema.field(column).type))
    return store.write("drawn", table, "landmarks", parents=[version]).ref


def audit(store: Store, ref: str) -> Audit:
    return run_audit(store.read(ref), store, SETTINGS)


def test_a_second_run_describes_no_photo_and_a_new_photo_only_itself(store: Store, tmp_path: Path) -> None:
    first = audit(store, with_landmarks(store, 24, tmp_path / "a"))
    again = audit(store, first.version.parents[0].split("#")[0])
    assert (first.data.features.reused, again.data.features.reused) == (0, 24)
    assert again.version == first.version
    more = audit(store, with_landmarks(store, 25, tmp_path / "b"))
    assert more.data.features.reused == 24


def test_what_is_written(store: Store, tmp_path: Path) -> None:
    done = audit(store, with_landmarks(store, 24, tmp_path / "a"))
    table = store.read(done.version.ref).table.to_pandas()
    assert table["blur_score"].between(0, 1).all()
    assert table["gender_label_score"].between(0, 1).all()
    assert sorted(table["audit_rank"]) == list(range(1, 25))  # each is a person of its own
    assert table["identity_score"].isna().all()
    page = (done.folder / "audit.html").read_text("utf8")
    assert "not checked: identity (no photo shares a person with another" in page
    assert "not checked: mask (" in page
    listed = pd.read_csv(done.folder / "queue.csv", dtype={"person_id": str})
    assert listed["rank"].is_monotonic_increasing
    assert set(listed["kind"]) <= set(check_names())


def test_photos_without_a_face_are_reported_and_the_rest_goes_on(store: Store, tmp_path: Path) -> None:
    version = write_photos(store, tmp_path / "a", 4)  # coloured squares: no face in them
    done = audit(store, version.ref)
    reasons = store.read(done.version.ref).table.column("audit_reason").to_pylist()
    assert all("no face found" in reason for reason in reasons)
    assert any("not checked: gender (0 male" in note for note in done.data.notes)
    assert any("not checked: age (0 people" in note for note in done.data.notes)


def test_names_are_escaped_in_the_report(store: Store, tmp_path: Path) -> None:
    version = write_photos(store, tmp_path / "a", 3)
    table = store.read(version.ref).table
    people = pa.array(["<script>x</script>"] * 3)
    table = table.set_column(table.column_names.index("person_id"), "person_id", people)
    done = audit(store, store.write("drawn", table, "rename", parents=[version]).ref)
    page = (done.folder / "audit.html").read_text("utf8")
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page


def test_a_photo_with_two_issues_shows_both_and_a_mask_that_its_shot_does_not_imply(
    store: Store, tmp_path: Path
) -> None:
    version = write_photos(store, tmp_path / "a", 3)
    table = store.read(version.ref).table
    twice = pa.array([table["sha256"][0].as_py()] * 2 + [table["sha256"][2].as_py()])
    masks = pa.array(["worn", "none", "none"])  # all are shots 'normal'
    for name, column in {"sha256": twice, "mask": masks, "class_id": pa.nulls(3, pa.int32())}.items():
        table = table.set_column(table.column_names.index(name), name, column.cast(table.schema.field(name).type))
    (tmp_path / "a" / "p001.png").write_bytes((tmp_path / "a" / "p000.png").read_bytes())
    page = (audit(store, store.write("drawn", table, "twin", parents=[version]).ref).folder / "audit.html").read_text()
    assert page.count("<b>duplicate, quality</b>") == 3  # the card of the first shows the duplicate of the second too
    assert page.count("normal · worn<b>") == 1
    assert page.count(">normal<b>") == 2
    assert page.count(": normal<b>") == 1


def test_an_unknown_describer_names_the_choices(store: Store, tmp_path: Path) -> None:
    version = write_photos(store, tmp_path / "a", 2)
    with pytest.raises(BackendError, match=r"describer must be one of \{dlib_layers"):
        run_audit(store.read(version.ref), store, AuditSettings(describer="oracle"))


@pytest.mark.slow
def test_the_command(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = with_landmarks(store, 22, tmp_path / "a")
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    words = ["run", ref, "--jobs", "1", "--tag", "audited", "report_people=2", "values.quality=0"]
    shown = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert shown.exit_code == 0
    assert "22 photos described, 22 of them new" in shown.output
    assert store.version("drawn@audited").operation == "audit"
    with pytest.raises(ConfigError, match="setting must be one of"):
        CliRunner().invoke(cli, ["run", ref, "descriptor=x"], catch_exceptions=False)
