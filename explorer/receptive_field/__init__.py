"""Receptive fields: what of the input a unit can see (theoretical), and what it does see (effective)."""
