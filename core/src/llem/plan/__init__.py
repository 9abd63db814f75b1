"""From a loaded study to a plan: which experiment runs when, where, and under which identity."""

from llem.plan.make import make_plan
from llem.plan.models import Plan, Planned
from llem.plan.runners import RunnerChoice

__all__ = ["Plan", "Planned", "RunnerChoice", "make_plan"]
