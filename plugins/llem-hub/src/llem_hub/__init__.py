"""Models and datasets for backends: where they are, whether they are whole, what they hold. Imports no engine."""
