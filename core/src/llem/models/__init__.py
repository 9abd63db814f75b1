"""The arithmetic that models ask for, and what devices can do at most. Imports no engine."""
