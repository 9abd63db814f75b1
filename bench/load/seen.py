"""The server's process, and its account of a run: the truth by which every tool is judged."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Seen:
    """One request by the server's account (monotonic ns).

    Attributes:
        mark: the first word of its prompt, or its number over packets.
        arrived_ns: it was at the server's socket, by the kernel's stamp.
        taken_ns: the server read it.
        due_ns: when each token was to go.
        sent_ns: when it went, as far as they went.
    """

    mark: str
    arrived_ns: int
    taken_ns: int
    due_ns: Sequence[int]
    sent_ns: Sequence[int]

    @property
    def is_answered(self) -> bool:
        """Every token went."""
        return len(self.sent_ns) == len(self.due_ns)

    @property
    def ttft_s(self) -> float:
        """First token - arrival."""
        return (self.sent_ns[0] - self.arrived_ns) / 1e9

    @property
    def gaps_s(self) -> list[float]:
        """Gaps between successive tokens."""
        return [(later - earlier) / 1e9 for earlier, later in pairwise(self.sent_ns)]

    @property
    def tpot_s(self) -> float | None:
        """(last token - first token) / (tokens - 1); None for one token."""
        n = len(self.sent_ns)
        return (self.sent_ns[-1] - self.sent_ns[0]) / 1e9 / (n - 1) if n > 1 else None


@dataclass
class Account:
    """The account of one server.

    Attributes:
        address: of its API; packets: its socket for packets; pid: its process.
        requests: by arrival; empty until it has ended.
        cpu_share: of one core that it used while it ran.
    """

    address: str
    packets: Path
    pid: int
    requests: list[Seen] = field(default_factory=list)
    cpu_share: float = 0.0


@contextmanager
def serving(folder: Path, words: int = 1) -> Iterator[Account]:
    """A server for as long as the block runs; its account is whole afterwards.

    Args:
        folder: of its own, and short: the path of a socket has few bytes.
        words: of each token's text.
    """
    command = [sys.executable, "-m", "bench.load.server", str(folder), str(words)]
    start = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        if not address:
            raise SystemExit("the mock server ended; what it said stands above.")
        account = Account(address, folder / "packets", server.pid)
        try:
            yield account
        finally:
            server.stdin.close()
            server.wait()
    told = json.loads((folder / "seen.json").read_text())
    account.requests = sorted((Seen(*one) for one in told["requests"]), key=lambda one: one.arrived_ns)
    account.cpu_share = told["cpu_s"] / (time.monotonic() - start)
