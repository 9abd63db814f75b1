"""The one table of warnings: what each code means, which metrics it touches, and with which weight.

Whoever draws a conclusion (show, analyze, compare, pick, pareto, report, export) asks this table by
`llem.results.weighing`, and nobody keeps a list of codes of their own. docs/method/warnings.md is written from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Weight = Literal["void", "qualify", "inform"]
"""`void`: the metric must not be used. `qualify`: it stands, and whoever quotes it says so. `inform`: no figure changes."""

Quality = Literal["energy", "machine_energy", "adjusted_energy", "stages", "speed", "latency", "memory", "work"]
"""A family of metrics that a warning can touch.

`energy` is every energy figure; `machine_energy` those of a scope that the whole machine shares (cpu, dram, host, any
estimate); `adjusted_energy` what rests on idle power; `stages` prefill and decode apart; `speed` throughput; `work` says
that other work was done than the study asked for, which touches every metric.
"""


@dataclass(frozen=True)
class WarningKind:
    """One row of the table.

    Attributes:
        code: the stable word in a result's `warnings`.
        weight: how much it takes from the metrics that it touches.
        touches: these metrics.
        runs: said of runs that have it, after their number: `3 of 12 runs …`.
        seen: what was observed, for the documentation.
        advice: what to do with the figures.
    """

    code: str
    weight: Weight
    touches: frozenset[Quality]
    runs: str
    seen: str
    advice: str


QUALITIES: dict[Quality, str] = {
    "energy": "energy",
    "machine_energy": "energy of what the whole machine shares (CPU, DRAM, host, estimates)",
    "adjusted_energy": "adjusted energy",
    "stages": "energy of prefill and decode",
    "speed": "throughput",
    "latency": "latency",
    "memory": "memory",
    "work": "every figure",
}
"""Each family of metrics, as it is called in sentences."""


def _kind(code: str, weight: Weight, touches: str, runs: str, seen: str, advice: str) -> WarningKind:
    words = touches.split()
    if unknown := set(words) - set(QUALITIES):
        raise ValueError(f"{code} touches {', '.join(sorted(unknown))}, which is no quality")
    return WarningKind(
        code, weight, frozenset(quality for quality in QUALITIES if quality in words), runs, seen, advice
    )


_ROWS = (
    # What an engine did otherwise than the study says.
    _kind(
        "context_exceeded",
        "qualify",
        "work",
        "went beyond the model's context",
        "prompts with their answers are longer than the positions that the model was trained on",
        "the work was done as counted, and no such deployment would do it: shorten prompts or answers",
    ),
    _kind(
        "setting_ignored",
        "qualify",
        "work",
        "did not take a setting of the study",
        "the engine loaded or ran with something else than a setting asks for, such as another attention kernel; the message names it",
        "the figures are those of what ran: leave the setting out, or take a model and device that have it",
    ),
    _kind(
        "prefix_cache_kept",
        "qualify",
        "work",
        "kept prompts of an earlier pass in their cache",
        "the engine could not empty its prefix cache before prompts came again",
        "less was computed than the prompts hold: switch prefix caching off, or discard",
    ),
    _kind(
        "preempted",
        "qualify",
        "work",
        "took requests back for want of memory",
        "the engine's key-value cache was full, and requests under way were stopped and computed again",
        "more was computed than the prompts hold: give the cache more memory, or run fewer requests at once",
    ),
    _kind(
        "prompts_cut",
        "inform",
        "",
        "cut prompts to `dataset.input_tokens`",
        "prompts of the dataset are longer than the study sends, and were cut as it asks",
        "figures stand for the cut prompts; the message says how many and from what length",
    ),
    _kind(
        "batch_fill",
        "qualify",
        "energy speed latency memory",
        "had batches that were not full",
        "the requests that ran together were on average fewer than 90 % of the batch size asked for: a last batch that is "
        "not full, or the ramp and drain of an engine that schedules by itself",
        "figures stand for the mean size, which is told beside the one asked for; take a `dataset.n` that fills the batches",
    ),
    # Times and counts of an engine that cannot be what was seen.
    _kind(
        "request_times_contradict",
        "qualify",
        "latency stages",
        "have times of requests that contradict their batches",
        "the engine's records start and end at one instant, or end long before the load generator had their batch back",
        "latencies of requests are null; durations of batches, energy and throughput stand",
    ),
    _kind(
        "token_times_unseen",
        "qualify",
        "latency stages",
        "have answers whose tokens came all at once",
        "all tokens of an answer have one time: the engine, or what stands before it, gives out whole answers",
        "time to first token and between tokens is null; end-to-end latency stands",
    ),
    _kind(
        "token_times_grouped",
        "inform",
        "latency",
        "have tokens that came in groups",
        "more than half of the gaps between tokens are zero: drafted together, or held back on their way",
        "ITL is null; TTFT, TPOT and end-to-end latency stand",
    ),
    _kind(
        "input_tokens_vary",
        "qualify",
        "energy speed",
        "counted one prompt differently from pass to pass",
        "the engine gave other numbers of input tokens for the same prompt in another pass",
        "figures that count input tokens (J per token, total tokens/s) are doubtful; those over output tokens stand",
    ),
    _kind(
        "memory_unseen",
        "inform",
        "",
        "have no memory by the allocator",
        "the engine's allocator told a figure that cannot be: not above zero, not finite, or a peak below what is held",
        "memory by the allocator is null; the device's own figure stands",
    ),
    _kind(
        "engine_metrics_dropped",
        "inform",
        "",
        "lack a count of the engine",
        "something that the engine counted is no finite number",
        "it is left out; every other figure stands",
    ),
    # Energy that is not there, or not to be used.
    _kind(
        "energy_unmeasured",
        "void",
        "energy",
        "have no energy of a device in use",
        "a device in use gave no energy for the window: lost, MIG, no permission, driver and library apart, meter killed",
        "there is none; speed and latency stand",
    ),
    _kind(
        "work_elsewhere",
        "void",
        "energy",
        "did their work on another machine",
        "the model ran on another machine, as behind `openai.base_url`",
        "no energy is given; the meters of this machine stay visible, speed and latency stand",
    ),
    _kind(
        "averaged_power",
        "void",
        "energy",
        "rest on power that is averaged for longer than the window resolves",
        "only power averaged over a second, and a short window",
        "there is none; lengthen the window",
    ),
    _kind(
        "host_suspended",
        "void",
        "energy speed latency",
        "were interrupted while the machine slept",
        "the clock that counts sleep and the one that does not moved apart within the measured window",
        "discard them",
    ),
    _kind(
        "impossible_value",
        "void",
        "work",
        "have a value that is not possible",
        "a figure is 0 or below where work was done, as results of earlier versions may have: found when results are read",
        "that value is left out and shown as impossible; the run's other figures stand",
    ),
    _kind(
        "identity_broken",
        "void",
        "energy speed",
        "have figures that their own readings contradict",
        "J per output token, counted again from the readings and the requests' rows, is another than the figure",
        "llem itself is wrong: use no figure of this window, and report it",
    ),
    _kind(
        "few_observations",
        "void",
        "latency",
        "have a percentile with fewer than ten observations beyond it",
        "p90 of fewer than 100 observations, p95 of fewer than 200 or p99 of fewer than 1,000, as results of earlier versions "
        "may have: found when results are read",
        "that percentile is left out; the median stands",
    ),
    # Energy that stands with a caution.
    _kind(
        "unreliable",
        "qualify",
        "energy",
        "have energy marked unreliable",
        "a check that the figure has to pass failed: the result's `energy.headline.unreliable` is true",
        "quote it with the reason only; another warning of the run names it",
    ),
    _kind(
        "counter_stuck",
        "qualify",
        "energy",
        "have a counter that stood still",
        "the energy counter did not move in the window, and power, idle power or the work say that energy went through",
        "energy is from integrated power; without power there is none",
    ),
    _kind(
        "counter_froze",
        "qualify",
        "energy",
        "have a counter that froze",
        "the energy counter moved, then stood still for a part of the window, and what passed did not come up again",
        "energy is from integrated power; without power there is none",
    ),
    _kind(
        "counter_jumped",
        "qualify",
        "energy",
        "have a counter that jumped",
        "one step of the energy counter is more than power, limit or all other steps allow",
        "energy is from integrated power; without power there is none",
    ),
    _kind(
        "counter_backwards",
        "qualify",
        "energy",
        "have a counter that went back",
        "the energy counter showed less than before within the window",
        "energy is from integrated power; without power there is none",
    ),
    _kind(
        "counter_inconsistent",
        "qualify",
        "energy",
        "have a counter that contradicts itself",
        "read closely for its ticks the counter rose by another amount than in its readings beside the window's edges",
        "energy is from integrated power; without power there is none",
    ),
    _kind(
        "energy_implausible",
        "qualify",
        "energy",
        "have energy that cannot be",
        "a counter or an estimate gives less than nothing, or a mean above the highest limit in force by more than 10 %",
        "energy is from integrated power; without power there is none",
    ),
    _kind(
        "power_implausible",
        "qualify",
        "energy",
        "have power readings that cannot be",
        "power is negative, exactly nothing at work, or its mean is above the highest limit in force by more than 10 %",
        "energy is the counter's, unchecked; without a counter there is none",
    ),
    _kind(
        "power_stuck",
        "qualify",
        "energy",
        "have power readings that are stuck",
        "power stayed the same to the last bit where its sensor or the counter show that it cannot have",
        "energy is the counter's, unchecked; without a counter there is none",
    ),
    _kind(
        "zero_energy",
        "qualify",
        "energy",
        "have a meter that says nothing was used",
        "a meter gives 0 J for a window in which its device did work",
        "there is none of that device: 0 J is no figure",
    ),
    _kind(
        "counter_failed",
        "qualify",
        "energy",
        "have energy from power, since the counter failed",
        "the energy counter gave no value, or was reset, in the window",
        "energy is from integrated power; good to about a sample at each edge",
    ),
    _kind(
        "energy_disagreement",
        "qualify",
        "energy",
        "have meters that disagree",
        "counter and integrated power differ by 2 % or more",
        "use the counter; from 5 % `unreliable` is set",
    ),
    _kind(
        "short_window",
        "qualify",
        "energy",
        "have a window that is short for their meter",
        "the window is shorter than 50 of the meter's update periods, as they were seen in its readings",
        "raise `measurement.min_window_s`",
    ),
    _kind(
        "sampling_gap",
        "qualify",
        "energy speed latency",
        "have a gap in their readings",
        "more than 5 % of the window (or a second) and six usual distances without a reading: the sampler failed, "
        "everything was stopped, or the host was overloaded",
        "the counter's energy stands; integrated power, speed and latency are doubtful",
    ),
    _kind(
        "slow_sampling",
        "qualify",
        "energy",
        "were read more seldom than asked for",
        "for a fifth of the window or more, readings came at less than half the rate asked for",
        "the message bounds the error of edges that were not read exactly",
    ),
    _kind(
        "sampler_died",
        "qualify",
        "energy",
        "lost their meter",
        "the process that reads the meters was killed",
        "no readings from there on",
    ),
    _kind(
        "gpu_shared",
        "qualify",
        "energy speed latency memory",
        "shared their GPU",
        "a process that is not the experiment's held the GPU, before the start or in the window; with pid and name",
        "its work is in energy and speed: repeat alone",
    ),
    _kind(
        "cpu_energy_shared",
        "qualify",
        "machine_energy",
        "shared the CPU whose energy was read",
        "the node was not the experiment's alone (another experiment beside it, or a cluster's node that others use)",
        "energy of CPU, DRAM and host holds others' work; energy of GPUs stands",
    ),
    _kind(
        "other_load",
        "qualify",
        "machine_energy",
        "ran beside other load on the machine",
        "others used 5 % or more of the machine's CPU time in the window; the largest programs are named",
        "energy of CPU, DRAM, host and every estimate holds their work and is `unreliable`: repeat it when nothing else runs; energy of GPUs stands",
    ),
    _kind(
        "cpu_stolen",
        "qualify",
        "machine_energy speed latency",
        "lost CPU time to other virtual machines",
        "the hypervisor gave 5 % or more of this machine's CPU time in the window to others",
        "the work was slowed down: repeat it on a machine of its own",
    ),
    _kind(
        "machine_busy",
        "inform",
        "",
        "began on a machine that was busy",
        "the load average before the study was above a quarter of the processors",
        "`other_load` tells whether the window was disturbed, and by how much",
    ),
    _kind(
        "cpu_governor",
        "qualify",
        "speed latency machine_energy",
        "ran while the CPU chose its own clocks",
        "the CPU frequency governor was not `performance`",
        "clocks vary from run to run: set the governor, or say so",
    ),
    _kind(
        "machine_shared",
        "qualify",
        "energy speed latency",
        "ran beside another llem",
        "another llem measured on the machine at the same time, which `--allow-shared` lets happen",
        "each is in the other's figures: repeat alone",
    ),
    _kind(
        "residual_gpu_memory",
        "qualify",
        "memory energy",
        "began with device memory in use",
        "memory in use before the start, above `measurement.residual_memory_mb`",
        "somebody else's, or left over",
    ),
    _kind(
        "thermal_throttle",
        "qualify",
        "energy speed latency",
        "were throttled",
        "the card was slowed by heat or by its supply",
        "repeat with better cooling; the message names the card and reason",
    ),
    _kind(
        "power_limit_changed",
        "qualify",
        "energy speed latency",
        "had their power limit changed",
        "the limit was changed in the window",
        "repeat",
    ),
    _kind(
        "baseline_unsteady",
        "qualify",
        "adjusted_energy",
        "have an idle power that was not steady",
        "idle power varied by more than 10 %",
        "adjusted energy is doubtful; raw energy stands",
    ),
    _kind(
        "host_suspended_outside",
        "qualify",
        "adjusted_energy",
        "had the machine sleep outside of their window",
        "the host was suspended during the experiment, outside the measured window",
        "idle power, and with it adjusted energy, is doubtful; raw energy and speed stand",
    ),
    _kind(
        "baseline_doubtful",
        "qualify",
        "adjusted_energy",
        "have an idle power that cannot be right",
        "idle power was measured beside other load, or is above power that cannot be below it: with the model loaded, in the window, the limit, another baseline",
        "adjusted energy is null where numbers contradict each other, else too low; raw energy stands; the baseline is not used again",
    ),
    _kind(
        "warmup_not_converged",
        "qualify",
        "energy speed latency",
        "were measured before they were steady",
        "batch latencies or power never became steady",
        "raise `warmup.max_prompts` or `warmup.max_s` (the message says which ended it), or say so",
    ),
    # What the answers of a server had about them.
    _kind(
        "server_counts_differ",
        "qualify",
        "work",
        "have answers in more pieces of text than their server counts tokens",
        "more pieces of text came than the server counts tokens: it splits tokens, or counts a part of them, as those after "
        "the thinking",
        "figures per token rest on the server's count; the message has both numbers",
    ),
    _kind(
        "answers_cut",
        "qualify",
        "work",
        "have answers that another limit cut",
        "answers ended for their length with fewer tokens than the study allows, as at the end of the model's context",
        "shorten prompts or `dataset.output_tokens`",
    ),
    _kind(
        "prompt_cached",
        "qualify",
        "work",
        "took prompt tokens from a server's cache",
        "the server says that prompt tokens came from its cache; the message has how many of how many",
        "less was computed than the prompts hold: start the server without prefix caching, or say so",
    ),
    _kind(
        "setting_not_sent",
        "qualify",
        "work",
        "left a setting of the study to their server",
        "`openai.request_fields` leaves out a field that carries a setting of the study",
        "the server's own value holds: set it there, and say so",
    ),
    _kind(
        "answers_without_text",
        "qualify",
        "latency",
        "have answers in which no text was seen",
        "a server counts tokens of an answer, and no text came",
        "the first token is told at the answer's end; other figures stand",
    ),
    _kind(
        "identity_differs",
        "qualify",
        "work",
        "were run by another llem than planned them",
        "the llem that ran the experiment gives it another identity than the one that planned it",
        "use one version on both sides before comparing it with others",
    ),
    # What a load did that does not wait for answers (the scenario `server`).
    _kind(
        "saturated",
        "void",
        "latency",
        "were offered more than their engine can serve",
        "requests arrived faster than they were answered, and more and more of them waited",
        "latency grows with the length of the window and is no property of the deployment: lower the rate",
    ),
    _kind(
        "unsteady",
        "qualify",
        "energy speed latency",
        "never became steady",
        "no steady state came within `load.steady_s`; the message has the reason",
        "wait longer, or make the parts of the window longer",
    ),
    _kind(
        "requests_lost",
        "qualify",
        "work",
        "have requests without an answer",
        "requests of the window failed, or had no answer at the end of the drain",
        "they miss every objective and are in no latency; see the engine's log",
    ),
    _kind(
        "late_generator",
        "qualify",
        "latency",
        "sent their requests late",
        "the load generator's lateness (p99) reached 10 % of the median TTFT",
        "latency holds the delay: give the generator a core of its own, or lower the rate",
    ),
    # Nothing in the figures changes.
    _kind(
        "steadiness_untested",
        "inform",
        "",
        "ran under a load without a steady state",
        "stages and traces have none, and `load.steady_s: 0` does not test for one",
        "the figures are those of this stretch of load, and of no rate",
    ),
    _kind(
        "text_written_out",
        "inform",
        "work",
        "hold text or a number that a file cannot",
        "a name, a path or an engine's text that is not UTF-8 (half of a surrogate pair), a number that is not finite or beyond 64 bits",
        "nothing: no measured figure is changed; such text is written out (`\\udXXX`), such a number is null or text",
    ),
    _kind(
        "chat_answers_left_out",
        "inform",
        "",
        "left out answers that the dataset holds",
        "chats of the dataset end with an answer: it is left out, and the model answers in its place",
        "figures stand for all messages before it",
    ),
    _kind(
        "same_meter",
        "inform",
        "",
        "have one meter under two names",
        "two devices rise by the same amounts at the same times: dies of a package, a register and its memory map",
        "it is counted once; both stay visible",
    ),
    _kind(
        "reading_refused",
        "inform",
        "",
        "have a sampler that gave what is no reading",
        "a sampler gave a device that it had not named, no number, no time or one of another clock, or it raised",
        "what was no reading is left out; where figures suffer from it, other warnings say so",
    ),
    _kind(
        "scope_unmeasured",
        "inform",
        "",
        "have no energy of a device beside the headline",
        "a device that is not among the headline's gave no energy for the window",
        "the headline stands; there is no total of that scope",
    ),
    _kind(
        "identity_unchecked",
        "inform",
        "",
        "have energy that could not be counted again",
        "a meter has no reading on both sides of an edge, so that the readings cannot confirm the figure",
        "the figure stands unconfirmed",
    ),
    _kind(
        "engine_close_failed",
        "inform",
        "",
        "have an engine that failed to close",
        "the engine raised when it was closed, after the window",
        "figures stand; what it still held went with its process",
    ),
    _kind(
        "samples_failed",
        "inform",
        "",
        "have no answers to look at",
        "the few answers that a result keeps as text could not be decoded",
        "figures stand",
    ),
    _kind(
        "unknown_finish_reason",
        "inform",
        "",
        "have answers whose end their server calls by an unknown word",
        "a server's `finish_reason` is a word that llem does not know; the message has it",
        "told as ended by length where all tokens are there, else as stopped",
    ),
    _kind(
        "imported",
        "qualify",
        "work",
        "were read from another tool's file",
        "`llem import` read the result; llem did not measure it",
        "its figures are by that tool's definitions: compare them with llem's own where these agree",
    ),
    _kind(
        "imported_unstable",
        "qualify",
        "work",
        "did not hold still by the rule of the tool that measured them",
        "the file that the result was read from calls the run unstable, with the reason in the message",
        "see the reason; the tool's own tables leave such runs out",
    ),
    _kind(
        "attempt_lost",
        "inform",
        "",
        "needed more than one attempt",
        "a runner lost an attempt (a node died) and started the experiment again",
        "figures are those of the last attempt",
    ),
    _kind(
        "node_changed",
        "inform",
        "",
        "ran on another node than planned",
        "the experiment went on on another node",
        "compare only with runs on the same kind of node",
    ),
)

WARNINGS: dict[str, WarningKind] = {kind.code: kind for kind in _ROWS}
"""Every code that llem itself gives."""

UNRELIABLE, IMPOSSIBLE, FEW = "unreliable", "impossible_value", "few_observations"
"""Codes that stand in no result's `warnings`: they are told from its figures when it is read."""


def kind_of(code: str) -> WarningKind:
    """The row of a code. One that the table lacks, as of a plugin, qualifies every metric: better doubted than believed."""
    return WARNINGS.get(code) or WarningKind(
        code, "qualify", frozenset({"work"}), f"have the warning `{code}`", "see its message", "see its message"
    )


def touches(kind: WarningKind, qualities: frozenset[Quality]) -> bool:
    """True where a warning concerns one of these qualities; `work` concerns all, `energy` every part of it."""
    if "work" in kind.touches or kind.touches & qualities:
        return True
    return "energy" in kind.touches and bool(qualities & {"machine_energy", "adjusted_energy", "stages"})


def touched_text(kind: WarningKind) -> str:
    """The metrics that a warning touches, for people: `energy, throughput and latency`."""
    names = [QUALITIES[quality] for quality in QUALITIES if quality in kind.touches]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "no figure"
