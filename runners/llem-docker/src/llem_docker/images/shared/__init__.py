"""What all images have in common: it goes into each build context, and runs while an image is built."""
