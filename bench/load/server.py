"""The mock server: stamps each request as it arrives, answers by delays drawn before, and writes down when each token went.

`python -m bench.load.server FOLDER [WORDS]` answers with tokens of so many words. It prints the address of its API, and listens beside it at FOLDER/packets for requests as
packets. At the end of standard input it writes FOLDER/seen.json and ends.

The stamp of arrival is the kernel's own (SO_TIMESTAMPNS): that of the last piece of the request as it reached the socket, however
late this process reads it. So a busy server makes no generator look late.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import json
import os
import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from bench.load.answers import PACKET, Asked, Delays, asked, document, part, whole

_STAMPED = 35
"""SO_TIMESTAMPNS, which Python's socket module does not name."""

_STAMP = struct.Struct("@ll")
_ROOM = 1 << 16
_TOGETHER_NS = 5_000
_part = lru_cache(maxsize=1 << 14)(part)


@dataclass(slots=True)
class Seen:
    """One request as it came and was answered (monotonic ns).

    Attributes:
        mark: the request's own name.
        arrived_ns: its last piece reached the socket.
        taken_ns: this process read it.
        due_ns: when each token was to go; sent_ns: when it went.
    """

    mark: str
    arrived_ns: int
    taken_ns: int
    due_ns: list[int]
    sent_ns: list[int] = field(default_factory=list)


class _WallClock:
    """The kernel's stamps on the monotonic clock. It stamps by the wall clock, which may be set meanwhile."""

    def __init__(self) -> None:
        self._ahead_ns: int | None = None

    def monotonic_ns(self, wall_ns: int) -> int:
        """The same instant of the monotonic clock."""
        while True:
            before_ns, now_ns, after_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
            # Read one right after the other, or not by this look: this process may have been stopped between them.
            if after_ns - before_ns < _TOGETHER_NS:
                self._ahead_ns = now_ns - (before_ns + after_ns) // 2
            if self._ahead_ns is not None:
                return wall_ns - self._ahead_ns


class _Peer:
    """A connection: gives bytes with the stamp of their arrival, and takes bytes.

    Attributes:
        rest: what came of a request that is not whole.
        watched: what is waited for.
        waiting: what its receiver has no room for yet.
    """

    def __init__(self, one: socket.socket, clock: _WallClock) -> None:
        self.socket = one
        self.rest = b""
        self.waiting: deque[bytes] = deque()
        self.watched = select.EPOLLIN
        self.gone = False
        self._clock = clock

    def receive(self) -> tuple[bytes, int]:
        """Bytes and their stamp (monotonic ns); no bytes where it has ended. Raises BlockingIOError where nothing is there."""
        data, notes, _, _ = self.socket.recvmsg(_ROOM, 64)
        for level, kind, content in notes:
            if level == socket.SOL_SOCKET and kind == _STAMPED:
                seconds, rest_ns = _STAMP.unpack(content)
                return data, self._clock.monotonic_ns(seconds * 10**9 + rest_ns)
        return data, time.monotonic_ns()


class Server:
    """One thread, one wait for whatever comes next: a request, or the time of a token.

    Attributes:
        seen: every request for an answer.
        address: of the API; packets: the path of the socket for packets.
    """

    def __init__(self, folder: Path, words: int = 1) -> None:
        self.seen: list[Seen] = []
        self._words = words
        self.packets = folder / "packets"
        self._delays = Delays.drawn()
        self._clock = _WallClock()
        self._due: list[tuple[int, int, int, Seen, Callable[[int], None]]] = []
        self._peers: dict[int, _Peer] = {}
        self._poll = select.epoll()
        self._http = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._local = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._local.bind(str(self.packets))
        self._local.listen()
        self.address = f"http://127.0.0.1:{self._http.getsockname()[1]}/v1"
        for one in (self._http, self._local):
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, _STAMPED, 1)
            self._poll.register(one, select.EPOLLIN)

    def run(self, until: int) -> None:
        """Serve until something comes on that file descriptor."""
        self._poll.register(until, select.EPOLLIN | select.EPOLLHUP)
        while True:
            wait_s = (self._due[0][0] - time.monotonic_ns()) / 1e9 if self._due else -1
            for number, what in self._poll.poll(max(wait_s, 0) if self._due else None):
                if number == until:
                    return
                if number in (self._http.fileno(), self._local.fileno()):
                    self._accept(self._http if number == self._http.fileno() else self._local)
                    continue
                peer = self._peers[number]
                if what & select.EPOLLOUT:
                    self._flush(peer)
                if what & ~select.EPOLLOUT and not peer.gone:
                    self._read(peer)
            self._give()

    def _give(self) -> None:
        """Send the tokens that are due."""
        while self._due and self._due[0][0] <= time.monotonic_ns():
            _, _, place, seen, send = heapq.heappop(self._due)
            # Stamped before it goes: on loopback it is with the receiver before the call is back.
            seen.sent_ns.append(time.monotonic_ns())
            send(place)
            if place + 1 < len(seen.due_ns):
                heapq.heappush(self._due, (seen.due_ns[place + 1], id(seen), place + 1, seen, send))

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                one, _ = listening.accept()
                one.setblocking(False)
                one.setsockopt(socket.SOL_SOCKET, _STAMPED, 1)
                if listening is self._http:
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._peers[one.fileno()] = _Peer(one, self._clock)
                self._poll.register(one, select.EPOLLIN)

    def _read(self, peer: _Peer) -> None:
        packets = peer.socket.family == socket.AF_UNIX
        try:
            while True:
                data, stamp_ns = peer.receive()
                if not data:
                    raise ConnectionError
                if packets:
                    self._packet(peer, data, stamp_ns)
                else:
                    self._bytes(peer, data, stamp_ns)
                    break  # one request of a connection is answered before its next one comes
        except BlockingIOError:
            pass
        except OSError:
            self._end(peer)

    def _end(self, peer: _Peer) -> None:
        if not peer.gone:
            peer.gone = True
            del self._peers[peer.socket.fileno()]
            self._poll.unregister(peer.socket)
            peer.socket.close()

    def _packet(self, peer: _Peer, data: bytes, stamp_ns: int) -> None:
        number, tokens = PACKET.unpack(data)
        self._take(str(number), tokens, stamp_ns, lambda place: self._send(peer, PACKET.pack(number, place)))

    def _bytes(self, peer: _Peer, data: bytes, stamp_ns: int) -> None:
        peer.rest += data
        head, found, body = peer.rest.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(fields.get("content-length", "0"))
        if len(body) < length:
            if fields.get("expect"):
                self._send(peer, b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        peer.rest = body[length:]
        method, path, _ = first.split(" ", 2)
        if method != "POST" or not path.endswith("completions"):
            models = {"object": "list", "data": [{"id": "mock", "object": "model", "owned_by": "bench"}]}
            self._send(peer, document(models if path.endswith("/models") else {}))
            return
        try:
            request = asked(path, json.loads(body[:length]))
        except (KeyError, TypeError, ValueError) as error:
            self._send(peer, document({"error": {"message": f"no request: {error!r}"}}, "400 Bad Request"))
            return
        self._take(request.mark, request.tokens, stamp_ns, self._sender(peer, request))

    def _sender(self, peer: _Peer, request: Asked) -> Callable[[int], None]:
        # What the answer's bytes depend on; the mark is none of it, so that they are made once.
        form = Asked("", request.tokens, request.chat, request.stream, request.usage, request.counting, request.ids)

        def send(place: int) -> None:
            if request.stream:
                self._send(peer, _part(form, place, self._words))
            elif place == request.tokens - 1:
                self._send(peer, whole(form))

        return send

    def _send(self, peer: _Peer, data: bytes) -> None:
        if peer.gone:
            return
        peer.waiting.append(data)
        if len(peer.waiting) == 1:
            self._flush(peer)

    def _flush(self, peer: _Peer) -> None:
        """Give a receiver what it has room for."""
        waiting = peer.waiting
        try:
            while waiting:
                rest = waiting[0][peer.socket.send(waiting[0]) :]
                if rest:
                    waiting[0] = rest
                else:
                    waiting.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self._end(peer)
            return
        wanted = select.EPOLLIN | (select.EPOLLOUT if waiting else 0)
        if wanted != peer.watched:
            self._poll.modify(peer.socket, wanted)
            peer.watched = wanted

    def _take(self, mark: str, tokens: int, stamp_ns: int, send: Callable[[int], None]) -> None:
        delays = self._delays.of(len(self.seen), tokens)
        seen = Seen(mark, stamp_ns, time.monotonic_ns(), [stamp_ns + delay for delay in delays])
        self.seen.append(seen)
        heapq.heappush(self._due, (seen.due_ns[0], id(seen), 0, seen, send))


def main() -> None:
    """Serve until standard input ends."""
    folder, words = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    server = Server(folder, words)
    gc.disable()  # a pause of it would be a pause of the truth
    print(server.address, flush=True)
    server.run(sys.stdin.fileno())
    used = os.times()
    told = [[one.mark, one.arrived_ns, one.taken_ns, one.due_ns, one.sent_ns] for one in server.seen]
    (folder / "seen.json").write_text(json.dumps({"cpu_s": used.user + used.system, "requests": told}))


if __name__ == "__main__":
    main()
