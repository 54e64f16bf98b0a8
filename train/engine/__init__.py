"""TODO train.engine."""

from train.engine.loop import Progress, Row, fit
from train.engine.tracking import tracking

__all__ = ["Progress", "Row", "fit", "tracking"]
