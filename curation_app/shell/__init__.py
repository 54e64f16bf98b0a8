"""The parts that all pages share: workspace, version and annotator, the sidebar, commands, errors and key bindings."""

from curation_app.shell.browser import browser_script
from curation_app.shell.commands import run_command, run_json_command
from curation_app.shell.context import (
    AppContext,
    app_context,
    chosen_ref,
    current_annotator,
    current_store,
    has_annotator,
    lifespan,
    load_rows,
)
from curation_app.shell.keyboard import ACTION_KEYS, LABEL_KEYS, REVIEW, TILES, keyboard
from curation_app.shell.messages import draw_welcome, escape_markdown, show_errors
from curation_app.shell.sidebar import draw_sidebar

__all__ = [
    "ACTION_KEYS",
    "LABEL_KEYS",
    "REVIEW",
    "TILES",
    "AppContext",
    "app_context",
    "browser_script",
    "chosen_ref",
    "current_annotator",
    "current_store",
    "draw_sidebar",
    "draw_welcome",
    "escape_markdown",
    "has_annotator",
    "keyboard",
    "lifespan",
    "load_rows",
    "run_command",
    "run_json_command",
    "show_errors",
]
