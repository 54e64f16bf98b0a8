"""Transfer between kinds of synthetic masks: a network trained on one kind is tested on another, on unseen people.

    python -m benchmarks.transfer --faces DIR [--seed S] [--json]

A small network is trained from scratch on crops of 64 px (worn, incorrect, none) of 70 % of the people, and tested on
the other 30 %, whose images are smaller, more blurred and more compressed than any in training:

- `ours`: this project's masks; the test column `ours` has all types.
- `ours without X`: a group of types is left out of training; the test column `left out` has only that group.
- `paste`: the common method, a drawn picture whose halves are warped by homographies and pasted in one of a few tints.
- `flat`: polygons of one colour between landmarks.

Each trained network is tested on all three. Its errors on another kind of masks show the variety that its own lacked.
This does not measure photos of real masks: a drawn test set has only the variety that was programmed. All classes of a
set have the same crop, blur and encoder, so these do not reveal the class.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from sklearn.metrics import confusion_matrix, f1_score
from torch import nn
from torch.nn import functional as F

from benchmarks.synth import known_landmarks
from data_manifests.errors import StageError
from pipeline.photos.folders import find_pictures
from pipeline.photos.images import load_rgb
from synth.mask_choices import sample_mask_type
from synth.masks import INCORRECT_PLACEMENTS, TYPES, Scene, compose, measure_scene
from synth.masks.drawing.template import HEADROOM, draw_template
from synth.masks.placement import sample_placement
from synth.masks.types import MASK_TYPES

CLASSES = ("worn", "incorrect", "none")
PX, EPOCHS, BATCH = 64, 20, 64
GROUPS = {
    "black": tuple(name for name in TYPES if "black" in name or "dark" in name),
    "cloth": tuple(name for name in TYPES if MASK_TYPES[name].shape in ("cloth", "sponge")),
    "surgical": tuple(name for name in TYPES if MASK_TYPES[name].shape == "surgical"),
}
Person = tuple[np.ndarray, np.ndarray, Scene]  # photo, landmarks, measurements of both
Maker = Callable[[Person, str, np.random.Generator], tuple[np.ndarray, str]]  # → image and placement


@dataclass(frozen=True)
class Pictures:
    """Images `x` (n, 3, PX, PX) float32 in [-1, 1], `y` (n,) indices in CLASSES, `placement` (n,) names."""

    x: torch.Tensor
    y: np.ndarray
    placement: np.ndarray


def ours(types: tuple[str, ...]) -> Maker:
    """Make masks of this project."""

    def make(person: Person, label: str, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        placement = sample_placement(INCORRECT_PLACEMENTS, rng) if label == "incorrect" else "worn"
        name, seed = sample_mask_type(types, rng), int(rng.integers(2**31))
        photo, marks, scene = person
        return compose(photo, marks, mask_type=name, placement=placement, seed=seed, scene=scene).image, placement

    return make


def _corners(marks: np.ndarray, label: str, rng: np.random.Generator) -> tuple[list[int], int, str]:
    """Return jaw points of the mask, the middle of its top edge, and the placement, as in common tools."""
    if label == "worn":
        return list(range(2, 15)), int(rng.choice([28, 29])), "worn"
    placement = sample_placement(("nose_out", "chin"), rng)
    return (list(range(3, 14)), 33, placement) if placement == "nose_out" else (list(range(4, 13)), 57, placement)


def flat(person: Person, label: str, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """Draw one polygon of one colour."""
    photo, marks, _ = person
    jaw, top, placement = _corners(marks, label, rng)
    ring = np.rint(np.vstack([marks[jaw], marks[top]])).astype(np.int32)
    out = photo.copy()
    cv2.fillPoly(out, [ring], [int(c) for c in rng.integers(0, 256, 3)], cv2.LINE_AA)
    return out, placement


def paste(person: Person, label: str, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """Warp a fixed picture by six points, tint it and paste it by its alpha: no light, straps or variety."""
    photo, marks, _ = person
    jaw, top, placement = _corners(marks, label, rng)
    template = draw_template(str(rng.choice(["surgical_white", "kf94_white", "cloth_plain"])), 0, 288)
    keys, target = template.key_xy, marks[[jaw[0], top, jaw[-1], jaw[3], 8, jaw[-4]]]
    middle, warped = int(keys[1, 0]), np.zeros((*photo.shape[:2], 4), np.float32)
    for half, corners in ((np.s_[:, : middle + 1], [0, 1, 3, 4]), (np.s_[:, middle:], [1, 2, 4, 5])):
        part = np.zeros_like(template.rgba)
        part[half] = template.rgba[half]
        at, to = (np.asarray(xy[corners], np.float32) for xy in (keys, target))
        matrix = cv2.getPerspectiveTransform(at, to)
        warped = np.maximum(warped, cv2.warpPerspective(part, matrix, (photo.shape[1], photo.shape[0])))
    tint = np.array([(1, 1, 1), (0.6, 0.8, 0.95), (0.18, 0.18, 0.2), (0.5, 0.8, 0.7)])[int(rng.integers(4))]
    done = photo * (1 - warped[..., 3:] / 255) + warped[..., :3] / HEADROOM * tint
    return np.clip(done, 0, 255).astype(np.uint8), placement


def _crop(picture: np.ndarray, marks: np.ndarray, rng: np.random.Generator, worse: bool) -> np.ndarray:
    """Crop the face with a margin to (PX, PX, 3), shifted a little; `worse`: shrunk, blurred, compressed, enlarged."""
    low, high = marks.min(0), marks.max(0)
    side = float((high - low).max() * rng.uniform(1.15, 1.5))
    x, y = (low + high) / 2 + rng.normal(0, 0.04, 2) * side - side / 2 + (0, -0.04 * side)
    px = int(rng.integers(28, 57)) if worse else PX
    scale = 4 * px / side  # four times the size, then averaged: sub-pixel shifts without aliasing
    window = np.array([[scale, 0, -x * scale], [0, scale, -y * scale]])
    around = cv2.warpAffine(picture, window, (4 * px, 4 * px), borderMode=cv2.BORDER_REPLICATE)
    small = cv2.resize(around, (px, px), interpolation=cv2.INTER_AREA)
    if worse:
        small = cv2.GaussianBlur(small, (0, 0), rng.uniform(0.3, 0.9))
    quality = int(rng.integers(35, 70) if worse else rng.integers(75, 96))
    coded = cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    assert coded is not None
    return np.asarray(cv2.resize(coded, (PX, PX), interpolation=cv2.INTER_CUBIC), np.uint8)


def make_set(people: list[Person], maker: Maker, draws: int, seed: int, worse: bool) -> Pictures:
    """Make `draws` images per person and class."""
    rng, rows = np.random.default_rng(seed), []
    for person in people:
        for label in CLASSES * draws:
            try:
                picture, placement = (person[0], "none") if label == "none" else maker(person, label, rng)
            except StageError:
                continue
            rows.append((_crop(picture, person[1], rng, worse), CLASSES.index(label), placement))
    x = torch.from_numpy(np.stack([row[0] for row in rows])).permute(0, 3, 1, 2).float() / 127.5 - 1
    return Pictures(x, np.array([row[1] for row in rows]), np.array([row[2] for row in rows]))


def _network() -> nn.Module:
    def block(a: int, b: int) -> Iterator[nn.Module]:
        yield from (nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2))

    layers = [layer for a, b in ((3, 16), (16, 32), (32, 64), (64, 96)) for layer in block(a, b)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(96 * (PX // 16) ** 2, len(CLASSES)))


def train(data: Pictures, seed: int) -> nn.Module:
    """Train by AdamW with one cycle; mirror half of the images, vary brightness and contrast a little."""
    torch.manual_seed(seed)
    net, target = _network(), torch.from_numpy(data.y)
    steps = EPOCHS * -(-len(target) // BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.02)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for _ in range(EPOCHS):
        for at in torch.randperm(len(target)).split(BATCH):
            x = data.x[at]
            x = torch.where(torch.rand(len(at), 1, 1, 1) < 0.5, x.flip(3), x)
            x = x * (1 + 0.2 * torch.randn(len(at), 1, 1, 1)) + 0.15 * torch.randn(len(at), 1, 1, 1)
            loss = F.cross_entropy(net(x), target[at], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            plan.step()
    return net.eval()


@torch.inference_mode()
def evaluate(net: nn.Module, data: Pictures) -> dict[str, object]:
    """Return F1 per class, their mean, and the share of each placement predicted as incorrect."""
    predicted = torch.cat([net(x) for x in data.x.split(256)]).argmax(1).numpy()
    f1 = f1_score(data.y, predicted, labels=range(3), average=None, zero_division=0.0)
    table = confusion_matrix(data.y, predicted, labels=range(3), normalize="true")
    wrong = {
        str(placement): round(float((predicted[data.placement == placement] == 1).mean()), 3)
        for placement in sorted(set(data.placement))
    }
    return {
        "macro_f1": round(float(f1.mean()), 3),
        **{f"f1_{name}": round(float(value), 3) for name, value in zip(CLASSES, f1, strict=True)},
        "incorrect_called_worn": round(float(table[1, 0]), 3),
        "called_incorrect_by_wear": wrong,
    }


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--faces", type=Path, required=True, help="read a folder of portraits without masks, one per person"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    known = known_landmarks([args.faces / name for name in find_pictures(args.faces)])
    photos = [(load_rgb(Path(path)), marks) for path, marks in known]
    people: list[Person] = [(photo, marks, measure_scene(photo, marks)) for photo, marks in photos]
    order = np.random.default_rng(args.seed).permutation(len(people))
    cut = round(0.7 * len(people))
    learn, held = [people[i] for i in order[:cut]], [people[i] for i in order[cut:]]
    tests = {name: make_set(held, maker, 2, 1, True)
             for name, maker in (("ours", ours(TYPES)), ("paste", paste), ("flat", flat))}  # fmt: skip
    makers: dict[str, Maker] = {"ours": ours(TYPES), "paste": paste, "flat": flat}
    for group, left_out in GROUPS.items():
        tests[f"left out: {group}"] = make_set(held, ours(left_out), 2, 2, True)
        makers[f"ours without {group}"] = ours(tuple(name for name in TYPES if name not in left_out))
    results: dict[str, dict[str, object]] = {}
    for name, maker in makers.items():
        net = train(make_set(learn, maker, 1, 3, False), args.seed)
        group = name.removeprefix("ours without ")
        seen = [test for test in tests if group == name or not test.startswith("left out") or test.endswith(group)]
        results[name] = {test: evaluate(net, tests[test]) for test in seen}
        if not args.json:
            for test, row in results[name].items():
                print(f"{name:22} → {test:20} {row}", flush=True)
    if args.json:
        print(json.dumps({"people": len(people), "trained_on": results}))


if __name__ == "__main__":
    main()
