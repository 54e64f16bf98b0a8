"""Versions of a manifest: the store, what is recorded about each version, content hashes, and atomic writes."""

from data_manifests.versions.atomic_io import write_atomic
from data_manifests.versions.content_hash import file_sha256, has_former_ids, id_keys, sample_id, table_sha256
from data_manifests.versions.metadata import Manifest, Version, count_values, tool_versions
from data_manifests.versions.store import WORKSPACE_ROOT, Store

__all__ = [
    "WORKSPACE_ROOT",
    "Manifest",
    "Store",
    "Version",
    "count_values",
    "file_sha256",
    "has_former_ids",
    "id_keys",
    "sample_id",
    "table_sha256",
    "tool_versions",
    "write_atomic",
]
