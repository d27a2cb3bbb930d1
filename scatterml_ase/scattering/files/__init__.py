"""Files of measured and simulated S(Q, E), one module per format behind one door."""

from __future__ import annotations

from scatterml_ase.scattering.files.doors import read_detectors, read_sqw, write_sqw

__all__ = ["read_detectors", "read_sqw", "write_sqw"]
