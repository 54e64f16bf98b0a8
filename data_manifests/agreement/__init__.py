"""TODO data_manifests.agreement."""

from data_manifests.agreement.consensus import RULES, SIGNATURE, Decision, decide, to_corrections, write_log
from data_manifests.agreement.crowdlab import likeliest
from data_manifests.agreement.kappa import ADJUDICATION, Agreement, Unit, agreement, conflicts, find_units, read_sources

__all__ = [
    "ADJUDICATION",
    "RULES",
    "SIGNATURE",
    "Agreement",
    "Decision",
    "Unit",
    "agreement",
    "conflicts",
    "decide",
    "find_units",
    "likeliest",
    "read_sources",
    "to_corrections",
    "write_log",
]
