"""Models: where they come from, what shape they have, and how much arithmetic that asks for. Imports no engine."""
