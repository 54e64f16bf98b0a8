"""Several annotators: their annotations of each label, agreement, and consensus."""

from data_manifests.agreement.consensus import RULES, SIGNATURE, Decision, decide, to_corrections, write_log
from data_manifests.agreement.crowdlab import most_likely
from data_manifests.agreement.kappa import Agreement, agreement
from data_manifests.agreement.labels import ADJUDICATION, AnnotatedLabel, annotated_labels, conflicts, read_sources

__all__ = [
    "ADJUDICATION",
    "RULES",
    "SIGNATURE",
    "Agreement",
    "AnnotatedLabel",
    "Decision",
    "agreement",
    "annotated_labels",
    "conflicts",
    "decide",
    "most_likely",
    "read_sources",
    "to_corrections",
    "write_log",
]
