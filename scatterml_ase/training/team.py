"""The processes of a run: started by torchrun they share every batch; else there is one.

Batches are planned for the whole team, each process learns from its share, and gradients are
added up with the weights of the shares: the result is that of one process, up to rounding.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from scatterml_ase.errors import InputError, explain


@dataclass(frozen=True)
class Team:
    """One process's view of all processes of a run.

    Attributes
    ----------
    rank, size
        Number of this process, from 0, and how many there are.
    device
        Where this process computes.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes files and talks."""
        return self.rank == 0

    def share(self, members: Sequence[int], costs: Sequence[int]) -> list[int]:
        """Return this process's members, in order; the shares of all cost about the same.

        The most expensive are dealt out first, each to the process with the least so far.
        """
        if self.size == 1:
            return list(members)
        loads = [0] * self.size
        mine = []
        for cost, place in sorted(((-c, i) for i, c in enumerate(costs))):
            rank = loads.index(min(loads))
            loads[rank] -= cost
            if rank == self.rank:
                mine.append(place)
        return [members[place] for place in sorted(mine)]

    def total(self, values: Tensor) -> Tensor:
        """Return the sum of every process's values, the same in all of them."""
        if self.size == 1:
            return values
        summed = values.detach().to(self.device, copy=True)
        dist.all_reduce(summed)
        return summed.to(values.device)

    def add_gradients(self, model: nn.Module) -> None:
        """Replace the gradients of the trainable weights by their sums over the processes."""
        if self.size == 1:
            return
        weights = [p for p in model.parameters() if p.requires_grad]
        flat = torch.cat(
            [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in weights]
        )
        parts = self.total(flat).split([p.numel() for p in weights])
        for weight, part in zip(weights, parts, strict=True):
            weight.grad = part.view_as(weight)

    def agree(self, seconds: float, *, stop: bool) -> tuple[float, bool]:
        """Return the leader's time, and whether any process wants to stop."""
        if self.size == 1:
            return seconds, stop
        values = torch.tensor([seconds if self.leads else 0.0, stop], dtype=torch.float64)
        time, votes = self.total(values).tolist()
        return time, votes > 0

    def require_same(self, name: str, number: float) -> None:
        """Refuse to go on if a number differs between the processes.

        Raises
        ------
        InputError
            Naming it.
        """
        total = self.total(torch.tensor([number], dtype=torch.float64)).item()
        if total != self.size * number:
            raise InputError(
                explain(
                    f"Process {self.rank} has another {name} than the others",
                    "the processes of a run must see the same files",
                    "Give all of them one folder for data and output, on a shared disk",
                )
            )

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self.size > 1:
            self.total(torch.zeros(1))


@contextmanager
def team(device: str) -> Iterator[Team]:
    """Join the processes that torchrun has started; without it, be a team of one.

    Parameters
    ----------
    device
        "cpu", "cuda", or "auto" for CUDA where there is some.

    Raises
    ------
    InputError
        If there is no such device, or if processes would have to share one.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    place = _device(device, local_rank=int(os.environ.get("LOCAL_RANK", 0)) if size > 1 else None)
    if size == 1:
        yield Team(device=place)
        return
    joined_here = not dist.is_initialized()
    if joined_here:
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield Team(rank, size, place)
    finally:
        if joined_here:
            dist.destroy_process_group()


def _device(name: str, *, local_rank: int | None) -> torch.device:
    """Return the device of a process; ``local_rank`` counts those on this machine, if several."""
    available = torch.cuda.is_available()
    if name == "cpu" or (name == "auto" and not available):
        return torch.device("cpu")
    if not available:
        raise InputError(
            explain(
                'run.device = "cuda"',
                "torch finds no CUDA device here",
                'Use run.device = "auto" or "cpu", or install a torch built for CUDA',
            )
        )
    if local_rank is None:
        return torch.device("cuda", torch.cuda.current_device())
    if local_rank >= torch.cuda.device_count():
        raise InputError(
            explain(
                f"Process {local_rank} of this machine has no CUDA device of its own",
                f"there are {torch.cuda.device_count()}",
                "Start as many processes as devices (torchrun --nproc-per-node), "
                'or set run.device = "cpu"',
            )
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)
