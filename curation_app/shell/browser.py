"""Scripts for the browser, each sent as one text."""

from __future__ import annotations

import re
from pathlib import Path

_SHARED = Path(__file__).with_name("browser.js")
_IMPORT = re.compile(r'^import \{[^}]*\} from "\.\./shell/browser\.js";\n', re.MULTILINE)


def browser_script(file: Path) -> str:
    """Return a component's script with the shared helpers in place of their import.

    Streamlit sends a component's script as one text, from which nothing can be imported.
    """
    shared = _SHARED.read_text("utf8").replace("\nexport ", "\n")
    return _IMPORT.sub(lambda _: shared, file.read_text("utf8"), count=1)
