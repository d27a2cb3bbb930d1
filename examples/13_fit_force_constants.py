"""Fit springs to a measured S(Q,E) by gradient descent: the spectrum is a differentiable function.

Aluminium with springs along and across the bonds to its nearest and next-nearest neighbours. A
spectrum is "measured" with known springs and counting noise, and found again from a wrong start.
"""

import numpy as np
import torch
from ase.build import bulk
from ase.neighborlist import neighbor_list

from scatterml_ase import Crystal, ForceConstants, SpectrumFunction

# 1. What a spring does: force constants are linear in the strengths, here four of them.
atoms = bulk("Al")
i, j, shifts, bonds = neighbor_list("ijSD", atoms, 4.5)
length = np.linalg.norm(bonds, axis=1)
along = bonds[:, :, None] * bonds[:, None, :] / length[:, None, None] ** 2
near = (length < 3.5)[:, None, None]
kinds = np.stack([where * part for where in (near, ~near) for part in (along, np.eye(3) - along)])
own = kinds.sum(axis=1, keepdims=True)  # no force when all atoms move alike
basis = torch.tensor(np.concatenate([-kinds, own], axis=1))  # [spring, pair, 3, 3]
truth = torch.tensor([1.30, -0.05, 0.15, 0.02], dtype=torch.float64)  # eV/Å²
force_constants = ForceConstants(
    crystal=Crystal.from_atoms(atoms),
    pairs=np.concatenate([np.stack([i, j], axis=1), [[0, 0]]]),
    cell_shifts=np.concatenate([shifts, [[0, 0, 0]]]),
    blocks=torch.einsum("s,spab->pab", truth, basis).numpy(),
    supercell_matrix=4 * np.eye(3, dtype=int),
)

# 2. A measurement at sixty Q (reciprocal-lattice units of the primitive cell), with its noise.
generator = np.random.default_rng(0)
spectrum = SpectrumFunction.prepare(
    force_constants,
    hkl=generator.uniform(-3, 3, size=(60, 3)),
    temperature=300,
    energy_edges=np.linspace(2, 45, 87),
    energy_fwhm=2.5,
)
measured = spectrum().numpy()
measured += 0.02 * measured.mean() * generator.standard_normal(measured.shape)
measured = torch.tensor(measured)

# 3. Gradient descent on the sum of squares, from springs a quarter off and of one kind only.
springs = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.Adam([springs], lr=0.02)
for step in range(201):
    blocks = torch.einsum("s,spab->pab", springs, basis)
    misfit = (spectrum(blocks) - measured).square().mean() / measured.square().mean()
    optimizer.zero_grad()
    misfit.backward()
    optimizer.step()
    if step % 50 == 0:
        print(f"step {step:3d}: misfit {misfit.item():.2e}")

# 4. What was found.
for name, found, true in zip(
    ("nearest, along", "nearest, across", "next, along", "next, across"),
    springs.tolist(),
    truth.tolist(),
    strict=True,
):
    print(f"{name:16s} {found:7.4f} eV/Å², measured with {true:7.4f}")
