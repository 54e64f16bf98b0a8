"""Consensus of several annotators: rules, a log that apply takes, cleanlab, the commands."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests.agreement.consensus import decide, to_corrections, write_log
from data_manifests.agreement.crowdlab import most_likely
from data_manifests.agreement.labels import ADJUDICATION, AnnotatedLabel, annotated_labels, conflicts, read_sources
from data_manifests.cli.main import cli
from data_manifests.corrections.apply import apply_to_store
from data_manifests.corrections.log import read_corrections
from data_manifests.corrections.record import Correction, problem_of
from data_manifests.errors import ConfigError, CorrectionError
from data_manifests.versions.store import Store
from tests.support.annotator_logs import CUTS, Row, event, labels_of, log
from tests.support.manifest_tables import column, manifest, photo

# -- consensus --------------------------------------------------------------------------------------------------


def by_three(row: Row, what: str, old: str, *new: str, **values: str) -> list[Correction]:
    return [event(row, what, old, value, by, **values) for value, by in zip(new, ("ann", "bob", "cid"), strict=False)]


def test_rules(tmp_path: Path) -> None:
    rows = [photo(f"p{i}") for i in range(4)]
    labels = labels_of(
        tmp_path,
        *by_three(rows[0], "mask", "none", "worn", "worn", "worn"),
        *by_three(rows[1], "mask", "none", "worn", "worn", "none"),
        *by_three(rows[2], "mask", "none", "worn", "incorrect", "none"),
        *by_three(rows[3], "mask", "none", "worn", "none"),
        event(rows[3], "mask", "none", "none", "dan", 2, note=f"{ADJUDICATION} x"),
    )
    values = {
        rule: [one.value for one in decide(labels, rule, CUTS, adjudicator="dan" if rule == "adjudicator" else "")]
        for rule in ("unanimous", "majority", "adjudicator")
    }
    assert values["unanimous"] == ["worn", "", "", ""]
    assert values["majority"] == ["worn", "worn", "", ""]
    assert values["adjudicator"] == ["worn", "", "", "none"]
    assert [one.value for one in decide(labels, "adjudicator", CUTS, adjudicator="bob")] == [
        "worn", "worn", "incorrect", "none",
    ]  # fmt: skip
    for message, wrong in (
        (r"rule must be one of \{unanimous, .*\}\. Got 'loudest'", {"rule": "loudest"}),
        ("needs the name of the person who decides: --adjudicator NAME", {"rule": "adjudicator"}),
        ("is allowed with the rule adjudicator only. Got rule 'majority'", {"rule": "majority", "adjudicator": "dan"}),
        ("cleanlab's categories are needed for the rule cleanlab", {"rule": "cleanlab"}),
    ):
        with pytest.raises(ConfigError, match=message):
            decide(labels, cuts=CUTS, **wrong)


@pytest.mark.parametrize(
    ("new", "value"),
    [
        (["61", "63", "class:2"], "61"),
        (["61", "64", "70"], "64"),
        (["class:2", "class:2"], "class:2"),
        (["59", "60"], ""),
    ],
)
def test_ages_in_one_class_agree(tmp_path: Path, new: list[str], value: str) -> None:
    labels = labels_of(tmp_path, *by_three(photo("p"), "age", "25", *new, scope="person"))
    assert [one.value for one in decide(labels, "unanimous", CUTS)] == [value]


def apply_consensus(
    store: Store, ref: str, labels: list[AnnotatedLabel], rule: str, adjudicator: str = ""
) -> tuple[pa.Table, dict[str, int]]:
    """Write the consensus and apply it alone; return the table and the outcomes."""
    path = store.workspace / "consensus.csv"
    write_log(path, to_corrections(decide(labels, rule, CUTS, adjudicator=adjudicator), rule, adjudicator))
    version, report = apply_to_store(store, ref, [path], seed=0)
    return store.read(version.ref).table, {name: count for name, count in report.counts.items() if count}


def test_the_consensus_is_a_log_that_apply_takes(store: Store) -> None:
    rows = [photo(f"p{i}") for i in range(3)]
    pinned = store.write("faces", manifest(rows), "test").pinned
    logs = store.workspace / "log.csv"
    records = [
        *by_three(rows[0], "mask", "none", "worn", "worn", "none", manifest=pinned),
        *by_three(rows[1], "gender", "male", "female", "male", manifest=pinned, scope="person"),
        *by_three(rows[2], "age", "25", "25", "25", manifest=pinned, scope="person"),
    ]
    corrections = read_corrections([log(logs, *records)])
    assert apply_to_store(store, "faces", [logs], seed=0)[1].counts["conflict"] == 5
    labels = annotated_labels(corrections, read_sources(store, corrections)[0])
    table, counts = apply_consensus(store, "faces", labels, "majority")
    assert counts == {"applied": 1, "already": 1}
    assert [column(table, "mask")[row["sample_id"]] for row in rows] == ["worn", "none", "none"]
    assert set(table["gender"].to_pylist()) == {"male"}  # ann and bob differ: open
    first = (store.workspace / "consensus.csv").read_bytes()
    _, counts = apply_consensus(store, "faces", labels, "majority")
    assert (store.workspace / "consensus.csv").read_bytes() == first
    assert counts == {"already": 2}
    signed = read_corrections([store.workspace / "consensus.csv"]).to_pylist()
    assert {row["annotator"] for row in signed} == {"consensus:majority"}
    assert "2 of 3; ann: worn; bob: worn; cid: none" in [row["note"] for row in signed]


def test_a_person_waits_for_a_picture_that_is_open_and_follows_one_that_is_settled(store: Store) -> None:
    a, b = photo("p"), photo("p", "mask1")
    pinned = store.write("faces", manifest([a, b]), "test").pinned
    records = [
        event(a, "gender", "male", "female", "ann", 1, scope="person", manifest=pinned),
        event(b, "gender", "male", "male", "bob", 2, manifest=pinned),
    ]
    corrections = read_corrections([log(store.workspace / "a.csv", *records)])
    labels = annotated_labels(corrections)
    assert [(one.value, one.reason) for one in decide(labels, "unanimous", CUTS)] == [
        ("", f"waits for gender of {b['sample_id']}"), ("", "annotations differ"),
    ]  # fmt: skip
    ruling = event(b, "gender", "male", "male", "dan", 3, note=f"{ADJUDICATION} x", manifest=pinned)
    corrections = read_corrections([log(store.workspace / "a.csv", ruling)])
    table, counts = apply_consensus(store, "faces", annotated_labels(corrections), "adjudicator", "dan")
    assert counts == {"applied": 1, "already": 1}
    assert column(table, "gender") == {a["sample_id"]: "female", b["sample_id"]: "male"}


def test_the_consensus_applies_to_the_version_of_the_annotators_and_to_a_later_one(store: Store) -> None:
    row = photo("p")
    first = store.write("faces", manifest([row]), "test")
    one = event(row, "mask", "none", "worn", "ann", 1, manifest=first.pinned)
    second, _ = apply_to_store(store, "faces", [log(store.workspace / "ann.csv", one)], seed=0)
    two = [
        event(row, "mask", "worn", "incorrect", "bob", 2, manifest=second.pinned),
        event(row, "mask", "worn", "incorrect", "dan", 3, manifest=second.pinned, note=f"{ADJUDICATION} x"),
    ]
    log(store.workspace / "bob.csv", *two)
    corrections = read_corrections([store.workspace / "ann.csv", store.workspace / "bob.csv"])
    labels = annotated_labels(corrections)
    for ref in ("faces@1", "faces@2"):
        table, counts = apply_consensus(store, ref, labels, "adjudicator", "dan")
        assert counts == {"applied": 1, "superseded": 1}
        assert table["mask"].to_pylist() == ["incorrect"]


VALUES = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", "cid", "dan"]),
        st.integers(0, 3),  # photo
        st.sampled_from(["gender", "mask", "exclude"]),
        st.integers(0, 2),  # number of the value, 0 withdraws
        st.booleans(),  # scope person
        st.integers(1, 9),
    ),
    max_size=14,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(VALUES)
def test_a_consensus_has_no_conflicts_and_writes_the_decisions(
    drawn: list[tuple[str, int, str, int, bool, int]],
) -> None:
    rows = [photo("p"), photo("p", "mask1"), photo("q"), photo("q", "mask1")]
    values = {"gender": ["", "male", "female"], "mask": ["", "none", "worn"], "exclude": ["", "true", "false"]}
    old = {"gender": "male", "exclude": "false"}
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        version = store.write("faces", manifest(rows), "test")
        records = [
            event(
                rows[i], what, old.get(what) or rows[i]["mask"], values[what][value], by, day,
                scope="person" if wide and what != "mask" else "sample", manifest=version.pinned,
            )
            for by, i, what, value, wide, day in drawn
        ]  # fmt: skip
        if not records:
            return
        corrections = read_corrections([log(Path(folder) / "log.csv", *records)])
        labels = annotated_labels(corrections)
        decisions = decide(labels, "majority", CUTS)
        made = to_corrections(decisions, "majority")
        assert [problem_of(record) for record in made] == [""] * len(made)
        write_log(Path(folder) / "c.csv", made)
        after, report = apply_to_store(store, "faces", [Path(folder) / "c.csv"], seed=0)
        assert report.counts["conflict"] == report.counts["unplaced"] == 0
        table = store.read(after.ref).table
        for one in decisions:
            if one.value and one.label.scope == "sample" and one.label.field != "exclude":
                assert column(table, one.label.field)[one.label.sample_id] == one.value
        undecided = {row["sample_id"] for row in rows} - {one.label.sample_id for one in decisions if one.value}
        people = {one.label.person_id for one in decisions if one.value and one.label.scope == "person"}
        before = manifest(rows)
        for row in rows:
            if row["sample_id"] in undecided and row["person_id"] not in people:
                for name in ("gender", "mask", "status"):
                    assert column(table, name)[row["sample_id"]] == column(before, name)[row["sample_id"]]


def test_an_annotators_log_is_not_overwritten(tmp_path: Path) -> None:
    mine = log(tmp_path / "ann.csv", event(photo("p"), "mask", "none", "worn", "ann"))
    before = mine.read_bytes()
    with pytest.raises(CorrectionError, match="is an annotator's log, not a consensus"):
        write_log(mine, [])
    assert mine.read_bytes() == before


# -- cleanlab ---------------------------------------------------------------------------------------------------


def test_cleanlab_weights_annotators_and_the_audit(store: Store) -> None:
    """Ann is right, bob guesses: where they differ and audit doubts bob's label, hers is taken."""
    rng = np.random.default_rng(0)
    truth = ["male", "female"] * 20
    rows = [
        photo(f"p{i:02d}", gender="male", gender_label_score=0.95 if truth[i] == "male" else 0.05,
              suggested_gender=None if truth[i] == "male" else "female")
        for i in range(40)
    ]  # fmt: skip
    pinned = store.write("faces", manifest(rows), "test").pinned
    bob = [str(value) for value in rng.choice(["male", "female"], 40)]
    records = [
        event(row, "gender", "male", value, by, scope="person", manifest=pinned)
        for by, values in (("ann", truth), ("bob", bob))
        for row, value in zip(rows, values, strict=True)
    ]
    labels = annotated_labels(read_corrections([log(store.workspace / "log.csv", *records)]))
    assert len(conflicts(labels, CUTS)) > 10
    answers = most_likely(store, labels, CUTS)
    assert answers == truth
    assert [one.value for one in decide(labels, "cleanlab", CUTS, most_likely=answers)] == truth


def test_cleanlab_without_scores_names_the_command_to_run(store: Store) -> None:
    pinned = store.write("faces", manifest([photo("p")]), "test").pinned
    records = by_three(photo("p"), "gender", "male", "male", "female", manifest=pinned)
    labels = annotated_labels(read_corrections([log(store.workspace / "log.csv", *records)]))
    with pytest.raises(
        CorrectionError, match="Use --rule majority, or score the version first: facecurate audit run faces@1"
    ):
        most_likely(store, labels, CUTS)


# -- commands ---------------------------------------------------------------------------------------------------


def test_commands(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    rows = [photo(f"p{i}") for i in range(3)]
    pinned = store.write("faces", manifest(rows), "test").pinned
    files = []
    for by, new in (("ann", ["worn", "none", "none"]), ("bob", ["worn", "worn", "none"])):
        records = [event(row, "mask", "none", value, by, manifest=pinned) for row, value in zip(rows, new, strict=True)]
        files.append(str(log(store.workspace / f"{by}.csv", *records)))
    output = CliRunner().invoke(cli, ["agreement", *files], catch_exceptions=False).output
    assert "3 labels annotated, 3 by two or more: 2 agree (66.7 %)" in output
    assert "ann and bob: 2 of 3 agree (66.7 %), Cohen's kappa 0.400" in output
    assert f"mask of {rows[1]['sample_id']}: ann: none; bob: worn" in output
    out = store.workspace / "consensus.csv"
    following = f"next: facecurate consensus {' '.join(files)} --rule majority --out {out}"
    assert output.endswith(f"3 labels annotated, 1 conflicts, 0 of them adjudicated\n{following}\n")
    output = CliRunner().invoke(cli, ["consensus", *files, "--rule", "unanimous", "--out", str(out)]).output
    following = f"next: facecurate apply faces {out}"
    assert output.endswith(f"consensus.csv: 2 labels decided (unanimous), 1 open\n{following}\n")
    assert f"open: mask of {rows[1]['sample_id']}: ann: none; bob: worn (annotations differ)" in output
    _, report = apply_to_store(store, "faces", [out], seed=0)
    assert (report.counts["applied"], report.counts["already"]) == (1, 1)
    failed = CliRunner().invoke(cli, ["agreement", str(out)])
    assert isinstance(failed.exception, ConfigError)
    assert "is a consensus log; leave it out." in str(failed.exception)


def test_a_broken_line_is_reported_and_the_rest_counts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    path = log(store.workspace / "ann.csv", event(photo("p"), "mask", "none", "worn", "ann"))
    path.write_text(path.read_text() + "torn")
    output = CliRunner().invoke(cli, ["agreement", str(path)], catch_exceptions=False).output
    assert "ann.csv line 3 is left out: must have 14 cells" in output
    assert "no version that the logs name; using the default age cuts 30,60" in output
    following = f"next: facecurate apply faces {path}"
    assert output.endswith(f"1 labels annotated, 0 conflicts, 0 of them adjudicated\n{following}\n")
