"""TODO data_manifests.cli."""

from data_manifests.cli.main import cli

__all__ = ["cli"]
