"""The origin of a version: the layout of the photo folder that was ingested."""

from __future__ import annotations

from data_manifests.versions import Store, Version


def layout_of(version: Version, store: Store) -> str:
    """Return the layout of the newest ingest up to a version, or an empty text if its log has none."""
    layouts = [
        str(earlier.parameters.get("layout", ""))
        for earlier in store.log(version.name)
        if earlier.operation == "ingest" and earlier.number <= version.number
    ]
    return layouts[-1] if layouts else ""
