"""The square of an equivariant field, differentiable to any order, in cache-sized pieces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# Bytes of a row of a piece: the 140 products of pairs (l ≤ 3) stay within a core's cache.
_ROW = 4096


@dataclass(frozen=True)
class Quadratic:
    """q_r(x) = Σ_{i≤j} K_{r,ij} x_i x_j for columns x, with K in one even and seven odd blocks.

    See :class:`~scatterml_ase.nn.product.SymmetricSquare` for where the blocks come from.
    """

    pairs: Tensor
    """Index i, then index j of each pair, those of the even block first, (2 × pairs,)."""
    square_of: Tensor
    """Which pair (i, j) or (j, i) is, for all i and j, (components × components,)."""
    even: Tensor
    """K of the even block (rows, pairs)."""
    even_slope: Tensor
    """The same with the squares x_i² counted twice, as in the derivative of q."""
    odd: Tensor
    """K of the odd blocks (7, rows, pairs), padded with zeros."""
    rows: Tensor
    """Where each row r of the result is in the blocks, even first."""
    places: Tensor
    """Which row r each row of the blocks is; one past the last for the padding."""

    def couple(self, products: Tensor) -> Tensor:
        """Return K · products of pairs, shape (rows, columns)."""
        m, n = self.even.shape
        k, height, width = self.odd.shape
        columns = products.shape[1]
        blocks = products.new_empty(m + k * height, columns)
        torch.mm(self.even, products[:n], out=blocks[:m])
        odd = products[n:].view(k, width, columns)
        torch.bmm(self.odd, odd, out=blocks[m:].view(k, height, columns))
        return blocks.index_select(0, self.rows)

    def spread(self, gradient: Tensor) -> Tensor:
        """Return Kᵀ · gradient for the derivative of q, shape (pairs, columns)."""
        m, n = self.even_slope.shape
        k, height, width = self.odd.shape
        columns = gradient.shape[1]
        padded = torch.cat([gradient, gradient.new_zeros(1, columns)])
        blocks = padded.index_select(0, self.places)
        products = gradient.new_empty(n + k * width, columns)
        torch.mm(self.even_slope.T, blocks[:m], out=products[:n])
        odd = blocks[m:].view(k, height, columns)
        torch.bmm(self.odd.mT, odd, out=products[n:].view(k, width, columns))
        return products

    def square(self, x: Tensor) -> Tensor:
        """Return q(x)."""

        def piece(a: Tensor) -> Tensor:
            first, second = self._factors(a)
            return self.couple(first.mul_(second))

        return self._pieces(piece, x)

    def bilinear(self, x: Tensor, y: Tensor) -> Tensor:
        """Return B(x, y), the derivative of q at y along x: B(x, x) = 2 q(x)."""

        def piece(a: Tensor, b: Tensor) -> Tensor:
            (first_a, second_a), (first_b, second_b) = self._factors(a), self._factors(b)
            return self.couple(first_a.mul_(second_b).addcmul_(second_a, first_b))

        return self._pieces(piece, x, y)

    def adjoint(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Return the z with z·y = gradient·B(x, y) for every y."""

        def piece(g: Tensor, a: Tensor) -> Tensor:
            matrix = self.spread(g).index_select(0, self.square_of).view(len(a), *a.shape)
            return matrix.mul_(a).sum(1)

        return self._pieces(piece, gradient, x)

    def _factors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = x.index_select(0, self.pairs).view(2, len(self.pairs) // 2, x.shape[1])
        return first, second

    @staticmethod
    def _pieces(function: Any, *operands: Tensor) -> Tensor:
        columns = _ROW // operands[0].element_size()
        split = zip(*(x.split(columns, dim=1) for x in operands), strict=True)
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
