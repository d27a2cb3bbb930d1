"""Close nuclei repel each other, whatever the network says."""

import math

import pytest
import torch

from scatterml_ase.potential.repulsion import CoreDamping, ZBLRepulsion, contact_distances


def pair(r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Edges of as many separate dimers as there are distances, sorted by centre."""
    i = torch.arange(2 * len(r))
    return r.repeat_interleave(2), torch.stack([i, i ^ 1])


def dimers(repulsion: ZBLRepulsion, r: torch.Tensor, species: int = 0) -> torch.Tensor:
    distances, index = pair(r)
    kinds = torch.full((2 * len(r),), species)
    return repulsion(distances, index, kinds, 2 * len(r)).view(-1, 2).sum(1)


@pytest.fixture
def silicon() -> ZBLRepulsion:
    return ZBLRepulsion((14,), cutoff=5.0).double()


def test_the_limit_is_the_bare_coulomb_repulsion(silicon):
    """At 10⁻⁶ Å nothing screens: r V = e²/(4πε₀) Z²."""
    r = torch.tensor([1e-6], dtype=torch.float64)
    assert (dimers(silicon, r) * r).item() == pytest.approx(14.39964548 * 14**2, rel=1e-4)


def test_the_value_of_the_universal_potential(silicon):
    """Si–Si at 1 Å, written out by hand from Ziegler's formula."""
    a = 0.8854 * 0.529177 / (2 * 14**0.23)
    screening = sum(
        c * math.exp(-b / a)
        for c, b in [(0.1818, 3.2), (0.5099, 0.9423), (0.2802, 0.4029), (0.02817, 0.2016)]
    )
    r = torch.ones(1, dtype=torch.float64)
    assert dimers(silicon, r).item() == pytest.approx(14.39965 * 196 * screening, rel=1e-3)


def test_it_falls_everywhere_and_ends_at_the_end_of_its_span(silicon):
    """dV/dr < 0 up to the end, then exactly nothing."""
    end = silicon.span[1] * contact_distances([14]).item()
    r = torch.linspace(0.05, 3.0, 300, dtype=torch.float64, requires_grad=True)
    energy = dimers(silicon, r)
    (slope,) = torch.autograd.grad(energy.sum(), r)
    inside = r.detach() < end - 0.02
    assert bool((slope[inside] < 0).all())
    assert bool((energy[r.detach() >= end] == 0).all())


def test_each_pair_of_species_has_its_own_range():
    """H–H ends before O–O."""
    repulsion = ZBLRepulsion((1, 8), cutoff=5.0).double()
    r = torch.tensor([1.0], dtype=torch.float64)
    assert dimers(repulsion, r, species=0).item() == 0.0
    assert dimers(repulsion, r, species=1).item() > 1.0


def test_it_never_reaches_beyond_the_cutoff():
    """With a cutoff inside of the span it ends at the cutoff: there are no edges beyond."""
    short = ZBLRepulsion((14,), cutoff=1.5).double()
    r = torch.tensor([1.4, 1.5 - 1e-6, 1.6], dtype=torch.float64)
    assert dimers(short, r).tolist() == pytest.approx([dimers(short, r)[0].item(), 0.0, 0.0])
    assert dimers(short, r)[0].item() > 0


def test_the_network_is_blind_inside_the_core():
    """The damping is 0 below its span, 1 beyond and rises in between."""
    damping = CoreDamping((14,)).double()
    contact = contact_distances([14]).item()
    r = torch.linspace(0.01, 1.2, 100, dtype=torch.float64) * contact
    distances, index = pair(r)
    factor = damping(distances, index, torch.zeros(200, dtype=torch.long))[::2]
    assert bool((factor[r <= damping.span[0] * contact] == 0).all())
    assert bool((factor[r >= damping.span[1] * contact] == 1).all())
    assert bool((factor.diff() >= 0).all())


def test_scales_move_the_contacts_of_a_species():
    """A species of half the contact radius feels the same repulsion span at half the distance."""
    own = contact_distances([14, 42]).diagonal()
    scaled = contact_distances([14, 42], [1.0, 0.5])
    assert scaled[0, 0] == own[0]
    assert scaled[1, 1] == 0.5 * own[1]
    assert scaled[0, 1].item() == pytest.approx(0.5 * own[0].item() + 0.25 * own[1].item())
    damping = CoreDamping((14,), (0.45, 0.8), (0.5,)).double()
    r = torch.linspace(0.1, 1.0, 50, dtype=torch.float64) * own[0]
    distances, index = pair(r)
    factor = damping(distances, index, torch.zeros(100, dtype=torch.long))[::2]
    assert bool((factor[r >= 0.4 * own[0]] == 1).all())
    assert bool((factor[r <= 0.22 * own[0]] == 0).all())
