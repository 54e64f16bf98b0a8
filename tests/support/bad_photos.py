"""A corpus of unusual and bad photos, generated: each kind writes one entry of a folder and names the verdict on it."""

from __future__ import annotations

import io
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()  # its writer too
_RNG = np.random.default_rng(16)
PIXELS = np.clip(np.cumsum(_RNG.normal(0, 4, (96, 72, 3)), axis=1) + 128, 0, 255).astype(np.uint8)
GREY = PIXELS[..., 0]
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(ran) print quit\n%%EOF\n"


@dataclass(frozen=True)
class Kind:
    """One entry: its file name, what writes it, and a part of the reason, or "" for a photo that is read."""

    name: str
    write: Callable[[Path], object]
    reason: str = ""
    remark: str = ""
    is_regular: bool = True


def encoded(format_: str, pixels: np.ndarray = PIXELS, **options: object) -> bytes:
    """Return pixels as the bytes of a file."""
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, format_, **options)
    return sink.getvalue()


def _bytes(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def _header(data: bytes, progressive: bool, height: float = 1, width: float = 1) -> bytes:
    """Return a JPEG whose header states other sides, as a factor."""
    changed = bytearray(data)
    at = data.find(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
    sides = struct.unpack(">HH", data[at : at + 4])
    changed[at : at + 4] = struct.pack(">HH", int(sides[0] * height), int(sides[1] * width))
    return bytes(changed)


def _socket(path: Path) -> None:
    here = os.getcwd()
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(path.parent)  # the name of a socket is limited to 108 bytes
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


def _outside(path: Path) -> None:
    target = path.parents[1] / f"outside-{path.parent.name}.jpg"
    target.write_bytes(JPEG)
    path.symlink_to(target)


def _tiff(pixels: np.ndarray, tags: dict[int, object] | None = None) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "TIFF", tiffinfo=tags or {})
    return sink.getvalue()


def _deep(suffix: str, pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(suffix, pixels)[1])


def _turned(format_: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(format_, exif=exif)


JPEG = encoded("JPEG", quality=95)
PROGRESSIVE = encoded("JPEG", quality=95, progressive=True)
_CUT = "cannot be decoded: corrupt JPEG data: premature end"
_LEFT = "extraneous bytes"
_NONE = "is not a picture in a known format"

SPECIAL = (
    Kind("fifo.jpg", lambda path: os.mkfifo(path), "is not a file", is_regular=False),
    Kind("socket.png", _socket, "is not a file", is_regular=False),
    Kind("zero.jpg", lambda path: path.symlink_to("/dev/zero"), "leads out of the photo folder", is_regular=False),
    Kind("secret.jpg", lambda path: path.symlink_to("/etc/passwd"), "leads out of the photo folder", is_regular=False),
    Kind("outside.jpg", _outside, "leads out of the photo folder", is_regular=False),
    Kind("dangling.jpg", lambda path: path.symlink_to("nowhere.jpg"), "file does not exist", is_regular=False),
    Kind("loop.jpg", lambda path: path.symlink_to("loop.jpg"), "file cannot be read", is_regular=False),
)
BROKEN = (
    Kind("empty.jpg", _bytes(b""), "file is empty"),
    Kind("text.jpg", _bytes(b"no picture"), _NONE),
    Kind("script.jpg", _bytes(EPS), _NONE),
    Kind("page.jpg", _bytes(b"%PDF-1.4\n"), _NONE),
    Kind("drawing.png", _bytes(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), _NONE),
    Kind("ppm.jpg", _bytes(b"P6 2 2 255\n" + bytes(12)), _NONE),
    Kind("cut.jpg", _bytes(JPEG[: len(JPEG) // 2]), "truncated"),
    Kind("cut-ended.jpg", _bytes(JPEG[: len(JPEG) // 2] + b"\xff\xd9"), _CUT),
    Kind("cut-progressive.jpg", _bytes(PROGRESSIVE[: len(PROGRESSIVE) // 2] + b"\xff\xd9"), _CUT),
    Kind("tall.jpg", _bytes(_header(JPEG, False, height=2)), _CUT),
    Kind("short.jpg", _bytes(_header(JPEG, False, height=0.5)), _LEFT),
    Kind("wide.jpg", _bytes(_header(JPEG, False, width=2)), _CUT),
    Kind("narrow.jpg", _bytes(_header(JPEG, False, width=0.5)), _LEFT),
    Kind("tall-progressive.jpg", _bytes(_header(PROGRESSIVE, True, height=2)), _CUT),
    Kind("huge.jpg", _bytes(_header(JPEG, False, height=600, width=800)), "over the limit of 64 million pixels"),
    Kind("cut.png", _bytes(encoded("PNG")[:800]), "cannot be decoded"),
    Kind("cut.webp", _bytes(encoded("WEBP")[:200]), "cannot be decoded"),
    Kind("cut.tif", _bytes(_tiff(PIXELS)[:900]), "cannot be decoded"),
    Kind("cut.bmp", _bytes(encoded("BMP")[:900]), "cannot be decoded"),
    Kind("cut.heic", _bytes(encoded("HEIF")[:400]), "cannot be decoded"),
    Kind("cut.avif", _bytes(encoded("AVIF")[:400]), _NONE),
)
ODD = (
    Kind("plain.jpg", _bytes(JPEG)),
    Kind("plain.jpe", _bytes(JPEG)),
    Kind("plain.jfif", _bytes(JPEG)),
    Kind("plain.PNG", _bytes(encoded("PNG"))),
    Kind("plain.gif", _bytes(encoded("GIF"))),
    Kind("plain.avif", _bytes(encoded("AVIF"))),
    Kind("plain.heic", _bytes(encoded("HEIF", quality=95))),
    Kind("plain.webp", _bytes(encoded("WEBP"))),
    Kind("progressive.jpeg", _bytes(PROGRESSIVE)),
    Kind("print.jpg", lambda path: Image.fromarray(PIXELS).convert("CMYK").save(path)),
    Kind("grey.jpg", _bytes(encoded("JPEG", GREY))),
    Kind("tail.jpg", _bytes(JPEG + b"left by an editor" * 20)),
    Kind("padded.jpg", _bytes(JPEG[:-2] + bytes(16) + JPEG[-2:])),
    Kind("7x40.jpg", _bytes(encoded("JPEG", PIXELS[:40, :7]))),
    Kind("1x1.jpg", _bytes(encoded("JPEG", PIXELS[:1, :1]))),
    Kind("link.jpg", lambda path: (path.with_name("plain.jpg").write_bytes(JPEG), path.symlink_to("plain.jpg"))),
    Kind("turned.jpg", _bytes(_turned("JPEG"))),
    Kind("turned.avif", _bytes(_turned("AVIF"))),
    Kind("turned.tif", _bytes(_tiff(PIXELS, {0x0112: 6}))),
    Kind("unit.tif", _bytes(_tiff(GREY.astype(np.float32) / 255)), remark="so that 1 is white"),
    Kind("float.tif", _bytes(_tiff(GREY.astype(np.float32)))),
    Kind("twelve.tif", _bytes(_tiff(GREY.astype(np.uint16) * 16)), remark="so that 4095 is white"),
    Kind("twelve.png", _bytes(_deep(".png", GREY.astype(np.uint16) * 16)), remark="so that 4095 is white"),
    Kind("twelve-rgb.png", _bytes(_deep(".png", PIXELS[..., ::-1].astype(np.uint16) * 16)), remark="16-bit colours"),
    Kind("twelve-rgb.tif", _bytes(_deep(".tiff", PIXELS[..., ::-1].astype(np.uint16) * 16)), remark="16-bit colours"),
    Kind("stated.tif", _bytes(_tiff(GREY.astype(np.uint16) * 4, {281: 1020})), remark="as the file states"),
    Kind("sixteen.tif", _bytes(_tiff(GREY.astype(np.uint16) * 257))),
    Kind("sixteen.png", _bytes(_deep(".png", PIXELS[..., ::-1].astype(np.uint16) * 257))),
)
KINDS = (*SPECIAL, *BROKEN, *ODD)
LONG_NAME = "a" * 251 + ".jpg"
NOT_UTF8 = b"gr\xfc\xdfe.jpg"


def write_corpus(folder: Path, kinds: tuple[Kind, ...] = KINDS) -> dict[str, Kind]:
    """Write the kinds into a new folder and return them by name."""
    folder.mkdir(parents=True)
    for kind in kinds:
        path = folder / kind.name
        if not path.exists():
            kind.write(path)
    return {kind.name: kind for kind in kinds}
