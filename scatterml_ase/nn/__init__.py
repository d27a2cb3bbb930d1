"""Equivariant building blocks on e3nn irreps."""
