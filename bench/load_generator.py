"""The lateness of load generators, the highest rate that each holds, and how true its latencies are.

A mock server stamps each request as it arrives, by the kernel's clock, answers by delays that were drawn before, and writes down
when each token went. So the truth is known, and every tool is judged by it: llem, AIPerf, guidellm and `vllm bench serve`,
in turn, each against a server of its own on the same cores.

llem is put to a harder test besides: 1,000 requests a second at an engine in another process, which is asked by packets
(`release_error_p99_ms`, `rate_rps`; the goal is 1 ms). `--quick` has llem alone: continuous integration runs no other tool.

Beside each run a thread only sleeps (`bare_sleep_p99_ms`), and before and after all of them a program computes and sleeps in turn
(`machine_lost_in_50_ms_p99_ms`): by both, lateness of the machine is told from that of a tool.

The others live in virtual environments of their own, which an option or a variable names; `--install` says how to make them. One
that is not there is `absent` in the results. The figures of each run are in load_generator_rows.csv beside the results.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from bench.load import with_llem
from bench.load.figures import figures_of
from bench.load.load import ARRIVALS, Load
from bench.load.lost import lost_ms
from bench.load.rivals import RIVALS
from bench.load.trials import OWN, Tool, Trials
from bench.report import Figure, arguments, machine, publish

ENGINE_RPS, ENGINE_TOKENS = 1000.0, 8
SERVER_RPS, SERVER_TOKENS = 200.0, 16
LOOK_S = 4.0
"""The machine itself is looked at for so long, before and after."""

OTHER_RPS = 50.0
LADDER_RPS = (400.0, 600.0, 800.0, 1000.0, 1200.0)
"""Constant rates that are tried one after another, until one is not held."""


def at_engine(trials: Trials, repeats: int, duration_s: float) -> None:
    """Put llem's load to an engine in another process."""
    for repeat in range(1, repeats + 1):
        for arrival in ARRIVALS:
            load = Load(arrival=arrival, rate_rps=ENGINE_RPS, duration_s=duration_s, tokens=ENGINE_TOKENS)
            trials.take(OWN, "packets", partial(with_llem.run, packets=True), load, repeat)


def at_server(trials: Trials, tools: Mapping[str, Tool], repeats: int, duration_s: float) -> None:
    """Put every tool's load to the server, in turn, so that a change of the machine meets all of them."""
    for repeat in range(1, repeats + 1):
        for arrival in ARRIVALS:
            load = Load(arrival=arrival, rate_rps=SERVER_RPS, duration_s=duration_s, tokens=SERVER_TOKENS)
            for name, tool in tools.items():
                trials.take(name, "http", tool, load, repeat)


def with_another_tokenizer(trials: Trials, tools: Mapping[str, Tool], duration_s: float) -> None:
    """Have the server count otherwise than the tokenizer that the tools are given: each of its tokens is two of those."""
    load = Load(arrival="constant", rate_rps=OTHER_RPS, duration_s=duration_s, tokens=SERVER_TOKENS, words=2)
    for name, tool in tools.items():
        trials.take(name, "http", tool, load, 1)


def up_the_ladder(trials: Trials, tools: Mapping[str, Tool], duration_s: float) -> None:
    """Ask every tool for more and more, up to the first rate that it does not hold."""
    climbing = dict(tools)
    for rate_rps in LADDER_RPS:
        load = Load(arrival="constant", rate_rps=rate_rps, duration_s=duration_s, tokens=SERVER_TOKENS)
        for name, tool in list(climbing.items()):
            row = trials.take(name, "http", tool, load, 1)
            if row is None or not row.is_held:
                del climbing[name]


def main() -> None:
    """Take the runs and publish their figures."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--install", action="store_true", help="say how the other tools' environments are made, and end"
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each tool at each load of the comparison")
    for rival in RIVALS:
        text = f"virtual environment of {rival.name}; else the one that {rival.variable} names"
        parser.add_argument(f"--{rival.name}", type=Path, metavar="FOLDER", help=text)
    options = parser.parse_args()
    if options.install:
        print("\n".join(line for rival in RIVALS for line in rival.instructions()))
        return
    where = machine()
    tools: dict[str, Tool] = {OWN: with_llem.run}
    if not options.quick:
        where["tools"] = {rival.name: "absent" for rival in RIVALS} | _find(options, tools)
    keep = options.json and not options.quick
    trials = Trials(options.json.with_name("load_generator_rows.csv") if keep else None)
    lost = [lost_ms(LOOK_S)]
    with suppress(KeyboardInterrupt):  # what was taken by then is published
        if options.quick:
            at_engine(trials, 1, 2.0)
            at_server(trials, tools, 1, 2.0)
        else:
            at_engine(trials, 6, 6.0)
            at_server(trials, tools, options.repeats, 8.0)
            up_the_ladder(trials, tools, 6.0)
            with_another_tokenizer(trials, tools, 6.0)
            where["failures"] = trials.failures
    lost.append(lost_ms(LOOK_S))
    figures = figures_of(trials.rows, ENGINE_RPS, SERVER_RPS) | {"machine_lost_in_50_ms_p99_ms": Figure.of(lost, "ms")}
    publish("load_generator", where, figures, options.json)


def _find(options: Namespace, tools: dict[str, Tool]) -> dict[str, str]:
    """The versions of the tools that are there, which join the others."""
    versions = {}
    for rival in RIVALS:
        python = rival.python(getattr(options, rival.name))
        version = None if python is None else rival.version(python)
        if python is not None and version is not None:
            tools[rival.name] = partial(rival.run, python)
            versions[rival.name] = version
    return versions


if __name__ == "__main__":
    main()
