"""A first study from a few answers: what `llem init` offers, checks and writes."""

from llem.first_study.answers import CARE, Answers, Care, seen_from
from llem.first_study.axes import read_axes
from llem.first_study.checking import Checked, check
from llem.first_study.demo import demo_study
from llem.first_study.offers import Offer, every_key, offers_of, preferred_backend

__all__ = [
    "CARE",
    "Answers",
    "Care",
    "Checked",
    "Offer",
    "check",
    "demo_study",
    "every_key",
    "offers_of",
    "preferred_backend",
    "read_axes",
    "seen_from",
]
