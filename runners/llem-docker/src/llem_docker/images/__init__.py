"""Container images: their recipes, which backends bring in their packages, and `llem images`."""
