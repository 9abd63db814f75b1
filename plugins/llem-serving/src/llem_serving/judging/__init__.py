"""Objectives and figures of a load: pure functions over the requests that a load generator wrote down, and a window."""

from __future__ import annotations

from llem_serving.judging.columns import rejudge, requests_of
from llem_serving.judging.energy import energy_shares, j_per_good_token, j_per_output_token, j_per_request
from llem_serving.judging.in_flight import Step, in_flight, mean_in_flight
from llem_serving.judging.judgement import Judgement, judge, pooled
from llem_serving.judging.latency import e2e_s, tpot_s, ttft_s
from llem_serving.judging.lateness import Lateness, lateness
from llem_serving.judging.objectives import keeps
from llem_serving.judging.percentiles import Percentiles, percentiles
from llem_serving.judging.rates import achieved_rps, offered_rps
from llem_serving.judging.share_interval import PartCount, ShareInterval, share_interval
from llem_serving.judging.tokens import tokens_by_part, tokens_inside
from llem_serving.judging.window import Window

__all__ = [
    "Judgement",
    "Lateness",
    "PartCount",
    "Percentiles",
    "ShareInterval",
    "Step",
    "Window",
    "achieved_rps",
    "e2e_s",
    "energy_shares",
    "in_flight",
    "j_per_good_token",
    "j_per_output_token",
    "j_per_request",
    "judge",
    "keeps",
    "lateness",
    "mean_in_flight",
    "offered_rps",
    "percentiles",
    "pooled",
    "rejudge",
    "requests_of",
    "share_interval",
    "tokens_by_part",
    "tokens_inside",
    "tpot_s",
    "ttft_s",
]
