"""The square of an equivariant field, differentiable to any order, in cache-sized pieces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# Columns per piece: 140 products of doubles for 512 columns (l ≤ 3) stay within a core's cache,
# and pieces this size are recycled by the allocator instead of going back to the system.
_COLUMNS = 256


@dataclass(frozen=True)
class Quadratic:
    """q_r(x) = Σ_{i≤j} K_{r,ij} x_i x_j for columns x, with K in one even and seven odd blocks.

    See :class:`~scatterml_ase.nn.product.SymmetricSquare` for where the blocks come from.
    """

    first: Tensor
    """Index i of each pair, those of the even block first."""
    second: Tensor
    """Index j of each pair."""
    even: Tensor
    """K of the even block (rows, pairs)."""
    odd: Tensor
    """K of the odd blocks (7, rows, pairs), padded with zeros."""
    rows: Tensor
    """Where each row r of the result is in the blocks, even first."""

    def couple(self, pairs: Tensor) -> Tensor:
        """Return K · pairs, shape (rows, columns)."""
        n, (k, _, width) = self.even.shape[1], self.odd.shape
        even = self.even @ pairs[:n]
        odd = torch.bmm(self.odd, pairs[n:].view(k, width, pairs.shape[1]))
        return torch.cat([even, odd.flatten(0, 1)]).index_select(0, self.rows)

    def spread(self, gradient: Tensor) -> Tensor:
        """Return Kᵀ · gradient, shape (pairs, columns)."""
        n, (k, height, _) = self.even.shape[0], self.odd.shape
        blocks = gradient.new_zeros(n + k * height, gradient.shape[1])
        blocks[self.rows] = gradient
        odd = torch.bmm(self.odd.mT, blocks[n:].view(k, height, gradient.shape[1]))
        return torch.cat([self.even.T @ blocks[:n], odd.flatten(0, 1)])

    def square(self, x: Tensor) -> Tensor:
        """Return q(x)."""
        return self._pieces(
            lambda a: self.couple(
                a.index_select(0, self.first).mul_(a.index_select(0, self.second))
            ),
            x,
        )

    def bilinear(self, x: Tensor, y: Tensor) -> Tensor:
        """Return B(x, y), the derivative of q at y along x: B(x, x) = 2 q(x)."""

        def piece(a: Tensor, b: Tensor) -> Tensor:
            pairs = a.index_select(0, self.first).mul_(b.index_select(0, self.second))
            return self.couple(
                pairs.addcmul_(a.index_select(0, self.second), b.index_select(0, self.first))
            )

        return self._pieces(piece, x, y)

    def adjoint(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Return the z with z·y = gradient·B(x, y) for every y."""

        def piece(g: Tensor, a: Tensor) -> Tensor:
            pairs = self.spread(g)
            z = torch.zeros_like(a).index_add_(
                0, self.first, pairs * a.index_select(0, self.second)
            )
            return z.index_add_(0, self.second, pairs.mul_(a.index_select(0, self.first)))

        return self._pieces(piece, gradient, x)

    @staticmethod
    def _pieces(function: Any, *operands: Tensor) -> Tensor:
        split = zip(*(x.split(_COLUMNS, dim=1) for x in operands), strict=True)
        results = [function(*piece) for piece in split]
        return results[0] if len(results) == 1 else torch.cat(results, dim=1)


class Square(torch.autograd.Function):
    """q(x); its derivatives close on :class:`_Adjoint` and :class:`_Bilinear`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, form: Quadratic) -> Tensor:
        """Return q(x) for x (components, columns)."""
        ctx.save_for_backward(x)
        ctx.form = form
        return form.square(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return gradient · ∂q/∂x."""
        return _Adjoint.apply(gradients[0], *ctx.saved_tensors, ctx.form), None


class _Adjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, x: Tensor, form: Quadratic) -> Tensor:
        ctx.save_for_backward(gradient, x)
        ctx.form = form
        return form.adjoint(gradient, x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        gradient, x = ctx.saved_tensors
        v = gradients[0]
        along_x = _Adjoint.apply(gradient, v, ctx.form)
        return _Bilinear.apply(v, x, ctx.form), along_x, None


class _Bilinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, form: Quadratic) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.form = form
        return form.bilinear(x, y)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        x, y = ctx.saved_tensors
        g = gradients[0]
        return _Adjoint.apply(g, y, ctx.form), _Adjoint.apply(g, x, ctx.form), None
