"""Meters, counters, baselines, engines and neighbours that misbehave: `python -m bench.meter_faults`. Is a reader misled?

Each kind happens on a simulated clock and goes through the gate that the worker uses; some happen end to end as well, in an
`llem run` with a sampler or an engine from outside that lies. A kind is unmarked where no warning names its cause, or where a
wrong figure stands that nothing marks. Honest runs that look odd (noisy, coarse and slow meters, idle machines, tiny windows)
show what the gate says of the innocent: every mark on them is a false one.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # for the simulated meters in tests/sim

from bench.faults import end_to_end, engines, honest, meters, others, raw
from bench.faults.kinds import Kind, unmarked
from bench.report import Figure, arguments, machine, publish

KINDS: list[Kind] = [*meters.ALL, *raw.ALL, *others.ALL, *engines.ALL]
CLEAN, QUICK_CLEAN = 200, len(honest.FAMILIES)
QUICK_END_TO_END = 2


def kinds() -> int:
    """Let each kind happen, and print what its result says. Returns how many are unmarked."""
    bad = 0
    for kind in KINDS:
        told = kind.happen()
        why = unmarked(kind, told)
        bad += why is not None
        said = next((f"{code}: {message}" for code, message in told.said if code == kind.code), "nothing")
        print(f"{kind.who:<10}{kind.name:<58}{said[:150] if why is None else f'UNMARKED: {why}'}", flush=True)
    return bad


def runs(count: int) -> int:
    """Let kinds happen end to end, and print what `result.json` says. Returns how many are unmarked."""
    bad = 0
    named = {kind.name: kind for kind in KINDS}
    for name, (lie, code, word) in list(end_to_end.RUNS.items())[:count]:
        told = end_to_end.told(lie)
        why = unmarked(replace(named[name], code=code, word=word), told)
        bad += why is not None
        said = next((f"{found}: {message}" for found, message in told.said if found == code), "nothing")
        print(f"{'llem run':<10}{name:<58}{said[:150] if why is None else f'UNMARKED: {why}'}", flush=True)
    return bad


def clean(count: int) -> int:
    """Judge honest runs, and print the marks on them. Returns how many runs are marked."""
    bad = 0
    for number in range(count):
        run = honest.run(number)
        if run.false:
            bad += 1
            print(f"FALSE MARK {number} {run.what}: {'; '.join(run.false)}", flush=True)
    return bad


def main() -> int:
    """Print the table, publish the figures; the exit code tells of a reader misled."""
    options = arguments(__doc__).parse_args()
    where = machine()
    print(f"{'who':<10}{'what happened':<58}what the result says")
    of_kinds = kinds()
    wanted = QUICK_END_TO_END if options.quick else len(end_to_end.RUNS)
    of_runs = runs(wanted)
    many = QUICK_CLEAN if options.quick else CLEAN
    marked = clean(many)
    figures = {
        "unmarked": Figure(of_kinds, "kinds", len(KINDS)),
        "unmarked_end_to_end": Figure(of_runs, "kinds", wanted),
        "false_marks": Figure(marked, "runs", many),
    }
    publish("meter_faults", where, figures, options.json)
    return 1 if of_kinds or of_runs or marked else 0


if __name__ == "__main__":
    sys.exit(main())
