"""Parts that backends over inference engines share. Nothing here imports an engine, or knows which one it serves."""
