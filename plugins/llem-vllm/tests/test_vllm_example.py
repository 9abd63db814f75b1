"""The part of examples/prefix_reuse.yaml that is vLLM's. SGLang's is in the tests of its plugin."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]

ON_CPU = {
    "dtype": "float32",
    "enforce_eager": True,
    "max_model_len": 128,
    "max_num_seqs": 1,
    # On a CPU vLLM's kernels read blocks of 32 tokens or a multiple.
    "block_size": 32,
    "num_gpu_blocks_override": 256,
    "environment": {"VLLM_CPU_KVCACHE_SPACE": 1},
}


def test_conversations_find_their_earlier_turns_in_the_prefix_cache(tmp_path: Path) -> None:
    from prefix_reuse import conversations

    result = conversations("vllm", ON_CPU, tmp_path)
    assert result.status == "done", result.failure
    # Prompts of 20, 40, … 100 tokens, each of which begins as the one before; of that whole blocks are found: 128 of 300.
    assert result.engine_metrics["prefix_cache_hit_share"] == pytest.approx(128 / 300, abs=0.02)
    assert "prompt_cached" in {warning.code for warning in result.warnings}
