"""The driver of a running vLLM as the engine sees it, and what passes between the two. Imports nothing of vLLM."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from llem.plugin_api import ModelError

Came = Callable[[str, Sequence[int], int, str | None, int | None], None]
"""Takes the name of a request, the tokens that came, when, how it finished where it did, and its prompt tokens from the cache."""


@dataclass(frozen=True)
class Item:
    """One request for vLLM.

    Attributes:
        name: unique.
        prompt: token ids.
        sampling: vLLM's SamplingParams, which give out only what is new.
        lora: vLLM's LoRARequest, or None.
    """

    name: str
    prompt: list[int]
    sampling: Any
    lora: Any


class Counter(Protocol):
    """The counts that vLLM keeps on its own account, since the last reset."""

    def figures(self) -> Mapping[str, float]:
        """The counts by name; a share is of 1, a time is in seconds."""

    def reset(self) -> None:
        """Count afresh from here."""


class Driver(Protocol):
    """A running vLLM.

    Attributes:
        settings: vLLM's configuration, with everything that it decided itself.
    """

    settings: Any

    @property
    def counter(self) -> Counter:
        """The counts that vLLM keeps."""

    def run(self, items: Sequence[Item], came: Came) -> None:
        """Answer all of them. Raises RefusedError where vLLM does not take one."""

    def stream(self, make: Callable[[], Item], came: Came) -> Future[None]:
        """Begin one request, which `make` gives where the driver runs. Cancelling the future stops it at its next step."""

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every worker; the answers are those of the first replica's."""

    def check(self) -> None:
        """See that vLLM's own process runs. Raises ModelError where it has ended."""

    def forget(self) -> bool:
        """Empty the prefix cache; False where vLLM could not."""

    def tokenizer(self) -> Any:
        """The tokenizer that vLLM loaded."""

    def close(self) -> None:
        """Ask vLLM's processes to end."""


def ended() -> ModelError:
    """The error of a vLLM whose own process has ended."""
    return ModelError(
        "vLLM's own process (EngineCore) has ended in the run.",
        where="vllm",
        remedy="worker.log has all that vLLM said; the kernel's log tells where memory was short.",
    )


class RefusedError(ValueError):
    """vLLM does not take a request.

    Attributes:
        name: of the request.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name
