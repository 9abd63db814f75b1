"""The PyTorch backend of llem: transformers' `generate`, measured.

Importing this package, its plugin and its configuration imports neither torch nor transformers.
"""
