"""Kills for real: what of a study survives a SIGKILL, a power loss, a full disk and flipped bits. See docs/design/durability.md."""
