"""The command line of `facecurate train`."""

from train.cli.main import cli

__all__ = ["cli"]
