"""The SGLang backend of llem.

Importing this package, its plugin and its configuration imports neither torch nor sglang; the configuration is read off
the schema of an SGLang version, which is bundled.
"""
