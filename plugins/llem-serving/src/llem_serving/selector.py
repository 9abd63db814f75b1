"""The wait of a load generator's event loop: exact to microseconds, and never long away from what has come due."""

from __future__ import annotations

import select
import selectors

AT_ONCE = 4
"""Sockets that are attended to before the loop looks again at what has come due."""

_SELECT_LIMIT = 1024
"""The first file descriptor that select(2) cannot wait for."""


class PromptSelector(selectors.EpollSelector):
    """Waits by select(2) for the descriptor of epoll, since epoll itself waits in whole milliseconds.

    What has happened is handed on a few sockets at a time. An event loop looks at its timers between two waits, so that a request
    which is due leaves between two pieces of answers, however many of them have come.
    """

    def __init__(self) -> None:
        super().__init__()
        self._left: list[tuple[selectors.SelectorKey, int]] = []

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See `selectors.BaseSelector.select`."""
        if self._left:
            known = self.get_map()
            # A socket that was closed or watched otherwise since then is no longer meant.
            found = [one for one in self._left if known.get(one[0].fd) is one[0]]
        else:
            found = []
        if not found:
            found = super().select(0)
        if not found and timeout != 0:
            if self.fileno() < _SELECT_LIMIT:
                select.select([self.fileno()], [], [], timeout)
                timeout = 0
            found = super().select(timeout)
        self._left = found[AT_ONCE:]
        return found[:AT_ONCE]
