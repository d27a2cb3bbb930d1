"""Training: data, losses and one plain loop."""
