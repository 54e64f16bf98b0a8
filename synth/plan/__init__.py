"""Plans of synthetic profiles: make one, edit it as a table, run it, and verify its images."""

from synth.plan.execute import run_plan
from synth.plan.plan_table import Plan, make_plan, read_plan, write_plan
from synth.plan.sources import NothingToBalance
from synth.plan.variation import MAX_TURNED_OUTSIDE_SHARE, vary
from synth.plan.verify import Verification, verify

__all__ = [
    "MAX_TURNED_OUTSIDE_SHARE",
    "NothingToBalance",
    "Plan",
    "Verification",
    "make_plan",
    "read_plan",
    "run_plan",
    "vary",
    "verify",
    "write_plan",
]
