"""The palette of every report and of the app, light and dark, as Python values and as CSS variables."""

from __future__ import annotations

from dataclasses import dataclass, fields

_APP_FONT = "'Source Sans', 'Liberation Sans', Arial, sans-serif"  # Streamlit's
_PAGE_FONT = "system-ui, 'Segoe UI', 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"


@dataclass(frozen=True)
class Palette:
    """Colours by purpose, as CSS colours, and the font."""

    paper: str  # background of a page
    card: str  # background of a box on the page
    track: str  # unfilled part of a bar
    rule: str  # thin lines
    ink: str  # text
    soft: str  # secondary text
    faint: str  # text of least importance
    blue: str
    amber: str
    green: str
    red: str
    tint: str  # background of a warning
    font: str


LIGHT = Palette(
    paper="#fbfaf8", card="#ffffff", track="#eeebe5", rule="#e5e2dc", ink="#1f2328", soft="#5d6570", faint="#8b929c",
    blue="#2f6fb0", amber="#b8741a", green="#3c8558", red="#b3402f", tint="#f6e6e1", font=_APP_FONT,
)  # fmt: skip
DARK = Palette(
    paper="#16181b", card="#1d2024", track="#2a2e33", rule="#2e3238", ink="#e6e4e0", soft="#a3a9b1", faint="#7b828b",
    blue="#74aee6", amber="#dba653", green="#79bf94", red="#e88a7a", tint="#3a2521", font=_APP_FONT,
)  # fmt: skip
_COLOURS = [field.name for field in fields(Palette) if field.name != "font"]
PAGE = Palette(**{name: f"var(--{name})" for name in _COLOURS}, font=_PAGE_FONT)  # an HTML page: light or dark by CSS


def style_variables() -> str:
    """Return the CSS rules that define the variables of `PAGE`, light or dark as the reader's system is."""
    light, dark = (" ".join(f"--{name}: {getattr(palette, name)};" for name in _COLOURS) for palette in (LIGHT, DARK))
    return (
        f":root {{ color-scheme: light dark; {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
        f"body {{ font-family: {_PAGE_FONT}; }}"
    )
