"""Smooth functions of Hermitian matrices, and derivatives that degenerate eigenvalues do not hurt.

For D = V Λ V† and a smooth f the form a† f(D) a = Σ_i |(V†a)_i|² f(λ_i) does not depend on how
eigenvectors are chosen within a degenerate set, and neither does its derivative (Daleckii–Krein;
N. J. Higham, Functions of Matrices, 2008, sec. 3.2, doi 10.1137/1.9780898717778),

    d(a† f(D) a) = Σ_ij c_i* (V† dD V)_ij c_j f[λ_i, λ_j],   c = V†a,

whereas derivatives of eigenvectors themselves, with their 1/(λ_i − λ_j), do not exist there. The
divided difference f[λ, μ] = (f(λ) − f(μ))/(λ − μ) tends to f′; where λ and μ are close it is the
mean of f′ between them, by the rule of Gauss and Legendre.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Profile = Callable[[Tensor], Tensor]
"""From eigenvalues of any shape to f of each, (…, energies), by differentiable operations."""

_CLOSE = 1e-5
"""Eigenvalues closer than this, relative to the larger, would cancel in a difference."""
_NODE = 0.5 / 3**0.5
"""Of the rule with two points, whose error is of fourth order in the distance."""


def quadratic_form(matrices: Tensor, vectors: Tensor, profile: Profile) -> Tensor:
    """Return a† f(D) a for one D and a at each point and several f, shape (points, energies).

    It can be differentiated once, with respect to matrices and vectors.

    Parameters
    ----------
    matrices
        D, Hermitian, shape (points, m, m).
    vectors
        a, complex, shape (points, m).
    profile
        The functions f.
    """
    return _QuadraticForm.apply(matrices, vectors, profile)


class _QuadraticForm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrices: Tensor, vectors: Tensor, profile: Profile) -> Tensor:
        eigenvalues, eigenvectors = torch.linalg.eigh(matrices)
        projections = (eigenvectors.mH @ vectors[..., None])[..., 0]  # c, [point, mode]
        ctx.save_for_backward(eigenvalues, eigenvectors, projections)
        ctx.profile = profile
        return torch.einsum("pm,pme->pe", projections.abs().square(), profile(eigenvalues))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        eigenvalues, eigenvectors, projections = ctx.saved_tensors
        by_matrix = by_vector = None
        if ctx.needs_input_grad[0]:
            divided = _divided_differences(eigenvalues, ctx.profile, gradient)
            inner = projections[:, :, None] * divided * projections.conj()[:, None, :]
            by_matrix = eigenvectors @ inner @ eigenvectors.mH
        if ctx.needs_input_grad[1]:
            values = torch.einsum("pme,pe->pm", ctx.profile(eigenvalues), gradient)
            by_vector = 2 * (eigenvectors @ (values * projections)[..., None])[..., 0]
        return by_matrix, by_vector, None


def _divided_differences(eigenvalues: Tensor, profile: Profile, weights: Tensor) -> Tensor:
    """Return φ[λ_i, λ_j] of φ = Σ_E w_E f_E, shape (points, m, m)."""
    values = torch.einsum("pme,pe->pm", profile(eigenvalues), weights)
    gaps = eigenvalues[:, :, None] - eigenvalues[:, None, :]
    size = eigenvalues.abs()
    close = gaps.abs() <= _CLOSE * torch.maximum(size[:, :, None], size[:, None, :])
    plain = (values[:, :, None] - values[:, None, :]) / torch.where(close, 1.0, gaps)
    point, i, j = close.nonzero(as_tuple=True)
    middle = (eigenvalues[point, i] + eigenvalues[point, j]) / 2
    offset = _NODE * (eigenvalues[point, i] - eigenvalues[point, j])
    slopes = _slopes(torch.stack([middle - offset, middle + offset]), profile, weights[point])
    return plain.index_put((point, i, j), slopes.mean(dim=0))


def _slopes(places: Tensor, profile: Profile, weights: Tensor) -> Tensor:
    """Return φ′ at places, shape (2, pairs), with weights of each pair, (pairs, energies)."""
    with torch.enable_grad():
        places = places.detach().requires_grad_()
        total = (profile(places) * weights).sum()
        (found,) = torch.autograd.grad(total, places)
    return found
