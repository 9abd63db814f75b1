"""The specs that a plugin registers, and the interfaces that it implements: one file for each kind.

A spec is light: names, a pydantic model, capabilities and the import path of the implementation as a string.
The implementation is imported only where it runs.
"""
