"""Formulas with a source, in numpy: no objects, no torch."""
