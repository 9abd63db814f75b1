"""Studies of any size, for benchmarks of what happens before anything runs."""

from __future__ import annotations

HEAD = """\
name: large
model: random:tiny-llama
backend: pytorch
dataset: {name: synthetic, n: 16}
"""


def study_text(points: int) -> str:
    """YAML of a study with exactly so many distinct points, a power of ten from 100 on, over five axes."""
    side = points // 100
    if side < 1 or points != side * 100:
        raise ValueError(f"points must be a multiple of 100, not {points}")
    return (
        HEAD
        + f"""\
sweep:
  dataset.output_tokens: {{min: 1, max: {side}, num: {side}}}
  pytorch.batch_size: [1, 2, 4, 8, 16]
  pytorch.dtype: [float32, bfloat16]
  decoding.temperature: [0, 0.5, 0.7, 1.0, 1.5]
  dataset.input_tokens: [16, 32]
"""
    )
