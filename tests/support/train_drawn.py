"""Drawn people with learnable labels: colour is the gender, stripes are the age, a box is the mask."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from data_manifests.taxonomy import GENDERS, SHOT_MASK, AgeCuts, age_class_of, class_id_of
from data_manifests.versions.content_hash import sample_id
from data_manifests.versions.metadata import Version
from data_manifests.versions.store import Store
from pipeline.photos.images import save_rgb
from train.settings import TrainSettings

SIDE = 32
AGES = (25, 45, 65)
SHOTS = ("normal", "mask1", "incorrect_mask")


def draw_person(gender: int, age: int, mask: str, rng: np.random.Generator) -> np.ndarray:
    """Draw a person as RGB uint8 (32, 32, 3)."""
    image = rng.integers(90, 160, (SIDE, SIDE, 3)).astype(np.uint8)
    cv2.circle(image, (16, 18), 11, ((200, 120, 90), (90, 120, 200))[gender], -1)
    for line in range(2 * age):
        cv2.line(image, (3, 1 + 2 * line), (29, 1 + 2 * line), (20, 20, 20), 1)
    if mask != "none":
        top = 16 if mask == "worn" else 24
        cv2.rectangle(image, (8, top), (24, top + 6), (240, 240, 250), -1)
    return image


def rows_of(store: Store, people: int, *, split: str, first: int = 0, synthetic: bool = False) -> list[dict]:
    """Return rows of three pictures per person; gender and age take all six combinations in turn."""
    rows = []
    for person in range(first, first + people):
        rng = np.random.default_rng([person, synthetic])
        gender, age = person % 2, person // 2 % 3
        for shot in SHOTS:
            mask = SHOT_MASK[shot]
            saved = save_rgb(
                draw_person(gender, age, mask, rng), store.workspace, f"images/drawn/{person}{synthetic:d}-{shot}.png"
            )
            name = sample_id(saved.path, saved.sha256)
            rows.append(
                {
                    "sample_id": name, "source_id": name, "root": "workspace", "path": saved.path,
                    "sha256": saved.sha256, "width_px": SIDE, "height_px": SIDE, "person_id": f"p{person:03d}",
                    "profile_id": f"p{person:03d}" + ("/s1" if synthetic else ""), "shot": shot, "mask": mask,
                    "gender": GENDERS[gender], "age": AGES[age], "split": split, "status": "ok",
                    "is_synthetic": synthetic,
                }
            )  # fmt: skip
    return rows


def write_rows(store: Store, rows: list[dict], name: str = "drawn", cuts: AgeCuts | None = None) -> Version:
    """Write rows as a manifest, with their age classes and classes."""
    table = pa.Table.from_pylist(rows)
    table = table.append_column("age_class", age_class_of(table["age"], cuts or AgeCuts()))
    table = table.append_column("class_id", class_id_of(table["mask"], table["gender"], table["age_class"]))
    return store.write(name, table, "ingest", cuts=cuts)


def write_people(store: Store, train: int = 18, val: int = 6, synthetic: int = 0, name: str = "drawn") -> Version:
    """Write people of train, then of val, from number 0 on; `synthetic` copies of the first people of train."""
    rows = rows_of(store, train, split="train") + rows_of(store, val, split="val", first=train)
    return write_rows(store, rows + rows_of(store, synthetic, split="train", synthetic=True), name)


def tiny_settings(**sections: Any) -> TrainSettings:
    """Return settings of a network of 0.3 M parameters on the drawn pictures, one thread, no pretrained weights."""
    values: dict = {
        "threads": 1,
        "device": "cpu",
        "data": {"size": [SIDE, SIDE], "batch_size": 16, "augment": {"flip": 0.5}},
        "model": {"backbone": "test_resnet", "pretrained": False, "head": "class"},
        "optim": {"lr": 0.004, "epochs": 2, "patience": 50, "metric": "f1"},
    }
    for section, more in sections.items():
        values[section] = values[section] | more if isinstance(values.get(section), dict) else more
    return TrainSettings.model_validate(values)
