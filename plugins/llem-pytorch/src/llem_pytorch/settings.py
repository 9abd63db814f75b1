"""Settings of the whole process, made once before the model is loaded."""

from __future__ import annotations

import torch
import transformers

from llem_pytorch.arguments import torch_settings
from llem_pytorch.config import PyTorchConfig


def apply_settings(options: PyTorchConfig) -> None:
    """Threads and precision as the options say; progress bars off, since the log is no terminal."""
    wanted = torch_settings(options)
    torch.set_float32_matmul_precision(wanted["float32_matmul_precision"])
    if "num_threads" in wanted:
        torch.set_num_threads(wanted["num_threads"])
    if "num_interop_threads" in wanted and torch.get_num_interop_threads() != wanted["num_interop_threads"]:
        torch.set_num_interop_threads(wanted["num_interop_threads"])  # possible once in the life of a process
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
