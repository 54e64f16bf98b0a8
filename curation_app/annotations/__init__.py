"""TODO curation_app.annotations."""

from curation_app.annotations.annotation_set import Judged, judged, signers
from curation_app.annotations.annotator_log import Words
from curation_app.annotations.log import correction, value_of
from curation_app.annotations.review_progress import UNDO, Label, Progress, Saved

__all__ = ["UNDO", "Judged", "Label", "Progress", "Saved", "Words", "correction", "judged", "signers", "value_of"]
