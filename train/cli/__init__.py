"""TODO train.cli."""

from train.cli.main import cli

__all__ = ["cli"]
