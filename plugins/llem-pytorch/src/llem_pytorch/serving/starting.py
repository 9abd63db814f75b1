"""The choice of a server: by the study, and by what transformers can do with the model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from llem.plugin_api import DecodingConfig, LlemError, ModelError, Request
from llem_pytorch.config import PyTorchConfig
from llem_pytorch.devices import current_device
from llem_pytorch.serving import settings
from llem_pytorch.serving.batch_server import BatchServer, Run
from llem_pytorch.serving.continuous_server import ContinuousServer
from llem_pytorch.serving.server import AnswerServer
from llem_pytorch.serving.streamed_answer import StreamedAnswer

_PROBE = Request(id=0, output_tokens=2, prompt_token_ids=(1, 2, 3))


def start_server(
    model: Any, options: PyTorchConfig, decoding: DecodingConfig, pad_token_id: int, run: Run, *, can_stop: bool
) -> tuple[AnswerServer, Mapping[str, Any], Sequence[str]]:
    """Start what answers several requests at once.

    Args:
        model: transformers' model on its devices.
        run, can_stop: of `BatchServer`.

    Returns:
        the server; what of it belongs to the settings as the engine took them; settings that it leaves unused.

    Raises:
        LlemError: a setting that no server here has.
        ModelError: continuous batching was asked for, and is not possible with the model.
    """
    if (never := settings.never_served(options)) is not None:
        what, remedy = never
        raise LlemError(f"{what}.", where="measurement.scenario", remedy=remedy)
    lacking = settings.only_in_queue(options, decoding)
    why_not = None
    if options.serving == "continuous" and lacking is not None:
        raise LlemError(
            f"continuous batching has no {lacking}.", where="pytorch.serving", remedy="Say pytorch.serving: queue."
        )
    if options.serving != "queue" and lacking is None:
        try:
            server = _continuous(model, options, decoding, pad_token_id)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise ModelError(
                f"the cache of continuous batching does not fit into the memory of its device: {_first_line(error)}.",
                where="pytorch.continuous_batching",
                remedy="Lower num_blocks, max_batch_tokens or max_memory_percent.",
            ) from error
        except Exception as error:
            if options.serving == "continuous":
                raise ModelError(
                    f"transformers' continuous batching cannot run this model: {_first_line(error)}.",
                    where="pytorch.serving",
                    remedy="Say pytorch.serving: queue.",
                ) from error
            why_not = _first_line(error)
        else:
            unused = settings.unused(options)
            return (
                server,
                {"serving": "continuous", "continuous_batching": server.effective},
                [unused] if unused else [],
            )
    in_queue = {"serving": "queue", "batch_size": options.batch_size, "max_wait_s": options.max_wait_s}
    fallen_back = (
        f"transformers' continuous batching cannot run this model ({why_not}), and static batches of {options.batch_size} "
        "behind a queue answered instead; say pytorch.serving: queue where that is meant"
    )
    server_of_batches = BatchServer(run, options.batch_size, options.max_wait_s, can_stop=can_stop)
    return server_of_batches, in_queue, [fallen_back] if why_not is not None else []


def _continuous(model: Any, options: PyTorchConfig, decoding: DecodingConfig, pad_token_id: int) -> ContinuousServer:
    """The server, once it has answered something: many models fail at their first step only."""
    arguments = settings.continuous_arguments(options, decoding, str(model.device))
    generation = settings.continuous_generation(decoding, pad_token_id)
    with current_device(model.device):
        server = ContinuousServer(model, arguments, generation)
    try:
        asyncio.run(_ask(server))
    except BaseException:
        server.close()
        raise
    return server


async def _ask(server: ContinuousServer) -> None:
    answer = StreamedAnswer(_PROBE, _PROBE.prompt_token_ids or (), (), start_ns=time.monotonic_ns())
    server.submit(answer)
    async for _ in answer.events():
        pass


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__).rstrip(".")
