"""Small photo files, and the failed rows of a table, for tests of ingest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image


def draw(path: Path, seed: int = 0, size: tuple[int, int] = (24, 32)) -> None:
    """Save an image of random pixels that is unique to the seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def failed(table: pa.Table) -> list[dict]:
    """Return the rows with status failed."""
    return table.filter(pc.equal(table["status"], "failed")).to_pylist()


def write_lines(path: Path, *lines: str) -> None:
    """Write a text file, such as a CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "utf8")


def write_json(path: Path, content: object) -> None:
    """Write a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False), "utf8")


def coco(names: dict[str, list[tuple[str, dict]]], categories: list[str]) -> dict:
    """Return a COCO file: for each image the category and the attributes of its annotations."""
    ids = {name: number for number, name in enumerate(categories, 1)}
    found: dict[str, list[dict]] = {"images": [], "annotations": [], "categories": []}
    found["categories"] = [{"id": number, "name": name, "supercategory": "none"} for name, number in ids.items()]
    for image, (name, faces) in enumerate(names.items()):
        found["images"].append({"id": image, "file_name": name, "width": 24, "height": 32, "license": 1})
        for face, (category, attributes) in enumerate(faces):
            box = [10 * face, 0, 8, 8]
            number = len(found["annotations"])
            about = {"id": number, "image_id": image, "category_id": ids[category], "bbox": box, "area": 64}
            found["annotations"].append(about | ({"attributes": attributes} if attributes else {}))
    return found


def label_studio_task(number: int, image: str, *annotations: dict[str, object], cancelled: bool = False) -> dict:
    """Return a task of Label Studio's export JSON; each annotation has the value of each control tag."""
    kinds = {str: "choices", int: "number"}
    done = [
        {
            "id": 10 * number + place,
            "completed_by": place,
            "was_cancelled": cancelled,
            "result": [
                {
                    "from_name": name,
                    "to_name": "image",
                    "type": kinds[type(value)],
                    "value": {kinds[type(value)]: [value] if isinstance(value, str) else value},
                }
                for name, value in values.items()
            ],
        }
        for place, values in enumerate(annotations)
    ]
    return {"id": number, "data": {"image": image}, "annotations": done, "predictions": []}
