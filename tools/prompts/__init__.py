"""The generator of the built-in prompts: makes `aienergyscore.jsonl` of `llem.datasets` from seeded parts. `python -m tools.prompts` rewrites the file.

`grammar/*.yaml` holds the words and sentences, `grammar.py` expands them, `documents.py` puts sentences together to
texts of a wished length, `lengths.py` says how long the 1,000 prompts are and in which order they stand, `build.py`
makes the file. The same grammar gives the same bytes on every machine.

Places, people, products and species in these texts are invented; what they say of the world at large is common knowledge.
"""
