"""Parameters of rendered people and their snapshots, and how they are sampled."""

from synth.demo_faces.parameters.person import FaceShape, HairTraits, Person, Snapshot
from synth.demo_faces.parameters.sampling import make_people, sample_person, sample_snapshot

__all__ = ["FaceShape", "HairTraits", "Person", "Snapshot", "make_people", "sample_person", "sample_snapshot"]
