"""SIGKILL at random instants to llem, its supervisor, worker and sampler: after each, the study is resumed and nothing is lost.

`CRASH_POINTS` says how many kills have to land in all (200), `CRASH_SEED` the first of the seeds (1).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from crash.campaign import KILLS, Campaign, campaigns

POINTS = int(os.environ.get("CRASH_POINTS", "200"))
SEED = int(os.environ.get("CRASH_SEED", "1"))
STUDIES = -(-POINTS // KILLS)

pytestmark = [pytest.mark.crash, pytest.mark.timeout(60 * STUDIES + 600)]


@pytest.fixture(scope="module")
def under_way(crash_preload: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Future[Campaign]]]:
    """The campaigns, two at a time."""

    def run(campaign: Campaign) -> Campaign:
        campaign.run()
        return campaign

    with ThreadPoolExecutor(2) as pool:
        yield {
            campaign.seed: pool.submit(run, campaign)
            for campaign in campaigns(POINTS, SEED, tmp_path_factory.mktemp("kills"), crash_preload)
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("seed", range(SEED, SEED + STUDIES))
def test_a_killed_study_is_resumed_and_nothing_is_lost(under_way: dict[int, Future[Campaign]], seed: int) -> None:
    campaign = under_way[seed].result()
    assert len(campaign.landed) == campaign.kills
    assert len(campaign.study.finished) == 3 * campaign.study.cycles


def test_as_many_kills_landed_as_were_asked_for(
    under_way: dict[int, Future[Campaign]], capsys: pytest.CaptureFixture[str]
) -> None:
    landed = [kill for future in under_way.values() for kill in future.result().landed]
    by_role = {
        role: sum(kill.startswith(role) for kill in landed)
        for role in ("host", "fork_server", "worker", "supervisor", "sampler")
    }
    with capsys.disabled():
        print(
            f"\n{len(landed)} kills landed: {by_role}, {sum('operation' in kill for kill in landed)} at a file operation"
        )
    assert len(landed) == POINTS
    if POINTS >= 100:
        assert all(by_role.values())
