"""Answers to requests that do not wait for one another: one thread computes while an event loop takes requests.

`starting` chooses a server by the study and the model; `settings` and `check` import neither torch nor transformers.
"""
