"""Training of what predicts phonons from structure: reference data, targets, losses, loops."""
