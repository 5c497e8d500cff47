"""Judges of support: one interface, a deterministic judge by default."""
