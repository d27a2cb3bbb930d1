"""Energies and gradients of one-layer potentials in one pass without autograd."""
