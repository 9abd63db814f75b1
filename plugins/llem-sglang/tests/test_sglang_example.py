"""The part of examples/prefix_reuse.yaml that is SGLang's. vLLM's is in the tests of its plugin."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = [pytest.mark.sglang, pytest.mark.timeout(300)]


def test_conversations_find_their_earlier_turns_in_the_radix_cache(tmp_path: Path) -> None:
    from prefix_reuse import conversations
    from sglang_lab import ON_CPU

    result = conversations("sglang", {**ON_CPU, "context_length": 128, "max_running_requests": 1}, tmp_path)
    assert result.status == "done", result.failure
    # Prompts of 20, 40, … 100 tokens, each of which begins as the one before: 200 of 300.
    assert result.engine_metrics["prefix_cache_hit_share"] == pytest.approx(2 / 3, abs=0.02)
    assert "prompt_cached" in {warning.code for warning in result.warnings}
    assert result.model is not None
    assert result.model.effective["radix_cache"] == "emptied between passes"
