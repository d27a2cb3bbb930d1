"""What chemistry knows of each element, as numbers of order one: inputs of models of many species.

Radii: Cordero et al., doi:10.1039/b801115j (from ASE). Electronegativities: Pauling's scale, mostly
with the values of Allred, doi:10.1016/0022-1902(61)80142-5 (those of the CRC Handbook differ for Tc
and from Lu on, such as W 1.7 and Pb 1.8); Pm, Eu, Tb and Yb are like their neighbours, and He, Ne
and Ar take 4. Dipole polarisabilities of free atoms: Schwerdtfeger and Nagle,
doi:10.1080/00268976.2018.1535143, in atomic units.
"""

from __future__ import annotations

import torch
from ase.data import covalent_radii
from torch import Tensor

HEAVIEST = 94
"""Plutonium: the last element with entries."""

_NOBLE = (2, 10, 18, 36, 54, 86)
_ENDS = (0, *_NOBLE, 118)

# Hydrogen to plutonium, in the order of atomic numbers.
_ELECTRONEGATIVITY = """
2.20 4.00
0.98 1.57 2.04 2.55 3.04 3.44 3.98 4.00
0.93 1.31 1.61 1.90 2.19 2.58 3.16 4.00
0.82 1.00 1.36 1.54 1.63 1.66 1.55 1.83 1.88 1.91 1.90 1.65 1.81 2.01 2.18 2.55 2.96 3.00
0.82 0.95 1.22 1.33 1.60 2.16 1.90 2.20 2.28 2.20 1.93 1.69 1.78 1.96 2.05 2.10 2.66 2.60
0.79 0.89 1.10 1.12 1.13 1.14 1.13 1.17 1.20 1.20 1.20 1.22 1.23 1.24 1.25 1.10 1.27
1.30 1.50 2.36 1.90 2.20 2.20 2.28 2.54 2.00 1.62 2.33 2.02 2.00 2.20 2.20
0.70 0.90 1.10 1.30 1.50 1.38 1.36 1.28
"""
_POLARISABILITY = """
4.507 1.384
164.1 37.74 20.5 11.3 7.4 5.3 3.74 2.66
162.7 71.2 57.8 37.3 25.0 19.4 14.6 11.08
289.7 160.8 97 100 87 83 68 62 55 49 46.5 38.67 50 40 30 28.9 21 16.78
319.8 197.2 162 112 98 87 79 72 66 26.14 55 46 65 53 43 38 32.9 27.32
400.9 272 215 205 216 208 200 192 184 158 170 163 156 150 144 139 137
103 74 68 62 57 54 48 36 33.91 50 47 48 44 42 35
317.8 246 203 217 154 129 151 132
"""


def _column(text: str) -> Tensor:
    values = torch.tensor([float(word) for word in text.split()], dtype=torch.float64)
    return torch.cat([values.new_zeros(1), values])  # atomic numbers start at 1


def radii() -> Tensor:
    """Return covalent radii in Å by atomic number, shape (95,); entry 0 has no meaning."""
    return torch.tensor(covalent_radii[: HEAVIEST + 1], dtype=torch.float64)


def element_properties() -> Tensor:
    """Return scaled properties by atomic number, shape (95, 8); row 0 has no meaning.

    Covalent radius, electronegativity and logarithm of the polarisability, each about mean zero
    and width one; period; the sine and cosine of the place in the period; shares of d and f
    elements.
    """
    polarisability = _column(_POLARISABILITY)
    polarisability[0] = 1.0
    rows = [
        (radii() - 1.5) / 0.4,
        (_column(_ELECTRONEGATIVITY) - 1.8) / 0.6,
        (polarisability.log() - 4.0) / 1.0,
    ]
    places = torch.tensor([_place(z) for z in range(HEAVIEST + 1)], dtype=torch.float64)
    return torch.cat([torch.stack(rows, dim=1), places], dim=1)


def _place(number: int) -> tuple[float, float, float, float, float]:
    """Return period, sine and cosine of the place in it, and whether the d or f shell fills."""
    period = 1 + sum(number > last for last in _NOBLE)
    first, last = _ENDS[period - 1] + 1, _ENDS[period]
    length = last - first + 1
    angle = torch.tensor(2 * torch.pi * (number - first + 0.5) / length)
    from_end = last - number
    d = period >= 4 and 6 <= from_end < 16
    f = period >= 6 and 16 <= from_end < 30
    return (period - 4) / 1.5, float(angle.sin()), float(angle.cos()), float(d), float(f)
