"""Importers: one module for each form of another tool's, over what they share."""
