"""`facecurate doctor PHOTOS`: one page on any folder of faces, and the three commands that follow from it.

`contents` counts a version, `suspects` reads its audit, `findings` joins them; `next_commands` chooses the
commands, `page` and `summary` write them for a browser, a terminal and other programs.
"""

from facecurate.doctor.command import doctor

__all__ = ["doctor"]
