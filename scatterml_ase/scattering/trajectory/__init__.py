"""What scatters from a molecular-dynamics trajectory: S(Q, E), F(Q, t), vibrations."""

from typing import Literal

Scattering = Literal["coherent", "incoherent", "total"]
"""Which part of the scattering."""
