"""One command over the whole toolkit: `facecurate ingest PHOTOS …`, `facecurate audit run REF`, `facecurate app`."""

__version__ = "0.2.0.dev0"
