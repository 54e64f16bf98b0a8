"""`facecurate app`: the review app, started from wherever the package is installed."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import click

from facecurate.lazy_group import resolve


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "--workspace",
    envvar="WORKSPACE",
    default="workspace",
    show_default=True,
    show_envvar=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of versions, corrections and runs.",
)
@click.argument("streamlit_options", nargs=-1, type=click.UNPROCESSED)
def app(workspace: Path, streamlit_options: tuple[str, ...]) -> None:
    """Open the review app in the browser, on localhost.

    Further options go to `streamlit run`, such as --server.port 8600 or --server.headless false.
    """
    os.environ["WORKSPACE"] = str(workspace.absolute())
    streamlit = resolve("streamlit.web.cli:main")  # by name, as any other program: only curation_app imports streamlit
    streamlit(["run", str(app_folder()), *streamlit_options], prog_name="facecurate app")


def app_folder() -> Path:
    """Return the folder of curation_app, without importing it."""
    spec = importlib.util.find_spec("curation_app")
    if spec is None or not spec.submodule_search_locations:
        raise click.ClickException("the package curation_app is not installed. Install the toolkit again: make setup")
    return Path(spec.submodule_search_locations[0])
