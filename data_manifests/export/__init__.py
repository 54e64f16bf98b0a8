"""Export of versions for other programs, one module per format."""

from data_manifests.export.formats import FORMATS, export

__all__ = ["FORMATS", "export"]
