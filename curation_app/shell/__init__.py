"""TODO curation_app.shell."""

from curation_app.shell.commands import run_command
from curation_app.shell.session import Desk

__all__ = ["Desk", "run_command"]
