"""Manifests of face photos: schema, versions, ingest, corrections, splits, comparison and export."""
