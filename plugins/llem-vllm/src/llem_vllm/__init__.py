"""The vLLM backend of llem.

Importing this package, its plugin and its configuration imports neither torch nor vllm; the configuration is read off
the schema of a vLLM version, which is bundled.
"""
