"""Peak arithmetic of GPUs, dense, for model FLOPs utilisation (MFU).

Figures are the vendor's, without structured sparsity: where a data sheet gives a figure `with sparsity` only, half of
it stands in `peaks.toml`. `float32` is the figure of the plain cores, since PyTorch leaves TF32 off unless asked; `tf32` is there
too. For GeForce cards the half-precision figures are those with accumulation in float32, which PyTorch uses.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

_T = 1e12


@dataclass(frozen=True, slots=True)
class Peak:
    """One product.

    Attributes:
        names: as NVML gives them, normalised (see `normalise`).
        tflops: dense peak by dtype, in 10^12 FLOP/s.
        source: the document that the figures are in.
    """

    names: frozenset[str]
    tflops: dict[str, float]
    source: str


def _peaks() -> tuple[Peak, ...]:
    rows = tomllib.loads(Path(__file__).with_name("peaks.toml").read_text("utf-8"))["peak"]
    return tuple(Peak(frozenset(row["names"]), row["tflops"], row["source"]) for row in rows)


PEAKS = _peaks()

_DTYPES = {
    "half": "float16",
    "fp16": "float16",
    "bf16": "bfloat16",
    "fp32": "float32",
    "float": "float32",
    "fp8": "float8",
}
_BY_NAME = {name: peak for peak in PEAKS for name in peak.names}


def normalise(device_name: str) -> str:
    """A product name in lower case, without the vendor's, with single spaces for dashes: `NVIDIA A100-SXM4-80GB` to `a100 sxm4 80gb`."""
    words = device_name.lower().replace("-", " ").replace("_", " ").split()
    return " ".join(word for word in words if word not in ("nvidia", "tesla"))


def peak_flops(device_name: str, dtype: str) -> float | None:
    """Dense peak in FLOP/s of a GPU for arithmetic in a dtype; None where it is not known. Never a guess from a similar name.

    Args:
        device_name: as NVML or torch gives it, such as `NVIDIA H100 80GB HBM3`.
        dtype: such as `bfloat16`, `torch.float16`, `fp32`, `tf32` or `float8_e4m3fn`.
    """
    peak = _BY_NAME.get(normalise(device_name))
    word = dtype.lower().removeprefix("torch.")
    word = "float8" if word.startswith("float8_") else _DTYPES.get(word, word)
    value = peak.tflops.get(word) if peak else None
    return None if value is None else value * _T
