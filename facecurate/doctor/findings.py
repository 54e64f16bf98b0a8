"""All that the doctor found in one photo set, and the same as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from data_manifests.splits import Leak
from facecurate.doctor.contents import Contents
from facecurate.doctor.suspects import Suspicions
from pipeline.faces import FaceShare


@dataclass(frozen=True)
class Findings:
    """One photo set: its source, the version, and what was found. `suspicions` is None until the audit has ended.

    `problem` states why there was no audit.
    """

    name: str
    ref: str
    source: str
    layout: str
    evidence: str
    contents: Contents
    leaks: tuple[Leak, ...]
    face_share: FaceShare | None = None
    suspicions: Suspicions | None = None
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        found = asdict(self)
        balance = self.contents.balance
        if self.face_share and not self.face_share.faces:
            found["face_share"]["median"] = None  # JSON has no NaN
        found["contents"]["balance"] |= {"ratio": balance.ratio, "empty": balance.empty, "missing": balance.missing}
        return found
