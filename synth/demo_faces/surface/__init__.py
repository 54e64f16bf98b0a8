"""The surface of a rendered person: head, face atlas, eyes and glasses, hair, ears, neck and clothes."""

from synth.demo_faces.surface.body import (
    BODY_DENSITY,
    BODY_TOP,
    BODY_X_HALF,
    EAR_DENSITY,
    EAR_HALF_HEIGHT,
    EAR_WIDTH,
    PartAtlas,
    build_body,
    build_ear,
)
from synth.demo_faces.surface.eyes_and_glasses import eye_half_width, glasses_overlay, lid_curves, paint_eye
from synth.demo_faces.surface.face_atlas import FaceAtlas, brow_curve, build_face
from synth.demo_faces.surface.grid import DENSITY, X_HALF, Y_TOP, Array, value_noise
from synth.demo_faces.surface.hair import HAIR_DENSITY, HAIR_TOP, HAIR_X_HALF, STYLES, HairAtlas, build_hair
from synth.demo_faces.surface.head import CHIN_Y, EYE_X, MOUTH_Y, ShellRadii, head_radii, lip_curves, mouth_half_width

__all__ = [
    "BODY_DENSITY",
    "BODY_TOP",
    "BODY_X_HALF",
    "CHIN_Y",
    "DENSITY",
    "EAR_DENSITY",
    "EAR_HALF_HEIGHT",
    "EAR_WIDTH",
    "EYE_X",
    "HAIR_DENSITY",
    "HAIR_TOP",
    "HAIR_X_HALF",
    "MOUTH_Y",
    "STYLES",
    "X_HALF",
    "Y_TOP",
    "Array",
    "FaceAtlas",
    "HairAtlas",
    "PartAtlas",
    "ShellRadii",
    "brow_curve",
    "build_body",
    "build_ear",
    "build_face",
    "build_hair",
    "eye_half_width",
    "glasses_overlay",
    "head_radii",
    "lid_curves",
    "lip_curves",
    "mouth_half_width",
    "paint_eye",
    "value_noise",
]
