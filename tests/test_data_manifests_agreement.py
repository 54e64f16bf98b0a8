"""Several annotators: units, overlap, kappas, conflicts, and consensus logs that `apply` takes."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests.agreement import (
    ADJUDICATION,
    Unit,
    agreement,
    cohen_kappa,
    conflicts,
    find_units,
    fleiss_kappa,
    read_sources,
)
from data_manifests.apply import apply_to_store
from data_manifests.cli import cli
from data_manifests.consensus import decide, to_corrections, write_log
from data_manifests.corrections import Correction, append_corrections, problem_of, read_corrections
from data_manifests.crowd import likeliest
from data_manifests.errors import ConfigError, CorrectionError
from data_manifests.store import Store
from data_manifests.taxonomy import AgeCuts
from tests.manifest_tables import column, crop, manifest, photo, synthetic

CUTS = AgeCuts()
Row = dict[str, Any]

# Fleiss (1971), Psychological Bulletin 76, table 1: six psychiatrists on 30 patients, five diagnoses.
FLEISS_1971 = """
00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031
00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006
"""


def said(row: Row, what: str, old: str, new: str, by: str, day: int = 1, **values: str) -> Correction:
    """A record about a photo's row, or with scope="person" about its person."""
    made = {"scope": "sample", "manifest": "faces@1#00000000", "time": f"2026-11-{day:02d}T12:00:00+00:00"}
    return Correction(
        sample_id=row["sample_id"], person_id=row["person_id"], field=what, old=old, new=new, annotator=by,
        **made | values,
    )  # fmt: skip


def log(path: Path, *records: Correction) -> Path:
    append_corrections(path, records)
    return path


def units_of(tmp_path: Path, *records: Correction) -> list[Unit]:
    return find_units(read_corrections([log(tmp_path / "log.csv", *records)]))


def words(unit: Unit) -> dict[str, str]:
    return {name: word.value for name, word in unit.words.items()}


# -- kappas -----------------------------------------------------------------------------------------------------


def test_fleiss_published_example() -> None:
    counts = np.array([[int(digit) for digit in row] for row in FLEISS_1971.split()])
    assert counts.shape == (30, 5)
    assert counts.sum(0).tolist() == [26, 26, 30, 55, 43]
    assert fleiss_kappa(counts) == pytest.approx(0.430, abs=5e-4)


def test_cohen_published_example() -> None:
    """Cohen (1960), table 1, in 200ths: 0.70 observed, 0.41 by chance."""
    table = np.array([[88, 10, 2], [14, 40, 6], [18, 10, 12]])
    a = np.repeat([0, 1, 2], table.sum(1))
    b = np.concatenate([np.repeat([0, 1, 2], row) for row in table])
    assert cohen_kappa(a, b) == pytest.approx(0.492, abs=5e-4)


def test_kappas_where_chance_agrees_fully_are_not_defined() -> None:
    assert np.isnan(fleiss_kappa(np.array([[0, 3], [0, 2]])))
    assert np.isnan(cohen_kappa(np.array([1, 1]), np.array([1, 1])))
    assert np.isnan(cohen_kappa(np.array([], int), np.array([], int)))
    assert np.isnan(fleiss_kappa(np.zeros((0, 3), int)))


@settings(deadline=None)  # scikit-learn takes its time to load
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_cohen_is_the_one_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    from sklearn.metrics import cohen_kappa_score

    a, b = np.array(pairs).T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of dividing by zero, whose answer is nan there too
        assert cohen_kappa(a, b) == pytest.approx(cohen_kappa_score(a, b), nan_ok=True)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=30))
def test_kappas_are_one_exactly_where_all_agree(pairs: list[tuple[int, int]]) -> None:
    codes = np.array(pairs)
    counts = np.stack([(codes == k).sum(1) for k in range(3)], axis=1)
    kappas = [cohen_kappa(codes[:, 0], codes[:, 1]), fleiss_kappa(counts)]
    agree = bool((codes[:, 0] == codes[:, 1]).all())
    for kappa in kappas:
        assert np.isnan(kappa) or (kappa == pytest.approx(1.0)) == agree
        assert np.isnan(kappa) or kappa <= 1 + 1e-9


# -- units ------------------------------------------------------------------------------------------------------


def test_an_accepted_label_is_a_word_and_unsure_is_none(tmp_path: Path) -> None:
    row = photo("p")
    [unit] = units_of(
        tmp_path,
        said(row, "mask", "none", "none", "ann"),
        said(row, "mask", "none", "worn", "bob"),
        said(row, "unsure", "false", "true", "cid"),
    )
    assert (unit.field, unit.scope, unit.sample_id, words(unit)) == (
        "mask", "sample", row["sample_id"], {"ann": "none", "bob": "worn"},
    )  # fmt: skip
    assert conflicts([unit], CUTS) == [unit]


def test_the_latest_word_counts_and_an_empty_one_takes_it_back(tmp_path: Path) -> None:
    row = photo("p")
    [unit] = units_of(
        tmp_path,
        said(row, "gender", "male", "female", "ann", 2, scope="person"),
        said(row, "gender", "male", "male", "ann", 3, scope="person"),
        said(row, "gender", "male", "female", "bob", 1, scope="person"),
        said(row, "gender", "male", "", "bob", 4, scope="person"),
    )
    assert words(unit) == {"ann": "male"}


def test_a_word_about_a_person_counts_on_each_picture_that_was_named(tmp_path: Path) -> None:
    a, b = photo("p"), photo("p", "mask1")
    of_person, of_photo = units_of(
        tmp_path,
        said(a, "gender", "male", "female", "ann", 1, scope="person"),
        said(b, "gender", "male", "male", "bob", 2),
        said(b, "gender", "male", "male", "cid", 1),
        said(b, "gender", "male", "female", "cid", 3, scope="person"),
    )
    assert (of_person.scope, words(of_person)) == ("person", {"ann": "female", "cid": "female"})
    assert (of_photo.sample_id, words(of_photo)) == (b["sample_id"], {"ann": "female", "bob": "male", "cid": "female"})


def test_words_about_a_photo_and_its_crop_meet_but_a_synthetic_picture_has_its_own(store: Store) -> None:
    a = photo("p")
    version = store.write("faces", manifest([a, crop(a), synthetic(a)]), "test")
    pinned = {"manifest": version.pinned}
    path = store.workspace / "log.csv"
    records = [
        said(a, "mask", "none", "worn", "ann", **pinned),
        said(crop(a), "mask", "none", "none", "bob", **pinned),
        said(synthetic(a), "mask", "worn", "incorrect", "bob", **pinned),
    ]
    corrections = read_corrections([log(path, *records)])
    sources, cuts = read_sources(store, corrections)
    assert cuts == CUTS
    found = sorted(len(unit.words) for unit in find_units(corrections, sources))
    assert found == [1, 2]
    assert sorted(len(unit.words) for unit in find_units(corrections)) == [1, 1, 1]


def test_versions_with_other_age_cuts_cannot_be_compared(store: Store) -> None:
    pins = []
    for name, cuts in (("a", CUTS), ("b", AgeCuts(45, 60))):
        pins.append(store.write(name, manifest([photo("p")], cuts), "test", cuts=cuts).pinned)
    records = [said(photo("p"), "age", "25", "25", "ann", manifest=pin) for pin in pins]
    with pytest.raises(CorrectionError, match=r"30,60 in a@1, 45,60 in b@1"):
        read_sources(store, read_corrections([log(store.workspace / "log.csv", *records)]))


def test_agreement_counts(tmp_path: Path) -> None:
    rows = [photo(f"p{i}") for i in range(4)]
    units = units_of(
        tmp_path,
        *(said(row, "age", "25", age, "ann") for row, age in zip(rows, ["25", "29", "61", "40"], strict=True)),
        *(said(row, "age", "25", age, "bob") for row, age in zip(rows, ["26", "31", "class:2"], strict=False)),
        said(rows[0], "age", "25", "60", "cid"),
    )
    found = agreement(units, "age", CUTS)
    assert (found.units, found.shared, found.same) == (4, 3, 1)  # p2: 61 is class:2
    assert found.words == {"ann": 4, "bob": 3, "cid": 1}
    assert [(pair.a, pair.b, pair.shared, pair.same) for pair in found.pairs] == [
        ("ann", "bob", 3, 2), ("ann", "cid", 1, 0), ("bob", "cid", 1, 0),
    ]  # fmt: skip
    # ann 0 0 2, bob 0 1 2: observed 2/3; by chance (2·1 + 0·1 + 1·1)/9 = 1/3
    assert found.pairs[0].kappa == pytest.approx(0.5)
    # rows (2,0,1) (1,1,0) (0,0,2): observed (1/3 + 0 + 1)/3; shares 3/7, 1/7, 3/7
    chance = (9 + 1 + 9) / 49
    assert found.fleiss == pytest.approx((4 / 9 - chance) / (1 - chance))


def test_an_adjudication_is_no_independent_word(tmp_path: Path) -> None:
    row = photo("p")
    records = [
        said(row, "mask", "none", "worn", "ann"),
        said(row, "mask", "none", "none", "bob"),
        said(row, "mask", "none", "none", "ann", 2, note=f"{ADJUDICATION} ann: worn; bob: none"),
    ]
    [unit] = units_of(tmp_path, *records)
    assert words(unit) == {"ann": "worn", "bob": "none"}
    assert unit.decisions["ann"].value == "none"
    assert agreement([unit], "mask", CUTS).same == 0
    [unit] = units_of(tmp_path / "again", *records, said(row, "mask", "none", "", "ann", 3))
    assert (words(unit), unit.decisions) == ({"bob": "none"}, {})


# -- consensus --------------------------------------------------------------------------------------------------


def said_by_three(row: Row, what: str, old: str, *new: str, **values: str) -> list[Correction]:
    return [said(row, what, old, word, by, **values) for word, by in zip(new, ("ann", "bob", "cid"), strict=False)]


def test_rules(tmp_path: Path) -> None:
    rows = [photo(f"p{i}") for i in range(4)]
    units = units_of(
        tmp_path,
        *said_by_three(rows[0], "mask", "none", "worn", "worn", "worn"),
        *said_by_three(rows[1], "mask", "none", "worn", "worn", "none"),
        *said_by_three(rows[2], "mask", "none", "worn", "incorrect", "none"),
        *said_by_three(rows[3], "mask", "none", "worn", "none"),
        said(rows[3], "mask", "none", "none", "dan", 2, note=f"{ADJUDICATION} x"),
    )
    values = {
        rule: [one.value for one in decide(units, rule, CUTS, adjudicator="dan" if rule == "adjudicator" else "")]
        for rule in ("unanimous", "majority", "adjudicator")
    }
    assert values["unanimous"] == ["worn", "", "", ""]
    assert values["majority"] == ["worn", "worn", "", ""]
    assert values["adjudicator"] == ["worn", "", "", "none"]
    assert [one.value for one in decide(units, "adjudicator", CUTS, adjudicator="bob")] == [
        "worn", "worn", "incorrect", "none",
    ]  # fmt: skip
    for message, wrong in (
        (r"rule must be one of \{unanimous, .*\}\. Got 'loudest'", {"rule": "loudest"}),
        ("needs the name of whoever decides: --adjudicator NAME", {"rule": "adjudicator"}),
        ("belongs to the rule adjudicator. Got rule 'majority'", {"rule": "majority", "adjudicator": "dan"}),
        ("cleanlab's categories belong to the rule cleanlab", {"rule": "cleanlab"}),
    ):
        with pytest.raises(ConfigError, match=message):
            decide(units, cuts=CUTS, **wrong)


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
    units = units_of(tmp_path, *said_by_three(photo("p"), "age", "25", *new, scope="person"))
    assert [one.value for one in decide(units, "unanimous", CUTS)] == [value]


def apply_consensus(
    store: Store, ref: str, units: list[Unit], rule: str, adjudicator: str = ""
) -> tuple[pa.Table, dict[str, int]]:
    """Write the consensus and apply it alone; the table after it and what became of its records."""
    path = store.workspace / "consensus.csv"
    write_log(path, to_corrections(decide(units, rule, CUTS, adjudicator=adjudicator), rule, adjudicator))
    version, report = apply_to_store(store, ref, [path], seed=0)
    return store.read(version.ref).table, {name: count for name, count in report.counts.items() if count}


def test_the_consensus_is_a_log_that_apply_takes(store: Store) -> None:
    rows = [photo(f"p{i}") for i in range(3)]
    pinned = store.write("faces", manifest(rows), "test").pinned
    logs = store.workspace / "log.csv"
    records = [
        *said_by_three(rows[0], "mask", "none", "worn", "worn", "none", manifest=pinned),
        *said_by_three(rows[1], "gender", "male", "female", "male", manifest=pinned, scope="person"),
        *said_by_three(rows[2], "age", "25", "25", "25", manifest=pinned, scope="person"),
    ]
    corrections = read_corrections([log(logs, *records)])
    assert apply_to_store(store, "faces", [logs], seed=0)[1].counts["conflict"] == 5
    units = find_units(corrections, read_sources(store, corrections)[0])
    table, counts = apply_consensus(store, "faces", units, "majority")
    assert counts == {"applied": 1, "already": 1}
    assert [column(table, "mask")[row["sample_id"]] for row in rows] == ["worn", "none", "none"]
    assert set(table["gender"].to_pylist()) == {"male"}  # ann and bob differ: open
    first = (store.workspace / "consensus.csv").read_bytes()
    _, counts = apply_consensus(store, "faces", units, "majority")
    assert (store.workspace / "consensus.csv").read_bytes() == first
    assert counts == {"already": 2}
    signed = read_corrections([store.workspace / "consensus.csv"]).to_pylist()
    assert {row["annotator"] for row in signed} == {"consensus:majority"}
    assert "2 of 3; ann: worn; bob: worn; cid: none" in [row["note"] for row in signed]


def test_a_person_waits_for_a_picture_that_is_open_and_follows_one_that_is_settled(store: Store) -> None:
    a, b = photo("p"), photo("p", "mask1")
    pinned = store.write("faces", manifest([a, b]), "test").pinned
    records = [
        said(a, "gender", "male", "female", "ann", 1, scope="person", manifest=pinned),
        said(b, "gender", "male", "male", "bob", 2, manifest=pinned),
    ]
    corrections = read_corrections([log(store.workspace / "a.csv", *records)])
    units = find_units(corrections)
    assert [(one.value, one.why) for one in decide(units, "unanimous", CUTS)] == [
        ("", f"waits for gender of {b['sample_id']}"), ("", "words differ"),
    ]  # fmt: skip
    ruling = said(b, "gender", "male", "male", "dan", 3, note=f"{ADJUDICATION} x", manifest=pinned)
    corrections = read_corrections([log(store.workspace / "a.csv", ruling)])
    table, counts = apply_consensus(store, "faces", find_units(corrections), "adjudicator", "dan")
    assert counts == {"applied": 1, "already": 1}
    assert column(table, "gender") == {a["sample_id"]: "female", b["sample_id"]: "male"}


def test_the_consensus_applies_to_the_version_that_they_began_with_and_to_a_later_one(store: Store) -> None:
    row = photo("p")
    first = store.write("faces", manifest([row]), "test")
    one = said(row, "mask", "none", "worn", "ann", 1, manifest=first.pinned)
    second, _ = apply_to_store(store, "faces", [log(store.workspace / "ann.csv", one)], seed=0)
    two = [
        said(row, "mask", "worn", "incorrect", "bob", 2, manifest=second.pinned),
        said(row, "mask", "worn", "incorrect", "dan", 3, manifest=second.pinned, note=f"{ADJUDICATION} x"),
    ]
    log(store.workspace / "bob.csv", *two)
    corrections = read_corrections([store.workspace / "ann.csv", store.workspace / "bob.csv"])
    units = find_units(corrections)
    for ref in ("faces@1", "faces@2"):
        table, counts = apply_consensus(store, ref, units, "adjudicator", "dan")
        assert counts == {"applied": 1, "superseded": 1}
        assert table["mask"].to_pylist() == ["incorrect"]


WORDS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", "cid", "dan"]),
        st.integers(0, 3),  # photo
        st.sampled_from(["gender", "mask", "exclude"]),
        st.integers(0, 2),  # which value, the first taking back
        st.booleans(),  # scope person
        st.integers(1, 9),
    ),
    max_size=14,
)


@settings(deadline=None, max_examples=40)
@given(WORDS)
def test_a_consensus_never_conflicts_and_writes_what_was_decided(
    drawn: list[tuple[str, int, str, int, bool, int]],
) -> None:
    rows = [photo("p"), photo("p", "mask1"), photo("q"), photo("q", "mask1")]
    values = {"gender": ["", "male", "female"], "mask": ["", "none", "worn"], "exclude": ["", "true", "false"]}
    old = {"gender": "male", "exclude": "false"}
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        version = store.write("faces", manifest(rows), "test")
        records = [
            said(
                rows[i], what, old.get(what) or rows[i]["mask"], values[what][word], by, day,
                scope="person" if wide and what != "mask" else "sample", manifest=version.pinned,
            )
            for by, i, what, word, wide, day in drawn
        ]  # fmt: skip
        if not records:
            return
        corrections = read_corrections([log(Path(folder) / "log.csv", *records)])
        units = find_units(corrections)
        decisions = decide(units, "majority", CUTS)
        made = to_corrections(decisions, "majority")
        assert [problem_of(record) for record in made] == [""] * len(made)
        write_log(Path(folder) / "c.csv", made)
        after, report = apply_to_store(store, "faces", [Path(folder) / "c.csv"], seed=0)
        assert report.counts["conflict"] == report.counts["unplaced"] == 0
        table = store.read(after.ref).table
        for one in decisions:
            if one.value and one.unit.scope == "sample" and one.unit.field != "exclude":
                assert column(table, one.unit.field)[one.unit.sample_id] == one.value
        silent = {row["sample_id"] for row in rows} - {one.unit.sample_id for one in decisions if one.value}
        people = {one.unit.person_id for one in decisions if one.value and one.unit.scope == "person"}
        before = manifest(rows)
        for row in rows:
            if row["sample_id"] in silent and row["person_id"] not in people:
                for name in ("gender", "mask", "status"):
                    assert column(table, name)[row["sample_id"]] == column(before, name)[row["sample_id"]]


def test_nobodys_log_is_written_over(tmp_path: Path) -> None:
    mine = log(tmp_path / "ann.csv", said(photo("p"), "mask", "none", "worn", "ann"))
    before = mine.read_bytes()
    with pytest.raises(CorrectionError, match="nobody's log is written over"):
        write_log(mine, [])
    assert mine.read_bytes() == before


# -- cleanlab ---------------------------------------------------------------------------------------------------


def test_cleanlab_weighs_annotators_and_the_audit(store: Store) -> None:
    """Ann is right, bob guesses: where they differ and audit doubts bob's label, hers is taken."""
    rng = np.random.default_rng(0)
    truth = ["male", "female"] * 20
    rows = [
        photo(f"p{i:02d}", gender="male", gender_label_score=0.95 if truth[i] == "male" else 0.05,
              suggested_gender=None if truth[i] == "male" else "female")
        for i in range(40)
    ]  # fmt: skip
    pinned = store.write("faces", manifest(rows), "test").pinned
    bob = [str(word) for word in rng.choice(["male", "female"], 40)]
    records = [
        said(row, "gender", "male", word, by, scope="person", manifest=pinned)
        for by, said_words in (("ann", truth), ("bob", bob))
        for row, word in zip(rows, said_words, strict=True)
    ]
    units = find_units(read_corrections([log(store.workspace / "log.csv", *records)]))
    assert len(conflicts(units, CUTS)) > 10
    answers = likeliest(store, units, CUTS)
    assert answers == truth
    assert [one.value for one in decide(units, "cleanlab", CUTS, likeliest=answers)] == truth


def test_cleanlab_without_scores_says_what_to_run(store: Store) -> None:
    pinned = store.write("faces", manifest([photo("p")]), "test").pinned
    records = said_by_three(photo("p"), "gender", "male", "male", "female", manifest=pinned)
    units = find_units(read_corrections([log(store.workspace / "log.csv", *records)]))
    with pytest.raises(CorrectionError, match="python -m audit run REF"):
        likeliest(store, units, CUTS)


# -- commands ---------------------------------------------------------------------------------------------------


def test_commands(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    rows = [photo(f"p{i}") for i in range(3)]
    pinned = store.write("faces", manifest(rows), "test").pinned
    files = []
    for by, new in (("ann", ["worn", "none", "none"]), ("bob", ["worn", "worn", "none"])):
        records = [said(row, "mask", "none", word, by, manifest=pinned) for row, word in zip(rows, new, strict=True)]
        files.append(str(log(store.workspace / f"{by}.csv", *records)))
    told = CliRunner().invoke(cli, ["agreement", *files], catch_exceptions=False).output
    assert "3 labels judged, 3 by two or more: 2 alike (66.7 %)" in told
    assert "ann and bob: 2 of 3 alike (66.7 %), Cohen's kappa 0.400" in told
    assert f"mask of {rows[1]['sample_id']}: ann: none; bob: worn" in told
    assert told.endswith("3 labels judged, 1 conflicts, 0 of them adjudicated\n")
    out = store.workspace / "consensus.csv"
    told = CliRunner().invoke(cli, ["consensus", *files, "--rule", "unanimous", "--out", str(out)]).output
    assert told.endswith("consensus.csv: 2 labels decided (unanimous), 1 open\n")
    assert f"open: mask of {rows[1]['sample_id']}: ann: none; bob: worn (words differ)" in told
    _, report = apply_to_store(store, "faces", [out], seed=0)
    assert (report.counts["applied"], report.counts["already"]) == (1, 1)
    failed = CliRunner().invoke(cli, ["agreement", str(out)])
    assert isinstance(failed.exception, ConfigError)
    assert "is a consensus, not an annotator's log" in str(failed.exception)


def test_a_broken_line_is_told_and_the_rest_counts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    path = log(store.workspace / "ann.csv", said(photo("p"), "mask", "none", "worn", "ann"))
    path.write_text(path.read_text() + "torn")
    told = CliRunner().invoke(cli, ["agreement", str(path)], catch_exceptions=False).output
    assert "ann.csv line 3 is left out: must have 12 cells" in told
    assert "no version that the logs name is in this workspace: age cuts 30,60 are taken" in told
    assert told.endswith("1 labels judged, 0 conflicts, 0 of them adjudicated\n")
