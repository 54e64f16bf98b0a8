"""Choice, order and actions of pictures without a browser: the photos shown, the corrections written, undo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation_app.annotations.log_files import correction
from curation_app.tiles.actions import (
    EXCLUDE,
    KEEP,
    SAME,
    accept_suggestions,
    action_records,
    confirm_labels,
    group_action_records,
    verdict,
)
from curation_app.tiles.selection import counts, in_order, labels_of, without_annotations
from data_manifests.corrections.annotator_log import AnnotatorLog
from data_manifests.corrections.log import read_corrections
from data_manifests.corrections.record import Correction
from data_manifests.errors import CorrectionError
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.metadata import Version
from data_manifests.versions.store import Store
from tests.support.audited_people import ACTIONS, annotator_log, audited_people, rows_of, saved_values

_SEEN = Version("people", 1, "ingest", content_hash="9f86d081" * 8)


def test_most_suspect_first_and_unscored_last(store: Store) -> None:
    version_rows = audited_people(
        store, 6, p000={"gender_label_score": 0.3}, p003={"gender_label_score": None, "age_label_score": 0.1}
    )
    labels = labels_of(version_rows)
    men = labels.shown & (labels.labelled["gender"] == 0)
    assert counts(labels.labelled["gender"], labels.shown, 2) == [28, 14]  # of three, two are male
    rows = in_order(labels, men, -labels.scores["gender"])
    order = list(dict.fromkeys(version_rows.column("person_id").take(pa.array(rows)).to_pylist()))
    assert order == ["p000", "p002", "p005", "p003"]
    by_age = in_order(
        labels, men, labels.suspicion(("mask", "gender", "age"))
    )  # of all labels together, the worst counts
    assert version_rows.column("person_id")[int(by_age[0])].as_py() == "p003"
    by_id = in_order(labels, men, None)
    assert version_rows.column("person_id").take(pa.array(by_id)).to_pylist() == sorted(
        version_rows.column("person_id").take(pa.array(by_id)).to_pylist()
    )


def test_unusable_photos_are_not_shown(store: Store) -> None:
    by_correction = {"status": "excluded", "reason": "apply: excluded by Kim"}
    version_rows = audited_people(
        store, 3, p000_normal={"status": "failed"}, p001_mask1=by_correction, p002_mask2={"status": "excluded"}
    )
    labels = labels_of(version_rows)
    assert int(labels.shown.sum()) == 21 - 3
    assert version_rows.records(np.flatnonzero(labels.rejected))[0]["shot"] == "mask1"  # a stage excluded the other one
    assert int(labels.rejected.sum()) == 1


def test_annotated_photos_can_be_hidden(store: Store) -> None:
    version_rows = audited_people(store, 3)
    own = annotator_log(store, version_rows)
    [row, other] = rows_of(version_rows, "p000/mask1", "p001/mask1")
    own.save("g00000001", action_records(ACTIONS["mask=none"], [row], version_rows.version, "Kim", own))
    own.save("g00000002", action_records(ACTIONS["gender=male"], [other], version_rows.version, "Kim", own))
    rows = np.arange(version_rows.table.num_rows)
    assert len(without_annotations(version_rows, rows, own, ("mask",))) == 20
    assert len(without_annotations(version_rows, rows, own, ("gender",))) == 14  # all seven of the person
    own.undo("g00000002")
    assert len(without_annotations(version_rows, rows, own, ("gender",))) == 21


def test_gender_is_recorded_per_person_and_mask_per_photo(store: Store) -> None:
    version_rows = audited_people(store, 3)
    own = annotator_log(store, version_rows)
    rows = rows_of(version_rows, "p000/normal", "p000/mask1", "p001/mask1")
    records = action_records(ACTIONS["gender=female"], rows, version_rows.version, "Kim", own)
    assert [(one.person_id, one.scope, one.old) for one in records] == [
        ("p000", "person", "male"),
        ("p001", "person", "female"),
    ]
    records = action_records(ACTIONS["mask=incorrect"], rows, version_rows.version, "Kim", own)
    assert [(one.sample_id, one.scope, one.old) for one in records] == [
        (rows[0]["sample_id"], "sample", "none"),
        (rows[1]["sample_id"], "sample", "worn"),
        (rows[2]["sample_id"], "sample", "worn"),
    ]
    assert {one.image_sha256 for one in records} == {row["sha256"] for row in rows}


def test_confirm_and_apply_suggestion(store: Store) -> None:
    version_rows = audited_people(
        store, 3, p000={"suggested_age": 61, "suggested_gender": "female"}, p001={"gender": None}
    )
    own = annotator_log(store, version_rows)
    rows = rows_of(version_rows, "p000/normal", "p001/normal")
    records = action_records(confirm_labels(("gender", "age")), rows, version_rows.version, "Kim", own)
    assert [(one.person_id, one.field, one.old, one.new) for one in records] == [
        ("p000", "gender", "male", "male"),
        ("p000", "age", "25", "25"),
        ("p001", "age", "40", "40"),  # a label that is not there cannot be right
    ]
    records = action_records(accept_suggestions(("age",)), rows, version_rows.version, "Kim", own)
    assert [(one.person_id, one.new) for one in records] == [("p000", "61")]
    with pytest.raises(CorrectionError, match="suggests nothing"):
        action_records(accept_suggestions(("mask",)), rows, version_rows.version, "Kim", own)


def test_copy_labels_within_a_group_but_not_to_all_photos_of_another_person(store: Store) -> None:
    version_rows = audited_people(store, 3)
    own = annotator_log(store, version_rows)
    good, other, third = rows_of(version_rows, "p000/normal", "p001/normal", "p000/mask1")
    records = group_action_records(SAME, [good, other, third], [good], version_rows.version, "Kim", own)
    assert [(one.person_id, one.scope, one.field, one.new) for one in records] == [
        ("p001", "sample", "gender", "male"),
        ("p001", "sample", "age", "25"),
        ("p000", "sample", "mask", "none"),
    ]
    with pytest.raises(CorrectionError, match="Mark one"):
        group_action_records(SAME, [good, other], [good, other], version_rows.version, "Kim", own)
    kept = group_action_records(KEEP, [good, other], [good], version_rows.version, "Kim", own)
    assert [(one.sample_id, one.old, one.new) for one in kept] == [
        (good["sample_id"], "false", "false"),
        (other["sample_id"], "false", "false"),
    ]


def test_annotations_are_shown_at_once(store: Store) -> None:
    version_rows = audited_people(store, 3)
    own = annotator_log(store, version_rows)
    row, sibling = rows_of(version_rows, "p000/normal", "p000/mask1")
    for number, (action, shown) in enumerate(
        [
            (confirm_labels(("age",)), "✓ correct"),
            (ACTIONS["age=class:0"], "✓ correct"),
            (ACTIONS["age=class:2"], "→ ≥60"),
        ]
    ):
        own.save(f"g0000000{number}", action_records(action, [row], version_rows.version, "Kim", own))
        assert verdict(row, own, AgeCuts()) == verdict(sibling, own, AgeCuts()) == shown
    own.save("g00000009", action_records(EXCLUDE, [row], version_rows.version, "Kim", own))
    assert (verdict(row, own, AgeCuts()), verdict(sibling, own, AgeCuts())) == ("excluded", "→ ≥60")


def test_repeated_save_is_written_once_also_after_a_restart(store: Store) -> None:
    version_rows = audited_people(store, 3)
    [row] = rows_of(version_rows, "p000/mask1")
    for _ in range(2):
        own = annotator_log(store, version_rows)
        records = [
            Correction(version_rows.version.pinned, row["sample_id"], "p000", "sample", "mask", "worn", "none", "Kim")
        ]
        own.save("g00000001", records)
        own.save("g00000001", records)
    assert len(saved_values(store)) == 1
    with pytest.raises(CorrectionError, match="8 to 40"):
        own.save("../x", records)


_SAVES = st.lists(
    st.tuples(
        st.sampled_from(
            ["gender=male", "gender=female", "age=class:0", "age=class:2", "mask=none", "mask=worn", "keep"]
        ),
        st.lists(st.integers(0, 13), min_size=1, max_size=4, unique=True),
    ),
    min_size=1,
    max_size=7,
)


@settings(max_examples=50, deadline=None)
@given(_SAVES)
def test_undo_restores_earlier_annotations_step_by_step(
    tmp_path_factory: pytest.TempPathFactory, saves: list[tuple[str, list[int]]]
) -> None:
    rows = [
        {"sample_id": f"s{at}", "person_id": f"p{at // 7}", "mask": "worn", "gender": "male", "age": 40, "sha256": ""}
        | {"age_class": 1, "status": "ok", "reason": None}
        for at in range(14)
    ]
    own = AnnotatorLog(tmp_path_factory.mktemp("undo") / "Kim.csv")

    def state(of: AnnotatorLog) -> list[str | None]:
        return [of.latest_of(row, field) for row in rows for field in ("mask", "gender", "age")]

    def records(action: str, chosen: list[dict[str, Any]]) -> list[Correction]:
        if action in ACTIONS:
            return action_records(ACTIONS[action], chosen, _SEEN, "Kim", own)
        return [correction(_SEEN, row, "gender", "female", "Kim") for row in chosen]  # as in a group of duplicates

    states = {}
    for number, (action, marked) in enumerate(saves):
        before = state(own)
        own.save(f"g{number:08d}", records(action, [rows[at] for at in marked]))
        if own.history.has_save(f"g{number:08d}"):
            states[f"g{number:08d}"] = before
    again = AnnotatorLog(own.path)
    again.refresh()
    assert state(again) == state(own)
    for name, before in reversed(states.items()):
        assert again.last_save("g")[0] == name
        again.undo(name)
        assert state(again) == before == values_by_apply(own.path, rows)
    own.refresh()
    assert state(own) == [None] * len(state(own))


def values_by_apply(log: Path, rows: list[dict[str, Any]]) -> list[str | None]:
    """What `apply` takes from a log: the latest record about each photo, also if it was about the person."""
    now: dict[tuple[str, str], str] = {}
    for record in read_corrections([log]).to_pylist():
        for row in rows:
            key = "person_id" if record["scope"] == "person" else "sample_id"
            if record[key] == row[key]:
                now[row["sample_id"], record["field"]] = record["new"]
    return [now.get((row["sample_id"], field)) or None for row in rows for field in ("mask", "gender", "age")]


def test_later_annotation_stays_when_an_earlier_save_is_undone(store: Store) -> None:
    version_rows = audited_people(store, 2)
    own = annotator_log(store, version_rows)
    first, second = rows_of(version_rows, "p000/normal", "p001/normal")
    own.save("g00000001", action_records(ACTIONS["age=class:2"], [first, second], version_rows.version, "Kim", own))
    own.save("g00000002", action_records(ACTIONS["age=class:1"], [first], version_rows.version, "Kim", own))
    assert own.undo("g00000001") == 1
    assert (own.latest_of(first, "age"), own.latest_of(second, "age")) == ("class:1", None)
