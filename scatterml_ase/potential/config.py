"""The configuration that rebuilds an E3NN potential."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from scatterml_ase.errors import InputError, explain


@dataclass(frozen=True)
class PotentialConfig:
    """What rebuilds an :class:`E3NNPotential`: plain values only."""

    species: tuple[int, ...]
    """Atomic numbers the model knows, rising."""
    cutoff: float = 5.0
    """Atoms closer than this interact, in Å."""
    channels: int = 24
    """Channels of the atomic basis."""
    l_max: int = 3
    """Largest degree of the spherical harmonics."""
    correlation: int = 4
    """Largest order of the many-body products, 1 to 4."""
    layers: int = 1
    """Layers; each one past the first lets atoms see one cutoff further."""
    message_channels: int = 8
    """Features of each degree an atom sends to its neighbours in the next layer."""
    message_l_max: int = 0
    """Largest degree of these messages: 0 for scalars, fast; 1 or 2 for vectors and tensors."""
    radial_hidden: tuple[int, ...] = (16,)
    """Widths of the radial network of messages of degree 1 and more."""
    n_basis: int = 8
    """Radial functions."""
    envelope_power: int = 5
    """Power of the polynomial that ends the radial functions at the cutoff."""
    readout_hidden: tuple[int, ...] = (32,)
    """Widths of the readout network of each layer."""
    average_neighbours: float = 30.0
    """z̄: mean number of neighbours in the training set."""
    reference_energies: tuple[float, ...] = ()
    """Energy of a free atom of each species in eV; zeros when empty."""
    binding_energies: tuple[float, ...] = ()
    """Mean energy per atom of each species relative to the free atom in eV; zeros when empty."""
    rest_densities: tuple[float, ...] = ()
    """Sum of the bonds of an atom at rest, of each species (see BondGate); ones when empty."""
    binding_span: tuple[float, float] = (0.0, 0.25)
    """Sums of bonds, in that of an atom at rest, over which atoms bind and the network wakes up."""
    energy_scale: float = 1.0
    """Energy in eV that one unit of network output stands for."""
    energy_floor: float = 6.0
    """Depth in eV the network cannot pass; it bends from half of it on. No unseen crowd of atoms
    gains unlimited energy."""
    repulsion: bool = True
    """Whether nuclei repel each other (ZBL) and the network is blind to impossible distances."""
    contact_scales: tuple[float, ...] = ()
    """Factors on the covalent radii of each species, whose sums are contact distances; ones when
    empty."""
    repulsion_span: tuple[float, float] = (0.7, 1.15)
    """Distances, in contact distances, over which the repulsion fades."""
    core_span: tuple[float, float] = (0.45, 0.8)
    """Distances, in contact distances, over which the network starts to see a neighbour."""


_RANGES: dict[str, tuple[float, float]] = {
    "cutoff": (0.1, 100.0),
    "channels": (1, 4096),
    "l_max": (0, 6),
    "correlation": (1, 4),
    "layers": (1, 16),
    "message_channels": (1, 4096),
    "message_l_max": (0, 6),
    "n_basis": (1, 256),
    "envelope_power": (3, 64),
    "average_neighbours": (1e-6, 1e6),
    "energy_scale": (1e-9, 1e9),
    "energy_floor": (1e-6, 1e9),
}


def checked(config: PotentialConfig) -> PotentialConfig:
    """Fill empty energies and refuse values no model can have."""
    species = tuple(int(number) for number in config.species)
    if not species or list(species) != sorted(set(species)):
        raise InputError(
            explain(
                f"species is {config.species}",
                "a model needs each atomic number once, in rising order",
                "Pass for example species=(8, 14)",
            )
        )
    for name, (lowest, highest) in _RANGES.items():
        value = getattr(config, name)
        if not lowest <= value <= highest:
            raise InputError(
                explain(
                    f"{name} is {value}",
                    "no model of this architecture can have that",
                    f"Choose {name} from {lowest} to {highest}",
                )
            )
    if config.message_l_max > 0 and (config.correlation < 3 or config.message_l_max > config.l_max):
        raise InputError(
            explain(
                f"message_l_max is {config.message_l_max}",
                "messages are made of products of at least third order, of degrees up to l_max",
                "Use correlation >= 3 and message_l_max <= l_max, or message_l_max=0",
            )
        )
    zeros = (0.0,) * len(species)
    filled = replace(
        config,
        species=species,
        reference_energies=tuple(config.reference_energies) or zeros,
        binding_energies=tuple(config.binding_energies) or zeros,
        rest_densities=tuple(config.rest_densities) or (1.0,) * len(species),
        contact_scales=tuple(config.contact_scales) or (1.0,) * len(species),
    )
    for name in ("reference_energies", "binding_energies", "rest_densities", "contact_scales"):
        if len(getattr(filled, name)) != len(species):
            raise InputError(
                explain(
                    f"{name} has {len(getattr(filled, name))} values for {len(species)} species",
                    "each species needs its own",
                    "Give one value per species in the order of species",
                )
            )
    _check_borders(filled)
    return filled


def _check_borders(config: PotentialConfig) -> None:
    """Refuse spans without a width, and lengths and densities that are not positive."""
    for name in ("binding_span", "repulsion_span", "core_span"):
        span = getattr(config, name)
        if len(span) != 2 or not 0 <= span[0] < span[1] < math.inf:
            raise InputError(
                explain(
                    f"{name} is {span}",
                    "something rises smoothly from its start to its end",
                    "Give two numbers, 0 <= start < end",
                )
            )
    for name in ("rest_densities", "contact_scales"):
        if not all(0 < value < math.inf for value in getattr(config, name)):
            raise InputError(
                explain(
                    f"{name} is {getattr(config, name)}",
                    "distances and sums of bonds are measured in them",
                    "Give positive numbers",
                )
            )
