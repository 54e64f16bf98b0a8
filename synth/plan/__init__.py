"""TODO synth.plan."""

from synth.plan.planning import PLAN_COLUMNS, Plan, make_plan
from synth.plan.run import run_plan
from synth.plan.variation import vary
from synth.plan.verify import verify

__all__ = ["PLAN_COLUMNS", "Plan", "make_plan", "run_plan", "vary", "verify"]
