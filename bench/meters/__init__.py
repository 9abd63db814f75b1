"""Parts of `bench.energy_accuracy`: scenarios, the three tools that measure them, and what is made of their figures."""
