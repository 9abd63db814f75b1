"""Peak arithmetic of GPUs, dense, for model FLOPs utilisation (MFU).

Figures are the vendor's, without structured sparsity: where a data sheet gives a figure `with sparsity` only, half of
it stands here. `float32` is the figure of the plain cores, since PyTorch leaves TF32 off unless asked; `tf32` is there
too. For GeForce cards the half-precision figures are those with accumulation in float32, which PyTorch uses.
"""

from __future__ import annotations

from dataclasses import dataclass

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


def _tensor(
    half: float, single: float, *, tf32: float | None, fp8: float | None = None, bf16: bool = True
) -> dict[str, float]:
    found = {"float16": half, "bfloat16": half if bf16 else None, "float32": single, "tf32": tf32, "float8": fp8}
    return {dtype: value for dtype, value in found.items() if value is not None}


PEAKS: tuple[Peak, ...] = (
    Peak(
        frozenset({"a100 sxm4 40gb", "a100 sxm4 80gb", "a100 pcie 40gb", "a100 80gb pcie", "a100 sxm 64gb"}),
        _tensor(312.0, 19.5, tf32=156.0),
        "NVIDIA A100 Tensor Core GPU data sheet (2021)",
    ),
    Peak(
        frozenset({"h100 80gb hbm3", "h100 sxm5 80gb", "gh200 480gb", "gh200 120gb"}),
        _tensor(989.5, 67.0, tf32=494.5, fp8=1979.0),
        "NVIDIA H100 Tensor Core GPU data sheet (SXM), half of the figures with sparsity",
    ),
    Peak(
        frozenset({"h100 pcie"}),
        _tensor(756.5, 51.0, tf32=378.0, fp8=1513.0),
        "NVIDIA H100 Tensor Core GPU data sheet (PCIe), half of the figures with sparsity",
    ),
    Peak(
        frozenset({"h100 nvl"}),
        _tensor(835.5, 60.0, tf32=417.5, fp8=1670.5),
        "NVIDIA H100 Tensor Core GPU data sheet (NVL), half of the figures with sparsity",
    ),
    Peak(
        frozenset({"h200"}),
        _tensor(989.5, 67.0, tf32=494.5, fp8=1979.0),
        "NVIDIA H200 Tensor Core GPU data sheet (SXM), half of the figures with sparsity",
    ),
    Peak(
        frozenset({"h200 nvl"}),
        _tensor(835.5, 60.0, tf32=417.5, fp8=1670.5),
        "NVIDIA H200 Tensor Core GPU data sheet (NVL), half of the figures with sparsity",
    ),
    Peak(
        frozenset({"b200"}),
        _tensor(2250.0, 75.0, tf32=1100.0, fp8=4500.0),
        "NVIDIA HGX B200 data sheet, half of the figures with sparsity",
    ),
    Peak(
        frozenset({"gb200"}),
        _tensor(2500.0, 80.0, tf32=1250.0, fp8=5000.0),
        "NVIDIA GB200 NVL72 data sheet, half of the figures with sparsity",
    ),
    Peak(
        frozenset({"l4"}),
        _tensor(121.0, 30.3, tf32=60.0, fp8=242.5),
        "NVIDIA L4 Tensor Core GPU data sheet, half of the figures with sparsity",
    ),
    Peak(
        frozenset({"l40"}),
        _tensor(181.05, 90.5, tf32=90.5, fp8=362.0),
        "NVIDIA L40 data sheet",
    ),
    Peak(
        frozenset({"l40s"}),
        _tensor(362.05, 91.6, tf32=183.0, fp8=733.0),
        "NVIDIA L40S data sheet",
    ),
    Peak(frozenset({"a10"}), _tensor(125.0, 31.2, tf32=62.5), "NVIDIA A10 Tensor Core GPU data sheet"),
    Peak(frozenset({"a40"}), _tensor(149.7, 37.4, tf32=74.8), "NVIDIA A40 data sheet"),
    Peak(
        frozenset({"v100 sxm2 16gb", "v100 sxm2 32gb"}),
        _tensor(125.0, 15.7, tf32=None, bf16=False),
        "NVIDIA V100 Tensor Core GPU data sheet (SXM2)",
    ),
    Peak(
        frozenset({"v100 pcie 16gb", "v100 pcie 32gb"}),
        _tensor(112.0, 14.0, tf32=None, bf16=False),
        "NVIDIA V100 Tensor Core GPU data sheet (PCIe)",
    ),
    Peak(frozenset({"t4"}), _tensor(65.0, 8.1, tf32=None, bf16=False), "NVIDIA T4 Tensor Core GPU data sheet"),
    Peak(
        frozenset({"geforce rtx 4090"}),
        _tensor(165.2, 82.6, tf32=82.6, fp8=330.3),
        "NVIDIA Ada GPU Architecture white paper, table of the GeForce RTX 4090, accumulation in float32",
    ),
    Peak(
        frozenset({"geforce rtx 3090"}),
        _tensor(71.0, 35.6, tf32=35.6),
        "NVIDIA Ampere GA102 GPU Architecture white paper, table of the GeForce RTX 3090, accumulation in float32",
    ),
)

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
