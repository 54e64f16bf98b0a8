"""The command line of `python -m train`."""

from train.cli.main import cli

__all__ = ["cli"]
