"""llem: energy, speed and latency of LLM inference across deployment choices."""
