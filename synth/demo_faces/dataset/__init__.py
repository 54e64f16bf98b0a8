"""TODO synth.demo_faces.dataset."""
