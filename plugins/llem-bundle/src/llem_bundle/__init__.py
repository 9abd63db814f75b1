"""A study as one archive that others can check: `llem bundle` writes it, `llem verify` holds it against its own readings."""
