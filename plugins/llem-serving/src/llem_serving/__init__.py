"""Energy under load: the scenario `server` of llem, with its load, its objectives and its capacity."""
