"""The parts that all images have in common: each goes into each build context, and runs while an image is built."""
