"""Input that nobody meant: seeded mutations of recordings and files, and what reads them."""
