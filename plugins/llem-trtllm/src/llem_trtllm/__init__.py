"""The TensorRT-LLM backend of llem.

Importing this package, its plugin and its configuration imports neither torch nor tensorrt_llm; the configuration is read off
the schema of a TensorRT-LLM version, which is bundled.
"""
