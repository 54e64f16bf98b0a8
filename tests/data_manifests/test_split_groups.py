"""People who share a photo: one split and one fold for all of them, whatever connects them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data_manifests.cli.main import cli
from data_manifests.splits import assign_splits, find_leaks, group_people, without_splits
from data_manifests.splits.groups import AUDIT_COLUMNS
from data_manifests.versions import Store
from tests.support.manifest_tables import crop, manifest, photo

SHA = "ab" * 32


def people(count: int, **values: Any) -> list[dict[str, Any]]:
    return [photo(f"p{i:03d}", **values) for i in range(count)]


def groups_of(rows: list[dict[str, Any]], audited: list[dict[str, Any]] | None = None) -> dict[str, list[str]]:
    """Return the members of each group of several people, by its first member."""
    groups = group_people(manifest(rows), manifest(audited).select(list(AUDIT_COLUMNS)) if audited else None)
    found: dict[str, list[str]] = {}
    for name, first in zip(groups.names, groups.first.tolist(), strict=True):
        found.setdefault(groups.names[first], []).append(name)
    return {first: members for first, members in found.items() if len(members) > 1}


def value_of(table: pa.Table, name: str) -> dict[str, Any]:
    return dict(zip(table["person_id"].to_pylist(), table[name].to_pylist(), strict=True))


def test_forty_photos_under_two_names_are_in_one_split_and_fold() -> None:
    rows = [photo(f"{name}{i:02d}", sha256=f"{i:064x}") for name in "ab" for i in range(40)]
    table = assign_splits(manifest(rows), folds=5)
    assert find_leaks(table) == ()
    for name in ("split", "fold"):
        value = value_of(table, name)
        assert all(value[f"a{i:02d}"] == value[f"b{i:02d}"] for i in range(40))
    assert list(value_of(table, "split").values()).count("val") == 16, "a fifth of the groups, all of two people"
    assert group_people(table).duplicate_lines() == [
        "duplicates: 40 groups of identical files; 80 people share photos and are 40 groups, the largest of 2"
    ]


def test_a_chain_of_files_and_near_duplicates_is_one_group() -> None:
    rows = people(6)
    rows[0] |= {"sha256": SHA}
    rows[1] |= {"sha256": SHA, "duplicate_of": "x"}
    rows[2] |= {"duplicate_of": "x"}
    rows.append(photo("p002", "mask1", duplicate_of="y"))
    rows[4] |= {"duplicate_of": "y", "same_portrait_of": "z"}
    rows[5] |= {"same_portrait_of": "z"}
    assert groups_of(rows) == {"p000": ["p000", "p001", "p002", "p004", "p005"]}
    groups = group_people(manifest(rows))
    assert (groups.identical, groups.near, groups.portraits) == (1, 2, 1)


def test_an_excluded_or_failed_copy_joins_nobody() -> None:
    rows = people(4, sha256=SHA)
    rows[1] |= {"status": "excluded", "reason": "review: duplicate"}
    rows[2] |= {"status": "failed", "reason": "ingest: x"}
    assert groups_of(rows) == {"p000": ["p000", "p003"]}
    assert groups_of(people(3, sha256=None, status="failed", reason="ingest: file does not exist")) == {}


def test_duplicates_within_a_person_are_counted_and_join_nobody() -> None:
    rows = [*people(3), photo("p000", "mask1", sha256=SHA), photo("p000", "mask2", sha256=SHA)]
    assert groups_of(rows) == {}
    assert group_people(manifest(rows)).duplicate_lines() == [
        "duplicates: 1 group of identical files; none of them is of several people"
    ]


def test_an_earlier_audit_is_known_by_source_or_bytes() -> None:
    audited = [row | {"duplicate_of": "x"} for row in people(3)]
    moved = photo("p001", path="elsewhere.jpg", sample_id="1" * 16, source_id="1" * 16)
    rows = [crop(audited[0] | {"duplicate_of": None}, sha256="1" * 64), moved, *people(4)[3:]]
    assert groups_of(rows, audited) == {"p000": ["p000", "p001"]}
    assert groups_of(rows) == {}


def test_a_group_keeps_its_split_and_new_people_follow() -> None:
    rows = people(12)
    rows[0] |= {"sha256": SHA, "split": "val", "fold": 1}
    rows[5] |= {"sha256": SHA}
    table = assign_splits(manifest(rows), folds=3)
    assert (value_of(table, "split")["p005"], value_of(table, "fold")["p005"]) == ("val", 1)


def test_a_group_in_several_splits_is_reported_and_kept() -> None:
    rows = people(10)
    rows[0] |= {"sha256": SHA, "split": "val"}
    rows[1] |= {"sha256": SHA, "split": "train"}
    rows[2] |= {"sha256": SHA}
    table = manifest(rows)
    groups = group_people(table)
    assigned = assign_splits(table)
    value = value_of(assigned, "split")
    assert [value[name] for name in ("p000", "p001", "p002")] == ["val", "train", "train"]
    line = groups.split_lines(assigned, "faces@2")[1]
    assert line == (
        "1 group of them is in several splits or folds, because people keep theirs (3 people). "
        "Assign all again: facecurate split faces@2 --reassign"
    )
    again = assign_splits(without_splits(assigned))
    assert find_leaks(again) == ()
    assert [text.split(":")[0] for text in groups.split_lines(again, "faces@2")] == [
        "duplicates",
        "near-duplicates are known after",
    ]


@settings(deadline=None, max_examples=60)
@given(
    links=st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29), st.booleans()), max_size=25),
    seed=st.integers(0, 3),
    data=st.data(),
)
def test_every_component_has_one_split_and_one_fold(
    links: list[tuple[int, int, bool]], seed: int, data: st.DataObject
) -> None:
    rows = people(30)
    for number, (a, b, is_equal) in enumerate(links):
        shared = {"sha256": f"{number + 1:064x}"} if is_equal else {"duplicate_of": f"d{number}"}
        rows += [
            photo(f"p{i:03d}", path=f"{number}-{i}.jpg", sample_id=f"{number:08x}{i:08x}", **shared) for i in {a, b}
        ]
    leader = np.arange(30)
    for a, b, _ in links:  # a slow union, as the reference
        leader[leader == leader[a]] = leader[b]
    if len(set(leader.tolist())) < 3:
        return
    table = assign_splits(manifest(rows), folds=3, seed=seed)
    for name in ("split", "fold"):
        value = value_of(table, name)
        assert len({(leader[i], value[f"p{i:03d}"]) for i in range(30)}) == len(set(leader.tolist()))
    shuffled = assign_splits(manifest(data.draw(st.permutations(rows))), folds=3, seed=seed)
    assert value_of(shuffled, "split") == value_of(table, "split")
    assert value_of(shuffled, "fold") == value_of(table, "fold")


def test_folds_count_a_group_as_one() -> None:
    rows = [*people(4, sha256=SHA), photo("q"), photo("r")]
    message = r"folds must be within 2 and 3, .* where those who share photos count as one\. Got 4 instead"
    with pytest.raises(Exception, match=message):
        assign_splits(manifest(rows), ratios={"train": 1.0}, folds=4)


def run(*words: str) -> list[str]:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_the_commands_print_the_groups_and_use_an_earlier_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSPACE", str(tmp_path / "workspace"))
    photos = tmp_path / "photos"
    photos.mkdir()
    rows = ["path,person_id"]
    for number in range(12):  # 0 to 3 are the same files as 4 to 7
        Image.new("RGB", (8, 8), (number % 4 if number < 8 else number, 0, 0)).save(photos / f"{number}.png")
        rows.append(f"{number}.png,p{number:02d}")
    (photos / "labels.csv").write_text("\n".join(rows))
    line = "duplicates: 4 groups of identical files; 8 people share photos and are 4 groups, the largest of 2"
    assert line in run("ingest", str(photos), "--layout", "table", "--name", "faces")
    lines = run("split", "faces@1", "--folds", "4")
    assert line in lines
    assert "near-duplicates are known after: facecurate audit run faces@1" in lines
    store = Store(tmp_path / "workspace")
    table = store.read("faces@2").table
    assert find_leaks(table) == ()
    found = ["x" if person in ("p08", "p09") else None for person in table["person_id"].to_pylist()]
    audited = table.set_column(table.column_names.index("duplicate_of"), "duplicate_of", pa.array(found))
    ranks = pa.array([1] * len(table), pa.int32())
    audited = audited.set_column(table.column_names.index("audit_rank"), "audit_rank", ranks)
    store.write("faces", audited, "audit", parents=[store.version("faces@2")])
    Image.new("RGB", (8, 8), (99, 0, 0)).save(photos / "new.png")
    (photos / "labels.csv").write_text("\n".join([*rows, "new.png,q"]))
    run("ingest", str(photos), "--layout", "table", "--name", "faces")
    lines = run("split", "faces@4", "--reassign")
    assert (
        "duplicates: 4 groups of identical files, 1 group of near-duplicates; "
        "10 people share photos and are 5 groups, the largest of 2"
    ) in lines
    assert not any("known after" in text for text in lines)
    split = value_of(store.read("faces@5").table, "split")
    assert split["p08"] == split["p09"]
    assert [parent.split("#")[0] for parent in store.version("faces@5").parents] == ["faces@4", "faces@3"]
