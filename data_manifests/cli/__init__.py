"""The command line `facecurate`: each command calls the functions of one sub-package."""

from data_manifests.cli.main import cli

__all__ = ["cli"]
