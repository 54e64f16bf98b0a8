"""Contact sheets of photos with their attention maps, as PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from reporting.theme import LIGHT

FACE_LINE, BACKGROUND_LINE = (255, 255, 255), (120, 200, 255)
TILE_PX, GAP_PX, MARGIN_PX, LEFT_PX = 190, 10, 28, 128


@dataclass(frozen=True)
class Tile:
    """One photo of a sheet: RGB uint8 (H, W, 3), its maps float (H, W) in [0, 1], and masks (H, W) to outline."""

    picture: np.ndarray
    maps: Mapping[str, np.ndarray]
    outlines: Sequence[tuple[np.ndarray, tuple[int, int, int]]]
    caption: str
    below: str
    is_correct: bool


def contact_sheet(title: str, subtitle: str, tiles: Sequence[Tile], footer: str) -> bytes:
    """Draw a PNG with one column per tile, the photo above its maps."""
    height, width = tiles[0].picture.shape[:2]
    tile_w = round(TILE_PX * width / height)
    names = list(tiles[0].maps)
    step_x, step_y = tile_w + GAP_PX, TILE_PX + GAP_PX
    top = MARGIN_PX + 62
    page_w = max(LEFT_PX + MARGIN_PX + step_x * len(tiles), 880)
    page_h = top + step_y * (1 + len(names)) + 52 + 44
    page = Image.new("RGB", (page_w, page_h), LIGHT.paper)
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN_PX, MARGIN_PX - 6), title, LIGHT.ink, _font(24, bold=True))
    draw.text((MARGIN_PX, MARGIN_PX + 26), subtitle, LIGHT.soft, _font(14))
    for row, name in enumerate(["photo", *names]):
        draw.multiline_text((MARGIN_PX, top + row * step_y + 4), name, LIGHT.soft, _font(14), spacing=3)
    for column, tile in enumerate(tiles):
        x = LEFT_PX + column * step_x
        for row, picture in enumerate([tile.picture, *(_overlay(tile, tile.maps[name]) for name in names)]):
            page.paste(Image.fromarray(_resize(picture, tile_w)), (x, top + row * step_y))
        y = top + (1 + len(names)) * step_y - 2
        draw.text(
            (x, y), _fitting(draw, tile.caption, tile_w, 14), LIGHT.green if tile.is_correct else LIGHT.red, _font(14)
        )
        draw.text((x, y + 20), _fitting(draw, tile.below, tile_w, 12), LIGHT.soft, _font(12))
    draw.text((MARGIN_PX, page_h - 34), footer, LIGHT.soft, _font(12))
    buffer = io.BytesIO()
    page.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def heat(picture: np.ndarray, heat_map: np.ndarray) -> np.ndarray:
    """Draw a map float (H, W) in [0, 1] over the picture uint8 (H, W, 3) in grey; return uint8 (H, W, 3)."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None].repeat(3, 2).astype(np.float32)
    colour = cv2.applyColorMap((heat_map * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1].astype(np.float32)
    weight = (0.8 * heat_map**0.75)[..., None]
    return (grey * (1 - weight) + colour * weight).clip(0, 255).astype(np.uint8)


def _overlay(tile: Tile, heat_map: np.ndarray) -> np.ndarray:
    """Draw the map with outlines, at twice the size for thin lines."""
    out = cv2.resize(heat(tile.picture, heat_map), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    for mask, colour in tile.outlines:
        large = cv2.resize(mask.astype(np.uint8), out.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        lines, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        out = cv2.drawContours(out.copy(), lines, -1, colour, 1, cv2.LINE_AA)
    return out


def _resize(picture: np.ndarray, width: int) -> np.ndarray:
    shrinks = picture.shape[1] > width
    return cv2.resize(picture, (width, TILE_PX), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _fitting(draw: ImageDraw.ImageDraw, text: str, width: int, size: int) -> str:
    while text and draw.textlength(text, _font(size)) > width:
        text = text[:-2].rstrip(" …") + "…"
    return text


@cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Load DejaVu Sans from matplotlib; it has ≥ and –."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)
