"""Several annotators: labels, overlap, kappas, conflicts, and consensus logs that `apply` takes."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests.agreement.kappa import agreement, cohen_kappa, fleiss_kappa
from data_manifests.agreement.labels import ADJUDICATION, annotated_labels, conflicts, read_sources
from data_manifests.corrections.log import read_corrections
from data_manifests.errors import CorrectionError
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.store import Store
from tests.support.annotator_logs import CUTS, event, labels_of, log, values_of
from tests.support.manifest_tables import crop, manifest, photo, synthetic

# Fleiss (1971), Psychological Bulletin 76, table 1: six psychiatrists on 30 patients, five diagnoses.
FLEISS_1971 = """
00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031
00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006
"""


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


def test_kappas_are_not_defined_where_agreement_by_chance_is_complete() -> None:
    assert np.isnan(fleiss_kappa(np.array([[0, 3], [0, 2]])))
    assert np.isnan(cohen_kappa(np.array([1, 1]), np.array([1, 1])))
    assert np.isnan(cohen_kappa(np.array([], int), np.array([], int)))
    assert np.isnan(fleiss_kappa(np.zeros((0, 3), int)))


@settings(deadline=None)  # scikit-learn takes its time to load
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_cohen_equals_scikit_learn(pairs: list[tuple[int, int]]) -> None:
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


# -- labels ------------------------------------------------------------------------------------------------------


def test_a_confirmed_label_is_an_annotation_and_unsure_is_not(tmp_path: Path) -> None:
    row = photo("p")
    [label] = labels_of(
        tmp_path,
        event(row, "mask", "none", "none", "ann"),
        event(row, "mask", "none", "worn", "bob"),
        event(row, "unsure", "false", "true", "cid"),
    )
    assert (label.field, label.scope, label.sample_id, values_of(label)) == (
        "mask", "sample", row["sample_id"], {"ann": "none", "bob": "worn"},
    )  # fmt: skip
    assert conflicts([label], CUTS) == [label]


def test_the_latest_annotation_counts_and_an_empty_one_withdraws_it(tmp_path: Path) -> None:
    row = photo("p")
    [label] = labels_of(
        tmp_path,
        event(row, "gender", "male", "female", "ann", 2, scope="person"),
        event(row, "gender", "male", "male", "ann", 3, scope="person"),
        event(row, "gender", "male", "female", "bob", 1, scope="person"),
        event(row, "gender", "male", "", "bob", 4, scope="person"),
    )
    assert values_of(label) == {"ann": "male"}


def test_an_annotation_of_a_person_counts_for_each_picture_with_records(tmp_path: Path) -> None:
    a, b = photo("p"), photo("p", "mask1")
    of_person, of_photo = labels_of(
        tmp_path,
        event(a, "gender", "male", "female", "ann", 1, scope="person"),
        event(b, "gender", "male", "male", "bob", 2),
        event(b, "gender", "male", "male", "cid", 1),
        event(b, "gender", "male", "female", "cid", 3, scope="person"),
    )
    assert (of_person.scope, values_of(of_person)) == ("person", {"ann": "female", "cid": "female"})
    assert (of_photo.sample_id, values_of(of_photo)) == (
        b["sample_id"],
        {"ann": "female", "bob": "male", "cid": "female"},
    )


def test_annotations_of_a_photo_and_its_crop_meet_but_a_synthetic_picture_has_its_own(store: Store) -> None:
    a = photo("p")
    version = store.write("faces", manifest([a, crop(a), synthetic(a)]), "test")
    pinned = {"manifest": version.pinned}
    path = store.workspace / "log.csv"
    records = [
        event(a, "mask", "none", "worn", "ann", **pinned),
        event(crop(a), "mask", "none", "none", "bob", **pinned),
        event(synthetic(a), "mask", "worn", "incorrect", "bob", **pinned),
    ]
    corrections = read_corrections([log(path, *records)])
    sources, cuts = read_sources(store, corrections)
    assert cuts == CUTS
    found = sorted(len(label.annotations) for label in annotated_labels(corrections, sources))
    assert found == [1, 2]
    assert sorted(len(label.annotations) for label in annotated_labels(corrections)) == [1, 1, 1]


def test_versions_with_other_age_cuts_cannot_be_compared(store: Store) -> None:
    pins = []
    for name, cuts in (("a", CUTS), ("b", AgeCuts(45, 60))):
        pins.append(store.write(name, manifest([photo("p")], cuts), "test", cuts=cuts).pinned)
    records = [event(photo("p"), "age", "25", "25", "ann", manifest=pin) for pin in pins]
    with pytest.raises(CorrectionError, match=r"30,60 in a@1, 45,60 in b@1"):
        read_sources(store, read_corrections([log(store.workspace / "log.csv", *records)]))


def test_agreement_counts(tmp_path: Path) -> None:
    rows = [photo(f"p{i}") for i in range(4)]
    labels = labels_of(
        tmp_path,
        *(event(row, "age", "25", age, "ann") for row, age in zip(rows, ["25", "29", "61", "40"], strict=True)),
        *(event(row, "age", "25", age, "bob") for row, age in zip(rows, ["26", "31", "class:2"], strict=False)),
        event(rows[0], "age", "25", "60", "cid"),
    )
    found = agreement(labels, "age", CUTS)
    assert (found.labels, found.shared, found.same) == (4, 3, 1)  # p2: 61 is class:2
    assert found.annotated == {"ann": 4, "bob": 3, "cid": 1}
    assert [(pair.a, pair.b, pair.shared, pair.same) for pair in found.pairs] == [
        ("ann", "bob", 3, 2), ("ann", "cid", 1, 0), ("bob", "cid", 1, 0),
    ]  # fmt: skip
    # ann 0 0 2, bob 0 1 2: observed 2/3; by chance (2·1 + 0·1 + 1·1)/9 = 1/3
    assert found.pairs[0].kappa == pytest.approx(0.5)
    # rows (2,0,1) (1,1,0) (0,0,2): observed (1/3 + 0 + 1)/3; shares 3/7, 1/7, 3/7
    chance = (9 + 1 + 9) / 49
    assert found.fleiss == pytest.approx((4 / 9 - chance) / (1 - chance))


def test_an_adjudication_is_not_an_independent_annotation(tmp_path: Path) -> None:
    row = photo("p")
    records = [
        event(row, "mask", "none", "worn", "ann"),
        event(row, "mask", "none", "none", "bob"),
        event(row, "mask", "none", "none", "ann", 2, note=f"{ADJUDICATION} ann: worn; bob: none"),
    ]
    [label] = labels_of(tmp_path, *records)
    assert values_of(label) == {"ann": "worn", "bob": "none"}
    assert label.adjudications["ann"].value == "none"
    assert agreement([label], "mask", CUTS).same == 0
    [label] = labels_of(tmp_path / "again", *records, event(row, "mask", "none", "", "ann", 3))
    assert (values_of(label), label.adjudications) == ({"bob": "none"}, {})
