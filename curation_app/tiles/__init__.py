"""TODO curation_app.tiles."""

from curation_app.tiles.actions import (
    EXCLUDE,
    INCLUDE,
    KEEP,
    LABELS,
    SAME,
    Action,
    Row,
    relabelling,
    right,
    suggested,
    text_of,
)
from curation_app.tiles.component import Tile
from curation_app.tiles.selection import (
    FIELDS,
    UNKNOWN,
    Labels,
    Predictions,
    age_names,
    counts,
    in_order,
    labels_of,
    not_judged,
)

__all__ = [
    "EXCLUDE",
    "FIELDS",
    "INCLUDE",
    "KEEP",
    "LABELS",
    "SAME",
    "UNKNOWN",
    "Action",
    "Labels",
    "Predictions",
    "Row",
    "Tile",
    "age_names",
    "counts",
    "in_order",
    "labels_of",
    "not_judged",
    "relabelling",
    "right",
    "suggested",
    "text_of",
]
