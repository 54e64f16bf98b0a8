"""Selection, sampling and batches of training rows."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests.errors import ConfigError, ManifestError, StageError
from data_manifests.labels import class_of_labels, labels_of_class
from data_manifests.photo_files import PhotoFile
from data_manifests.versions.store import Store
from pipeline.photos.images import load_rgb
from tests.support.train_drawn import rows_of, tiny_settings, write_people, write_rows
from train.data.augment import AUGMENTATIONS, make_augment
from train.data.image_preparation import prepare_picture
from train.data.loader import make_loader, set_epoch
from train.data.pixel_cache import open_pixels
from train.data.sampling import BALANCED_DRAWS, OVERSAMPLED, EpochSampler, draw_weights, oversample
from train.rows.row_selection import absent_classes, select_rows


# -- rows -----------------------------------------------------------------------------------------------------------
def test_every_row_is_accounted_for(store: Store) -> None:
    rows = rows_of(store, 6, split="train") + rows_of(store, 3, split="val", first=6)
    rows += rows_of(store, 2, split="test", first=9) + rows_of(store, 2, split="train", synthetic=True)
    rows += rows_of(store, 1, split="val", first=6, synthetic=True)
    rows[0]["status"], rows[1]["status"], rows[2]["age"] = "failed", "excluded", None
    write_rows(store, rows)
    selection = select_rows(store.read("drawn"), tiny_settings().data)
    assert selection.ledger == {
        "train": 21, "val": 9, "excluded": 1, "failed": 1, "synthetic in val": 3, "test": 6, "without a full label": 1
    }  # fmt: skip
    assert sum(selection.ledger.values()) == len(rows)
    assert not any(selection.val["is_synthetic"].to_pylist())
    assert sum(selection.train["is_synthetic"].to_pylist()) == 6


def test_synthetic_rows_count_in_validation_only_on_request(store: Store) -> None:
    rows = rows_of(store, 6, split="train") + rows_of(store, 1, split="val", first=6)
    write_rows(store, rows + rows_of(store, 1, split="val", first=6, synthetic=True))
    settings = tiny_settings(data={"synthetic_val": True})
    assert select_rows(store.read("drawn"), settings.data).val.num_rows == 6


def test_errors_without_split_or_validation_rows_name_the_command(store: Store) -> None:
    rows = rows_of(store, 4, split="train")
    write_rows(store, [row | {"split": None} for row in rows], "nosplit")
    with pytest.raises(ManifestError, match=r"nosplit@1 has no split\. Run: facecurate split nosplit@1"):
        select_rows(store.read("nosplit"), tiny_settings().data)
    write_rows(store, rows, "noval")
    with pytest.raises(ManifestError, match=r"noval@1 has no usable row in the split 'val' \(12 train\)\. Run"):
        select_rows(store.read("noval"), tiny_settings().data)


def test_a_person_in_train_and_val_is_refused_unless_allowed(store: Store) -> None:
    rows = rows_of(store, 4, split="train")
    rows[0]["split"] = "val"
    write_rows(store, rows)
    with pytest.raises(ManifestError, match="1 persons are in both train and val, the first 'p000'"):
        select_rows(store.read("drawn"), tiny_settings().data)
    assert select_rows(store.read("drawn"), tiny_settings(data={"allow_shared_persons": True}).data).val.num_rows == 1


def test_absent_classes_are_listed(store: Store) -> None:
    write_rows(store, rows_of(store, 6, split="train") + rows_of(store, 2, split="val", first=6))
    absent = absent_classes(select_rows(store.read("drawn"), tiny_settings().data), 18)
    assert absent["train"] == []
    assert absent["val"] == [c for c in range(18) if c % 3 != 0]  # people 6 and 7 are both under 30


def people_of(class_id: np.ndarray) -> np.ndarray:
    """Return persons, each with two rows."""
    return np.array([f"p{row // 2}" for row in range(len(class_id))])


# -- draws ----------------------------------------------------------------------------------------------------------
@given(
    class_id=st.lists(st.integers(0, 17), min_size=1, max_size=200).map(np.array),
    name=st.sampled_from(sorted(BALANCED_DRAWS)),
)
@settings(deadline=None)
def test_weights_give_every_group_the_same_share(class_id: np.ndarray, name: str) -> None:
    person = people_of(class_id)
    labels = labels_of_class(class_id)
    weights, group = draw_weights(name, labels, person), BALANCED_DRAWS[name](labels, person)
    shares = [weights[group == value].sum() for value in np.unique(group)]
    np.testing.assert_allclose(shares, 1 / len(shares))


def test_the_sampler_balances_the_classes_and_is_reproducible() -> None:
    class_id = np.repeat([0, 5, 17], [900, 90, 10])
    sampler = EpochSampler(
        labels_of_class(class_id), people_of(class_id), tiny_settings(seed=3, data={"sampler": "class"})
    )
    draws = list(sampler)
    counts = np.bincount(class_id[[row for _, row in draws]])[[0, 5, 17]]
    assert len(draws) == 1000
    assert (np.abs(counts - 1000 / 3) < 60).all()  # four standard deviations
    assert list(sampler) == draws
    sampler.epoch = 1
    assert list(sampler) != draws
    assert len({seed for seed, _ in draws}) == len(draws)


def test_without_a_sampler_every_row_comes_once() -> None:
    class_id = np.repeat([0, 5], [30, 3])
    draws = list(EpochSampler(labels_of_class(class_id), people_of(class_id), tiny_settings(data={"sampler": "none"})))
    assert sorted(row for _, row in draws) == list(range(33))


def test_an_unknown_sampler_lists_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"data\.sampler must be one of \{none, class, age_class, .*Got 'clas'"):
        EpochSampler(np.zeros((1, 3), int), np.array(["p"]), tiny_settings(data={"sampler": "clas"}))


@given(
    class_id=st.lists(st.integers(0, 17), min_size=1, max_size=100).map(np.array),
    name=st.sampled_from(sorted(OVERSAMPLED)),
)
@settings(deadline=None)
def test_oversampling_keeps_every_row_and_fills_smaller_groups(class_id: np.ndarray, name: str) -> None:
    rows = oversample(name, labels_of_class(class_id), people_of(class_id), np.random.default_rng(0))
    times = np.bincount(rows, minlength=len(class_id))
    assert (times >= 1).all()
    age = class_id % 3
    if name == "copy_old":
        assert (times[age < 2] == 1).all()
        if (age == 2).any():
            younger = max((age == 0).sum(), (age == 1).sum())
            assert times[age == 2].sum() == max(younger, (age == 2).sum())
    else:
        group = class_id if name == "copy_class" else age
        totals = [times[group == value].sum() for value in np.unique(group)]
        assert len(set(totals)) == 1
        assert all(np.ptp(times[group == value]) <= 1 for value in np.unique(group))


def test_an_oversampled_epoch_is_longer_and_people_are_equally_frequent() -> None:
    class_id = np.repeat([0, 1, 2], [40, 10, 5])
    sampler = EpochSampler(labels_of_class(class_id), people_of(class_id), tiny_settings(data={"sampler": "copy_old"}))
    rows = [row for _, row in sampler]
    assert len(sampler) == len(rows) == 40 + 10 + 40
    assert rows != sorted(rows)
    person = np.repeat(["many", "few"], [90, 10])
    chosen = tiny_settings(data={"sampler": "person"})
    drawn = person[[row for _, row in EpochSampler(np.zeros((100, 3), int), person, chosen)]]
    assert 30 < (drawn == "few").sum() < 70  # four standard deviations around the half


# -- batches --------------------------------------------------------------------------------------------------------
def test_batches_hold_pictures_labels_and_names(store: Store) -> None:
    write_people(store, train=6, val=6)
    table = select_rows(store.read("drawn"), tiny_settings().data).val
    loader = make_loader(table, store, tiny_settings(data={"sampler": "copy_class"}), train=False)
    batches = list(loader)  # each row once, in order: validation is never sampled
    assert [len(batch.sample_id) for batch in batches] == [16, 2]
    assert batches[0].image.shape == (16, 3, 32, 32)
    assert (batches[0].image.dtype, batches[0].labels.dtype) == (torch.float32, torch.int64)
    assert [name for batch in batches for name in batch.sample_id] == table["sample_id"].to_pylist()
    assert (
        class_of_labels(torch.cat([batch.labels for batch in batches]).numpy()).tolist()
        == table["class_id"].to_pylist()
    )
    file = load_rgb(store.workspace / table["path"][17].as_py()).astype(np.float32)
    np.testing.assert_allclose(batches[1].image[1].permute(1, 2, 0), file / 255, atol=1e-6)


def test_training_draws_depend_on_seed_and_epoch_alone(store: Store) -> None:
    write_people(store, train=6, val=6)
    table = select_rows(store.read("drawn"), tiny_settings().data).train

    def epoch(number: int, workers: int = 0) -> tuple[list[str], torch.Tensor]:
        settings = tiny_settings(seed=1, data={"augment": {"crop": 0.3, "noise": 0.1}, "workers": workers})
        loader = make_loader(table, store, settings, train=True)
        set_epoch(loader, number)
        batches = list(loader)
        return [name for batch in batches for name in batch.sample_id], torch.cat([batch.image for batch in batches])

    names, image = epoch(0)
    again, same = epoch(0, workers=1)
    assert names == again
    assert torch.equal(image, same)
    assert epoch(1)[0] != names


def test_augmentation_leaves_the_random_state_alone(store: Store) -> None:
    write_people(store, train=2, val=2)
    table = select_rows(store.read("drawn"), tiny_settings().data).train
    pictures: Any = make_loader(table, store, tiny_settings(), train=True).dataset
    torch.manual_seed(0)
    wanted = torch.rand(1)
    torch.manual_seed(0)
    pictures.__getitems__([(5, 0), (6, 1)])
    assert torch.equal(torch.rand(1), wanted)


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_each_augmentation_changes_pictures_but_not_their_shape(name: str) -> None:
    strength = {"flip": 1.0, "rotate": 10, "erase": 1.0, "rand_augment": 9}.get(name, 0.4)
    image = torch.randint(0, 255, (3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    augment = make_augment({name: strength}, (32, 32))
    varied = [augment(image) for _ in range(8)]
    assert all(one.shape == image.shape and one.dtype == torch.uint8 for one in varied)
    assert any(not torch.equal(one, image) for one in varied)
    assert torch.equal(make_augment({name: 0}, (32, 32))(image), image)


def test_wrong_names_and_values_of_transforms_are_reported() -> None:
    with pytest.raises(ConfigError, match=r"data\.augment must be one of \{flip, crop, .*Got 'flop'"):
        make_augment({"flop": 1}, (32, 32))
    with pytest.raises(ConfigError, match=r"data\.augment\.flip=2"):
        make_augment({"flip": 2}, (32, 32))
    with pytest.raises(ConfigError, match=r"data\.prepare must be one of \{box, centre_crop, clahe\}\. Got 'bxo'"):
        open_pixels([], Path("unused"), size=(32, 32), prepare={"bxo": 1})
    with pytest.raises(ConfigError, match=r"data\.prepare\.box takes 4 numbers"):
        open_pixels([], Path("unused"), size=(32, 32), prepare={"box": [1, 2]})


# -- pixel cache ----------------------------------------------------------------------------------------------------
def test_pictures_are_decoded_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_people(store, train=2, val=1)
    table = store.read("drawn").table
    pictures = [
        (PhotoFile(store.workspace, p), s)
        for p, s in zip(*table.select(["path", "sha256"]).to_pydict().values(), strict=True)
    ]
    first, failed = open_pixels(pictures[:6], store.workspace, size=(24, 20), prepare={})
    assert (len(first), failed) == (6, {})
    kept = first.take([5, 0])
    assert (kept.shape, kept.dtype) == ((2, 24, 20, 3), np.uint8)
    for photo, _ in pictures[:6]:
        (photo.root / photo.path).unlink()
    both, failed = open_pixels(pictures, store.workspace, size=(24, 20), prepare={})  # only the last three are read
    assert failed == {}
    np.testing.assert_array_equal(both.take([5, 0]), kept)
    sent = pickle.dumps(both)
    assert len(sent) < 3000  # loader processes receive file names, not pictures
    np.testing.assert_array_equal(pickle.loads(sent).take([0, 8]), both.take([0, 8]))


def test_broken_and_changed_pictures_are_reported(store: Store) -> None:
    write_people(store, train=2, val=1)
    table = select_rows(store.read("drawn"), tiny_settings().data).train
    (store.workspace / table["path"][1].as_py()).write_bytes(b"no picture")
    with pytest.raises(StageError, match=r"1 of 6 pictures of drawn@1 cannot be read, the first: 00-mask1\.png: has"):
        make_loader(table, store, tiny_settings(), train=True, ref="drawn@1")


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_people(store, train=1, val=1)
    table = store.read("drawn").table

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("train.data.pixel_cache.os.replace", full)
    pictures = [(PhotoFile(store.workspace, table["path"][0].as_py()), table["sha256"][0].as_py())]
    with pytest.raises(StageError, match=r"No space left on device\. Free some space"):
        open_pixels(pictures, store.workspace, size=(16, 16), prepare={})
    assert [file for file in (store.workspace / "cache" / "pixels").rglob("*") if file.is_file()] == []


def test_preparation_crops_the_given_box() -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    image[5:15, 10:20] = 200
    assert (prepare_picture(image, {"box": [10, 5, 20, 15]}, (16, 16)) == 200).all()
    assert (prepare_picture(image, {"centre_crop": [10, 10]}, (16, 16)) == 200).all()
    with pytest.raises(ConfigError, match="must lie within a picture of 30×20 pixels"):
        prepare_picture(image, {"box": [10, 5, 40, 15]}, (16, 16))
    ramp = np.repeat(np.linspace(100, 120, 64, dtype=np.uint8)[None, :, None], 64, 0).repeat(3, 2)
    assert np.ptp(prepare_picture(ramp, {"clahe": 4.0}, (64, 64)).astype(int)) > 1.3 * np.ptp(ramp.astype(int))
