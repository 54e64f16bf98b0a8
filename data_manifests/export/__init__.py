"""TODO data_manifests.export."""

from data_manifests.export.formats import FORMATS, export

__all__ = ["FORMATS", "export"]
