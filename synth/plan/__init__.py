"""Plans of synthetic profiles: make one, edit it as a table, run it, and verify its images."""

from synth.plan.execute import run_plan
from synth.plan.plan_table import PLAN_COLUMNS, Plan, make_plan
from synth.plan.variation import vary
from synth.plan.verify import verify

__all__ = ["PLAN_COLUMNS", "Plan", "make_plan", "run_plan", "vary", "verify"]
