"""Ways in which a meter, a counter, a baseline, an engine or a neighbour misbehaves, and honest ones beside them."""
