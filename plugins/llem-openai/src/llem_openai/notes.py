"""Peculiarities of a run's answers that whoever reads the figures must know: one caveat of each kind, with numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from llem.plugin_api import Caveat, ExperimentConfig, RequestRecord
from llem_openai.config import OpenaiConfig
from llem_openai.counting import Counted
from llem_openai.finish import is_known
from llem_openai.refusal import printable
from llem_openai.streamed_answer import StreamedAnswer

LATE_SHARE = 0.01
"""Above this share of pieces, those that were read late qualify the times of the others too."""


class Notes:
    """Counts over answers, until they are told."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()

    def take(self, answer: StreamedAnswer, found: Counted, record: RequestRecord) -> None:
        """One answer that was measured: what came, its tokens, and what is told of it."""
        seen, reason = self._seen, answer.finish
        seen["answers"] += 1
        seen["prompt"] += answer.highest("input_tokens") or 0
        seen["cached"] += answer.highest("cached_tokens") or 0
        if found.pieces > found.total:
            seen["more pieces"] += 1
            seen["pieces"] += found.pieces
            seen["their tokens"] += found.total
        seen["silent"] += found.pieces == 0 and found.total > 1
        seen["cut"] += record.finish == "length" and found.total < answer.request.output_tokens
        if not is_known(reason):
            self._reasons["none" if reason is None else printable(reason, 40)] += 1

    def tell(self) -> Sequence[Caveat]:
        """The caveats since the last time."""
        seen, reasons = self._seen, self._reasons
        self._seen, self._reasons = Counter(), Counter()
        n, found = seen["answers"], []
        if seen["cached"]:
            found.append(
                Caveat(
                    "prompt_cached",
                    f"the server took {seen['cached']:,} of {seen['prompt']:,} prompt tokens from its cache, so that less was "
                    "computed than the prompts hold: start it without prefix caching (vLLM: --no-enable-prefix-caching) for "
                    "figures of the whole work; in the scenario server it is a choice of deployment: name it with the figures",
                )
            )
        if seen["cut"]:
            found.append(
                Caveat(
                    "answers_cut",
                    f"{seen['cut']} of {n} answers ended for their length with fewer tokens than the study allows: another "
                    "limit cut them, such as the model's context; shorten prompts or dataset.output_tokens",
                )
            )
        if seen["more pieces"]:
            found.append(
                Caveat(
                    "server_counts_differ",
                    f"{seen['more pieces']} of {n} answers came in more pieces of text than the server counts tokens "
                    f"({seen['pieces']:,} pieces, {seen['their tokens']:,} tokens): it splits tokens, or counts only a part of "
                    "them, such as those after the thinking. Figures per token rest on the server's count",
                )
            )
        if seen["silent"]:
            found.append(
                Caveat(
                    "answers_without_text",
                    f"in {seen['silent']} of {n} answers the server counts tokens and no text came; their first token is told "
                    "at their end",
                )
            )
        if reasons:
            words = ", ".join(f"{word} ({count})" for word, count in reasons.most_common(3))
            found.append(
                Caveat(
                    "unknown_finish_reason",
                    f"{sum(reasons.values())} of {n} answers ended with a finish_reason that llem does not know: {words}. "
                    "They are told as ended by length where they have all the tokens that they may have, else as stopped",
                )
            )
        return found


class LateReads:
    """Counts of pieces that were read late, until they are told."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def take(self, answer: StreamedAnswer) -> None:
        """One answer that was measured."""
        self._seen.update(n=1, pieces=answer.pieces, late=answer.late, answers=answer.late > 0)

    def tell(self) -> Sequence[Caveat]:
        """The caveat since the last time, where they were many enough to matter."""
        seen, self._seen = self._seen, Counter()
        if seen["late"] <= LATE_SHARE * seen["pieces"]:
            return ()
        return (
            Caveat(
                "pieces_read_late",
                f"at least {seen['late']:,} of {seen['pieces']:,} pieces of text, in {seen['answers']} of {seen['n']} answers, "
                "were read late, and the kernel had joined them with later ones: they have the time of those, so that times "
                "to the first token are too long and gaps too short or too long by as much. Leave this machine cores for "
                "llem itself, or lower the load",
            ),
        )


def sender_died(ending: str, lost: int) -> Caveat:
    """The caveat for a sender that has ended in the run, and for the requests that ended with it."""
    return Caveat(
        "sender_died",
        f"the process that sends requests died, {ending}: {lost} requests that it had ended with an error and were not sent again, "
        "since they may have left, and later ones left from the event loop that reads answers. Run this again",
    )


def sender_missing(fault: str) -> Caveat:
    """The caveat for a sender that did not begin."""
    return Caveat(
        "sender_missing",
        f"the process that sends requests did not begin ({printable(fault, 120)}): they left from the event loop that reads answers, "
        "which sends late what is due while others are read. The lateness of this run is in its figures; make room for one more "
        "process and run this again",
    )


def unsent(config: ExperimentConfig, options: OpenaiConfig) -> Sequence[Caveat]:
    """The caveat for settings of the study that the server is not told, where they would have an effect."""
    decoding = config.decoding
    drawn = bool(decoding.temperature)
    effect = {
        "temperature": f"decoding.temperature: {decoding.temperature or 0.0}",
        "top_p": f"decoding.top_p: {decoding.top_p}" if decoding.top_p is not None else "",
        "seed": f"decoding.seed: {decoding.seed}" if drawn else "",
        "ignore_eos": "decoding.length: fixed" if decoding.length == "fixed" else "",
    }
    lost = [effect[key] for key, name in options.request_fields.items() if name is None and effect.get(key)]
    if not lost:
        return ()
    return (
        Caveat(
            "setting_not_sent",
            f"openai.request_fields leaves out what carries {', '.join(lost)}: the server decides in its place; set it there",
        ),
    )
