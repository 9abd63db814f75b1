"""A new plugin's distribution, written from templates: works at once, and is changed into what its author wants."""
