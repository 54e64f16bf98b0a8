"""Faces for the tests of synthesis: computed landmarks and photos, rendered people, and a user's template."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from data_manifests.schema import BY_NAME, conform
from data_manifests.taxonomy import AgeCuts, age_class_of, class_id_of
from data_manifests.versions.content_hash import sample_id
from pipeline.photos.images import save_rgb
from synth.ages.learn import Picture, learn_prototypes
from synth.ages.prototypes import Prototypes
from synth.demo_faces.parameters.sampling import sample_person, sample_snapshot
from synth.demo_faces.rendering.portrait import build_model, render_snapshot
from synth.masks.compose import MIRROR_INDEX


def make_landmarks(
    size: int = 256,
    width: float = 130.0,
    roll_deg: float = 0.0,
    yaw_deg: float = 0.0,
    centre: tuple[float, float] = (0.5, 0.45),
) -> np.ndarray:
    """Return (68, 2) float32 points on a head-like ellipsoid, turned by yaw and roll."""
    angle = np.linspace(np.pi, 0, 17)
    jaw = np.column_stack([0.5 * np.cos(angle), 0.05 + 0.80 * np.sin(angle) ** 1.15, -0.25 + 0.30 * np.sin(angle)])
    brow = [(x, -0.16 - 0.05 * np.sin(np.pi * i / 4), 0.25) for i, x in enumerate(np.linspace(-0.37, -0.09, 5))]
    brows = np.array(brow + [(-x, y, z) for x, y, z in brow[::-1]])
    bridge = np.array([(0, 0.02 + 0.095 * i, 0.33 + 0.05 * i) for i in range(4)])
    wings = np.array([(x, 0.37 + 0.02 * np.cos(x * 12), 0.40 - abs(x)) for x in (-0.09, -0.045, 0, 0.045, 0.09)])
    ring = np.array([(-1, 0), (-0.4, -1), (0.4, -1), (1, 0), (0.4, 1), (-0.4, 1)]) * (0.075, 0.03)
    eyes = np.vstack([np.column_stack([np.add(ring, (x, 0.0)), np.full(6, 0.22)]) for x in (-0.22, 0.22)])
    mouth = _mouth(0.18, 0.055, 12)
    inner = _mouth(0.13, 0.015, 8)
    points = np.vstack([jaw, brows, bridge, wings, eyes, mouth, inner])
    yaw, roll = np.deg2rad(yaw_deg), np.deg2rad(roll_deg)
    x = points[:, 0] * np.cos(yaw) + points[:, 2] * np.sin(yaw)
    flat = np.column_stack([x, points[:, 1] - 0.3])
    flat += np.random.default_rng(1).normal(0, 0.003, flat.shape)  # no real face is symmetric
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    marks = flat @ turn.T * width + np.multiply(centre, size) + [0, 0.05 * size]
    return np.asarray(np.rint(marks * 256) / 256, dtype=np.float32)


def _mouth(half: float, tall: float, n: int) -> np.ndarray:
    angle = np.pi + np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.column_stack([half * np.cos(angle), 0.53 + tall * np.sin(angle), np.full(n, 0.33)])


def make_photo(size: int = 256, seed: int = 0, side_light: float = 0.0) -> np.ndarray:
    """Return (size, size, 3) uint8: skin with grain on a background, lit from one side."""
    rng = np.random.default_rng(seed)
    photo = np.full((size, size, 3), (92.0, 110.0, 128.0))
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    skin = ((x / 0.30) ** 2 + (y / 0.42) ** 2 < 1)[..., None]
    photo = np.where(skin, (205.0, 160.0, 140.0), photo) * (1 + side_light * x[..., None])
    photo += rng.normal(0, 3, photo.shape)
    return np.clip(np.rint(photo), 0, 255).astype(np.uint8)


def mirror(image: np.ndarray, marks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    flipped = np.column_stack([image.shape[1] - 1 - marks[:, 0], marks[:, 1]])[MIRROR_INDEX]
    return np.ascontiguousarray(image[:, ::-1]), flipped.astype(np.float32)


def write_mask(folder: Path, name: str = "mine", **change: Any) -> Path:
    """Write a red rectangle with its key points as a template; return the folder."""
    rgba = np.zeros((120, 200, 4), np.uint8)
    cv2.rectangle(rgba, (10, 10), (190, 110), (40, 30, 200, 255), -1)  # BGRA: red
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / f"{name}.png"), rgba)
    spec: dict[str, Any] = {
        "template": f"{name}.png",
        "key_points": {
            "top_left": [10, 12], "top_middle": [100, 10], "top_right": [190, 12], "bottom_left": [10, 108],
            "bottom_middle": [100, 110], "bottom_right": [190, 108],
        },
    }  # fmt: skip
    spec.update(change)
    (folder / f"{name}.json").write_text(json.dumps(spec))
    return folder


def draw_people(folder: Path, ages: dict[str, int]) -> pa.Table:
    """Write rendered people with landmarks, men and women in turn: `f` in val, the others in train."""
    rows = []
    for number, (person, age) in enumerate(ages.items()):
        rng = np.random.default_rng(number)
        gender = ("male", "female")[number % 2]
        portrait = render_snapshot(build_model(sample_person(number, gender, age, rng)), sample_snapshot(rng))
        saved = save_rgb(portrait.image, folder, f"{person}.png")
        name = sample_id(saved.path, saved.sha256)
        rows.append(
            {"sample_id": name, "source_id": name, "root": "drawn", "path": saved.path, "sha256": saved.sha256,
             "width_px": saved.width_px, "height_px": saved.height_px, "person_id": person, "profile_id": person,
             "shot": "normal", "mask": "none", "gender": gender, "age": age, "label_source": "ingest",
             "split": "val" if person == "f" else "train", "status": "ok", "is_synthetic": False,
             "landmarks_xy": portrait.landmarks_xy.ravel().tolist()}
        )  # fmt: skip
    table = conform(pa.table({n: pa.array([r.get(n) for r in rows], BY_NAME[n].type) for n in rows[0]}))
    age_class = age_class_of(table["age"], AgeCuts())
    class_id = class_id_of(table["mask"], table["gender"], age_class)
    kept = table.drop_columns(["age_class", "class_id"])
    kept = kept.append_column("x_note", pa.array([f"about {person}" for person in ages]))
    return conform(kept.append_column("age_class", age_class).append_column("class_id", class_id))


YOUNG, OLD = 24, 72


@lru_cache(maxsize=1)
def aged_people() -> list[Picture]:
    """Render twelve young and twelve old people, men and women in turn, without glasses."""
    people = []
    for number in range(24):
        rng, gender, age = np.random.default_rng(number), ("male", "female")[number % 2], (YOUNG, OLD)[number // 12]
        person = sample_person(number, gender, age, rng)
        person = replace(person, outfit=replace(person.outfit, glasses="none"))
        shot = sample_snapshot(rng)
        portrait = render_snapshot(build_model(person), shot)
        people.append((portrait.image, portrait.landmarks_xy.astype(np.float32), gender, age))
    return people


@lru_cache(maxsize=1)
def aged_prototypes() -> Prototypes:
    """Learn prototypes of all but the first, twelfth and thirteenth person, who are for the moves."""
    return learn_prototypes(aged_people()[1:11] + aged_people()[13:], [45], min_people=5)
