"""One file per detector, landmarker and remover; the heavy imports live here and nowhere else in this package."""
