"""One answer as it came over the wire, and what of it was really seen: tokens where the server counts them, else pieces."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from llem.plugin_api import LlemError, Request, RequestRecord
from llem_openai.chunk import Chunk
from llem_openai.counting import Counted, count
from llem_openai.finish import ending, is_cut
from llem_openai.refusal import printable


@dataclass
class StreamedAnswer:
    """The yield of one request.

    Attributes:
        request: what was asked; start_ns: when it was sent.
        chunks: of the answer, in order.
        closed: the server said that this is all; closed_ns: when.
        lost: segments that were read late and have lost their own time, by the time that they have.
        found: its tokens, once `record` has counted them.
    """

    request: Request
    start_ns: int
    chunks: list[Chunk] = field(default_factory=list)
    closed: bool = False
    closed_ns: int = 0
    lost: Counter[int] = field(default_factory=Counter)
    found: Counted | None = None

    @property
    def end_ns(self) -> int:
        """Time of the last chunk."""
        return self.chunks[-1].t_ns if self.chunks else self.start_ns

    @property
    def finish(self) -> str | None:
        """Reason for its end, in the server's word: the last one, since some send a word with each chunk."""
        return next((chunk.finish for chunk in reversed(self.chunks) if chunk.finish is not None), None)

    @property
    def ended(self) -> bool:
        """The answer is whole: closed, with a reason for its end, or with its totals after all choices."""
        last = self.chunks[-1] if self.chunks else None
        return self.closed or self.finish is not None or bool(last and not last.choice and last.told)

    @property
    def pieces(self) -> int:
        """Chunks with text."""
        return sum(chunk.text for chunk in self.chunks)

    def seen_ns(self) -> list[int]:
        """The times of what came of an answer that broke off: of its tokens where they are told as they come, else of its pieces."""
        found = count(self.chunks, self.request.output_tokens, self.end_ns)
        times = found.token_ns if found is not None else None
        return list(times) if times is not None else [chunk.t_ns for chunk in self.chunks if chunk.text]

    @property
    def late(self) -> int:
        """Chunks with text that were read late and have the time of a later one, at the least.

        What a server sends at once is none, nor are segments that may have held no text: totals, and the end with its framing.
        """
        if not self.lost:
            return 0
        texts = Counter(chunk.t_ns for chunk in self.chunks if chunk.text)
        others = Counter(chunk.t_ns for chunk in self.chunks if not chunk.text) + Counter(
            {self.closed_ns: 2 * self.closed}
        )
        found = 0
        for t_ns, segments in self.lost.items():
            # Where they held many pieces each, one more of them may be one that was sent again, as TCP probes for a loss.
            again = 2 * (segments + 1) <= texts[t_ns] + others[t_ns]
            found += max(0, min(segments - again - others[t_ns], texts[t_ns] - 1))
        return found

    def highest(self, name: str) -> int | None:
        """The highest of one count: totals grow, and a server that sends 0 until it knows sends it also afterwards."""
        told = [value for chunk in self.chunks if (value := getattr(chunk, name)) is not None]
        return max(told, default=None)

    def counted(self) -> Counted:
        """The answer's tokens, whether it is the work that was asked for or not.

        Raises:
            LlemError: the server does not count them.
        """
        found = count(self.chunks, self.request.output_tokens, self.end_ns)
        if found is None or not self.highest("input_tokens"):
            missing = "read" if found is not None else "wrote"
            raise LlemError(
                f"the server does not say how many tokens it {missing}, and no figure per token can be told.",
                where=f"prompt {self.request.id}",
                remedy="Use a server that reports `usage` where stream_options.include_usage asks for it"
                " (openai.request_fields may not leave stream_options out then).",
            )
        return found

    def record(self) -> RequestRecord:
        """The record of the request, once the stream has ended.

        Raises:
            LlemError: the server kept back what a record needs, or did other work than was asked.
        """
        self._check_ending()
        found = self.found = self.counted()
        input_tokens = self.highest("input_tokens") or 0
        self._check_counts(found, input_tokens)
        return RequestRecord(
            id=self.request.id,
            input_tokens=input_tokens,
            output_tokens=found.total,
            start_ns=self.start_ns,
            end_ns=self.end_ns,
            finish=ending(self.finish, found.total, self.request.output_tokens),
            token_ns=found.token_ns,
            output_token_ids=found.ids,
            piece_ns=found.piece_ns,
            text="".join(chunk.said for chunk in self.chunks),
            cached_tokens=self.highest("cached_tokens"),
        )

    def _check_ending(self) -> None:
        where = f"prompt {self.request.id}"
        if is_cut(self.finish):
            raise LlemError(
                f"the answer ended after {self.pieces} pieces with finish_reason {printable(self.finish or '', 40)!r}: the "
                "server ended it before the model did.",
                where=where,
                remedy="Look at the server's log, or at its filter of content; use another prompt or server.",
            )
        if any(chunk.another for chunk in self.chunks):
            raise LlemError(
                "the server sent more than one answer where one was asked.",
                where=where,
                remedy="Take what asks for several (such as best_of) out of openai.extra.",
            )

    def _check_counts(self, found: Counted, input_tokens: int) -> None:
        where, request = f"prompt {self.request.id}", self.request
        ended = f", with finish_reason {printable(self.finish, 40)!r}" if self.finish is not None else ""
        if found.total > request.output_tokens:
            raise LlemError(
                f"the server counts {found.total} tokens in an answer of at most {request.output_tokens}{ended}; "
                f"{found.pieces} pieces of text came.",
                where=where,
                remedy="See which field limits an answer on this server, and rename max_tokens to it by "
                "openai.request_fields: {max_tokens: NAME}.",
            )
        if request.ignore_eos and found.total != request.output_tokens:
            raise LlemError(
                f"the answer has {found.total} tokens where exactly {request.output_tokens} were asked{ended}.",
                where=where,
                remedy="Where a server does not go on after the stop token, or its context ends there: set "
                "decoding.length: natural, or shorten dataset.output_tokens.",
            )
        given = request.prompt_token_ids
        if given is not None and input_tokens != len(given):
            raise LlemError(
                f"the server counts {input_tokens} tokens in a prompt of {len(given)}.",
                where=where,
                remedy="Where a server adds tokens of its own, such as one for the beginning, use a dataset of text.",
            )
