"""TODO pipeline.faces.backends."""
