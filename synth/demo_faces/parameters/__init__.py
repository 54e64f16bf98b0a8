"""TODO synth.demo_faces.parameters."""

from synth.demo_faces.parameters.person import FaceShape, HairLook, Person, Shot
from synth.demo_faces.parameters.sampling import make_people, sample_person, sample_shot

__all__ = ["FaceShape", "HairLook", "Person", "Shot", "make_people", "sample_person", "sample_shot"]
