"""Frozen result objects: numbers that know their dimensions and units."""
