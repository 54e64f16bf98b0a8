"""Users' own masks: RGBA pictures with six key points each.

A folder holds any number of JSON files, one per mask::

    {"template": "floral.png",                     # RGBA, beside the JSON file, whose stem names the type
     "key_points": {"top_left": [21, 97], "top_middle": [307, 22], "top_right": [600, 99],
                    "bottom_left": [25, 322], "bottom_middle": [295, 470], "bottom_right": [600, 323]},
     "straps": "loops",                            # optional: loops (default), bands, none
     "strap_rgb": [240, 240, 238]}                 # optional

Points are x, y in pixels of the picture: the corners of the fabric if worn, the point on the nose bridge and the one
under the chin. They may lie a little outside the picture. Colour is straight, not premultiplied.

INI files (`*.cfg`, `*.ini`) of existing template sets are read too, one section per mask: ``template = path`` and
``mask_a`` … ``mask_f`` = ``x, y`` in the order above. Sections without a template are skipped, and so are ``NAME_left``
and ``NAME_right`` beside ``NAME``: the frontal picture is warped to every yaw.
"""

from __future__ import annotations

import configparser
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import ConfigError, PhotoError, StageError, must_be_one_of
from data_manifests.files import read_json
from data_manifests.photo_files import PhotoFile, is_hash, read_photo
from data_manifests.versions import write_atomic
from synth.masks.drawing import HEADROOM, Template, mean_colour
from synth.masks.types import MaskType

KEY_POINTS = ("top_left", "top_middle", "top_right", "bottom_left", "bottom_middle", "bottom_right")
USER_STRAPS = ("loops", "bands", "none")
_INI_KEYS = ("mask_a", "mask_b", "mask_c", "mask_d", "mask_e", "mask_f")
_MAX_SIDE_PX = 4096
_MIN_WIDTH_PX = 96


@dataclass(frozen=True)
class UserTemplate:
    """A user's mask: one `Template` per size, largest first, and a row like those of MASK_TYPES."""

    name: str
    kind: MaskType
    sizes: tuple[Template, ...]
    picture: bytes  # bytes of the file
    spec: dict[str, Any]  # contents of its JSON file without `template`
    sha256: str  # of picture and spec

    def at_width(self, width_px: float) -> Template:
        """Return the smallest size at least `width_px` wide, else the largest."""
        fits = [t for t in self.sizes if float(np.ptp(t.key_xy[:, 0])) >= width_px]
        return fits[-1] if fits else self.sizes[0]


def load_templates(folder: str | Path) -> dict[str, UserTemplate]:
    """Read all masks of a folder: type name → template. Raises ConfigError, in one line, for the first invalid one."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError(f"template folder not found: {folder}.")
    found: dict[str, UserTemplate] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in (".json", ".cfg", ".ini")):
        read = _read_json if path.suffix.lower() == ".json" else _read_ini
        for name, template in read(path).items():
            if name in found:
                raise ConfigError(f"{path}: the mask name {name!r} is used twice in this folder. Rename one of them.")
            found[name] = template
    if not found:
        raise ConfigError(f"no masks in {folder}. Add one JSON file per RGBA picture, or an INI file.")
    return found


def keep_template(template: UserTemplate, folder: Path) -> None:
    """Write a mask as `SHA256.json` and `SHA256.png` for `load_kept_template`, because its own folder may change."""
    picture = folder / f"{template.sha256}.png"
    write_atomic(picture, template.picture)
    spec = {"template": picture.name, **template.spec}
    write_atomic(folder / f"{template.sha256}.json", json.dumps(spec).encode())


@lru_cache(maxsize=64)
def load_kept_template(folder: Path, sha256: str) -> UserTemplate:
    """Read the mask that mask parameters name. Raises StageError if it is missing or has changed."""
    file = folder / f"{sha256}.json"
    if not is_hash(sha256) or not file.is_file():
        raise StageError(f"mask template {sha256[:12]} is not in {folder}.")
    try:
        template = _read_json(file)[sha256]
    except ConfigError as error:
        raise StageError(str(error)) from None
    if template.sha256 != sha256:
        raise StageError(f"mask template {sha256[:12]} in {folder} has changed since it was kept.")
    return template


def _read_json(path: Path) -> dict[str, UserTemplate]:
    data = read_json(path, error=ConfigError, kind=dict)
    if not isinstance(data.get("template"), str):
        raise ConfigError(f'{path}: "template" must name an RGBA picture.')
    points = data.get("key_points")
    if not isinstance(points, dict):
        raise ConfigError(f'{path}: "key_points" must give {", ".join(KEY_POINTS)}.')
    straps = data.get("straps", "loops")
    if straps not in USER_STRAPS:
        raise ConfigError(f"{path}: {must_be_one_of('straps', USER_STRAPS, straps)}")
    colour = _numbers(data.get("strap_rgb", [240, 240, 238]), 3, f"{path}: strap_rgb")
    keys = _key_points(points, KEY_POINTS, str(path))
    return {path.stem: _build(path.stem, str(path), path.parent / data["template"], keys, straps, colour)}


def _read_ini(path: Path) -> dict[str, UserTemplate]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, configparser.Error) as error:
        raise ConfigError(f"{path}: not readable as INI ({str(error).splitlines()[0]}).") from error
    found = {}
    for name in parser.sections():
        section, where = parser[name], f"{path} [{name}]"
        pose_of = name.removesuffix("_left").removesuffix("_right")
        if "template" not in section or (pose_of != name and pose_of in parser):
            continue
        points = {k: section[k].split(",") for k in _INI_KEYS if k in section}
        keys = _key_points(points, _INI_KEYS, where)
        picture = _find_picture(path, section["template"].strip(), where)
        found[name] = _build(name, where, picture, keys, "loops", [240.0, 240.0, 238.0])
    return found


def _find_picture(ini: Path, named: str, where: str) -> Path:
    """Return the picture. Existing sets name it from the folder above the INI file; beside it is accepted too."""
    places = [ini.parent / named, ini.parent.parent / named, ini.parent / Path(named).name]
    for place in places:
        if place.is_file():
            return place
    raise ConfigError(f"{where}: template picture not found: {named} (searched in {ini.parent} and its parent).")


def _numbers(value: Any, count: int, where: str) -> list[float]:
    try:
        numbers = [float(x) for x in value]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ConfigError(f"{where} must be {count} numbers. Got {value!r} instead.")
    return numbers


def _key_points(points: Mapping[str, Any], names: tuple[str, ...], where: str) -> NDArray[np.float32]:
    """Return (6, 2) px in the order of KEY_POINTS. Raises ConfigError if one is missing or their order is wrong."""
    missing = [name for name in names if name not in points]
    if missing:
        raise ConfigError(f"{where}: key point {missing[0]} is missing. Needed: {', '.join(names)}.")
    keys = np.array([_numbers(points[name], 2, f"{where}: key point {name}") for name in names], np.float32)
    across = (np.diff(keys[:3, 0]) > 0).all() and (np.diff(keys[3:, 0]) > 0).all()
    if not across or not (keys[3:, 1] > keys[:3, 1]).all():
        raise ConfigError(f"{where}: key points must run left to right, and the bottom ones lie below the top ones.")
    return keys


def _build(
    name: str, where: str, picture: Path, keys: NDArray[np.float32], straps: str, strap_rgb: list[float]
) -> UserTemplate:
    try:
        real = picture.resolve()
        data = read_photo(PhotoFile(real.parent, real.name))
    except PhotoError as error:
        text = "not found" if error.kind == "missing" else f"cannot be read, {error}"
        raise ConfigError(f"{where}: template picture {text}: {picture}.") from error
    rgba = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if rgba is None:
        raise ConfigError(f"{where}: {picture} is not a readable picture.")
    if rgba.ndim != 3 or rgba.shape[2] != 4 or rgba.dtype != np.uint8:
        raise ConfigError(f"{where}: {picture} must be RGBA with 8 bits. Got shape {rgba.shape}, {rgba.dtype} instead.")
    if max(rgba.shape[:2]) > _MAX_SIDE_PX:
        raise ConfigError(f"{where}: {picture} must be at most {_MAX_SIDE_PX} px on a side. Got {rgba.shape[:2]}.")
    if not (rgba[..., 3] > 127).any():
        raise ConfigError(f"{where}: {picture} is transparent everywhere.")
    spec = {
        "key_points": dict(zip(KEY_POINTS, keys.tolist(), strict=True)), "straps": straps, "strap_rgb": strap_rgb,
    }  # fmt: skip
    red, green, blue = (int(np.clip(c, 0, 255)) for c in strap_rgb)
    kind = MaskType(
        "user", ((255, 255, 255),), straps=straps, strap_colours=((red, green, blue),), anchor_t=(0.05, 0.95)
    )
    digest = hashlib.sha256(data + json.dumps(spec, sort_keys=True).encode()).hexdigest()
    sizes = _pyramid(np.asarray(rgba[..., [2, 1, 0, 3]], np.uint8), keys)
    return UserTemplate(name, kind, sizes, data, spec, digest)


def _pyramid(rgba: NDArray[np.uint8], keys: NDArray[np.float32]) -> tuple[Template, ...]:
    """Return premultiplied sizes, each half of the one before: shrinking in one step would alias."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    flat = np.dstack([rgba[..., :3] * (alpha * HEADROOM), rgba[..., 3]]).astype(np.float32)
    level = np.pad(flat, ((2, 2), (2, 2), (0, 0)))
    keys = keys + 2
    sizes = []
    while True:
        rgba8 = np.rint(level).astype(np.uint8)
        sizes.append(Template(rgba8, np.full(rgba8.shape[:2], 128, np.uint8), keys.copy(), mean_colour(rgba8)))
        if float(np.ptp(keys[:, 0])) < 2 * _MIN_WIDTH_PX:
            return tuple(sizes)
        h, w = level.shape[:2]
        smaller = cv2.resize(level, ((w + 1) // 2, (h + 1) // 2), interpolation=cv2.INTER_AREA)
        ratio = np.array([smaller.shape[1] / w, smaller.shape[0] / h], np.float32)
        keys, level = (keys + 0.5) * ratio - 0.5, np.asarray(smaller, np.float32)
