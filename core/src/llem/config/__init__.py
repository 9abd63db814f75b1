"""Text to validated models."""
