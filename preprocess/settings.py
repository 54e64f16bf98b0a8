"""Settings of preprocessing: section `preprocess` of a YAML file, or `crop.margin_share=0.4` on the command line."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from pipeline.faces import MAX_LANDMARK_DISAGREEMENT
from pipeline.settings import Settings

Byte = Annotated[int, Field(ge=0, le=255)]
Pixels = Annotated[int, Field(ge=8, le=8192)]


class DetectSettings(Settings):
    """Settings of the detector. `params` are passed to the backend's `make`; docs/reference/backends.md lists them."""

    backend: str = "mtcnn"
    params: dict[str, Any] = Field(default_factory=dict)


class LandmarkSettings(Settings):
    """Settings of the landmarker.

    `max_disagreement` is the largest mean distance between the landmarks and the detector's five points, as a share of
    the face's scale (mean of eye distance and eye-to-mouth distance); beyond it the mean shape replaces the landmarks.
    """

    backend: str = "dlib68"
    params: dict[str, Any] = Field(default_factory=dict)
    max_disagreement: float = Field(default=MAX_LANDMARK_DISAGREEMENT, gt=0)


class CropSettings(Settings):
    """Settings of the crop.

    `when` auto measures whether the pictures are crops already, which are not cut again; always and never decide.
    `margin_share` is added on every side, as a share of the face box's longer side, and is reduced, at most to half,
    where the crop would reach beyond the picture. `size_wh` null keeps the image's scale. `align` rotates the image so
    that the eyes are level. `border` fills up to a tenth of the crop; more is grey.
    """

    renamed: ClassVar = {"margin": "margin_share"}

    when: Literal["auto", "always", "never"] = "auto"
    margin_share: float = Field(default=0.4, ge=0, le=5)
    size_wh: tuple[Pixels, Pixels] | None = (256, 256)
    align: bool = False
    border: Literal["replicate", "reflect", "grey", "black"] = "replicate"


class BackgroundSettings(Settings):
    """Settings of background removal.

    `backend` auto takes rembg's network where its file is there, else GrabCut; none keeps the background. The default
    colour is a middle grey, close to zero after normalisation.
    """

    backend: str = "auto"
    params: dict[str, Any] = Field(default_factory=dict)
    colour_rgb: tuple[Byte, Byte, Byte] = (127, 127, 127)


class DropAgesSettings(Settings):
    """Settings of drop-ages.

    `ages` is text such as "57,58,59" or "57-59"; auto means 57-59 for photos of the layout profiles, whose task asks
    for it, and none for others; an empty text means none. `relabel` applies to all splits.
    """

    ages: Annotated[str, Field(coerce_numbers_to_str=True)] = "auto"
    splits: tuple[str, ...] = ("train",)
    policy: Literal["exclude", "relabel"] = "exclude"


class PreprocessSettings(Settings):
    """Settings of all steps. `steps` lists what `run` does; `jobs` null means one process per core."""

    steps: tuple[Literal["crop", "background", "drop_ages"], ...] = ("crop", "background", "drop_ages")
    jobs: int | None = Field(default=None, ge=1)
    executor: str = "pool"
    detect: DetectSettings = DetectSettings()
    landmarks: LandmarkSettings = LandmarkSettings()
    crop: CropSettings = CropSettings()
    background: BackgroundSettings = BackgroundSettings()
    drop_ages: DropAgesSettings = DropAgesSettings()
