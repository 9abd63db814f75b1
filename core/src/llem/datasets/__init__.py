"""Datasets: where prompts come from. One file for each dataset that llem brings, and the built-in prompts."""
