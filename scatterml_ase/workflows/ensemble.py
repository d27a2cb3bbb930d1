"""Spectra with error bars: the same analysis with several potentials, mean and band."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from ase import Atoms

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.density_of_states import nice_edges
from scatterml_ase.protocols import SupportsMembers
from scatterml_ase.results.base import Result
from scatterml_ase.results.counted_dos import phonon_dos
from scatterml_ase.results.dos import PhononDOS
from scatterml_ase.results.force_constants import ForceConstants, Mesh
from scatterml_ase.results.spread import mean_and_spread
from scatterml_ase.scattering.view import highest_mode

if TYPE_CHECKING:
    from ase.calculators.calculator import BaseCalculator

_ResultT = TypeVar("_ResultT", bound=Result)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """One crystal with the force constants of several potentials, which disagree a little.

    ``Ensemble.of(atoms)(PowderScattering(300, instrument="ARCS", incident_energy=60))`` returns
    the mean map of the members of ``atoms.calc``, with their standard deviation as its ``error``.

    The members' force constants belong to one structure, so that maps share their bins and the
    spread is that of the forces; how far the potentials disagree on the lattice constant is not
    in it. A powder map has a sampling error of its own, which the spread holds too as far as it
    differs between members: choose ``tolerance`` well below the spread.

    Parameters
    ----------
    members
        Two or more force constants of the same crystal.
    """

    members: tuple[ForceConstants, ...]

    def __post_init__(self) -> None:
        """Check that there are several, of one crystal."""
        members = tuple(self.members)
        object.__setattr__(self, "members", members)
        if len(members) < 2:
            what = f"An ensemble of {len(members)} has no spread"
            raise InputError(explain(what, "a standard deviation takes two", "Give more members"))
        first = members[0].crystal.to("angstrom")
        for member in members[1:]:
            crystal = member.crystal.to("angstrom")
            if crystal.symbols != first.symbols or not np.allclose(
                crystal.cell, first.cell, rtol=0, atol=1e-4
            ):
                what = f"The members are of different crystals ({first!r}, {crystal!r})"
                why = "the mean is taken bin by bin, at the same Q"
                raise InputError(explain(what, why, "Give all of them the same structure"))

    @classmethod
    def of(
        cls,
        atoms: Atoms,
        calculators: Sequence[BaseCalculator] | SupportsMembers | None = None,
        phonons: Callable[[Atoms], ForceConstants] | None = None,
    ) -> Self:
        """Make the force constants of one structure with each calculator.

        Parameters
        ----------
        atoms
            The crystal, relaxed with what is taken as the best potential (a committee's mean).
        calculators
            ASE calculators, or a committee such as
            :class:`~scatterml_ase.CommitteeCalculator`; None: that of the atoms.
        phonons
            How: an analyzer of atoms; None: :class:`~scatterml_ase.FiniteDisplacementPhonons`
            that tolerates forces of 0.1 eV/Å and stresses of 0.01 eV/Å³, since members feel some
            where their mean feels none.

        Raises
        ------
        InputError
            If there are no several calculators, or as the analyzer does.
        """
        if phonons is None:
            from scatterml_ase.phonons.finite_displacement import FiniteDisplacementPhonons

            phonons = FiniteDisplacementPhonons(force_tolerance=0.1, stress_tolerance=0.01)
        found = []
        for calculator in _calculators(atoms.calc if calculators is None else calculators):
            copy = atoms.copy()
            copy.calc = calculator
            found.append(phonons(copy))
        return cls(tuple(found))

    def __call__(
        self,
        analyzer: Callable[[ForceConstants], Any],
        then: Callable[[Any], _ResultT] | None = None,
    ) -> _ResultT:
        """Return the mean over the members of what an analyzer makes, with its ``error``.

        Parameters
        ----------
        analyzer
            E.g. a :class:`~scatterml_ase.PowderScattering`. Energy bins it would choose by itself
            are those of the member with the highest mode.
        then
            What to take from each result, such as ``lambda sqw: sqw.cut(q=(2, 4))``: errors of a
            map's bins are not independent, so that a cut of the mean map would have too small a
            band.

        Raises
        ------
        InputError
            If the results have different bins, or as the analyzer does.
        """
        highest = [highest_mode(member) for member in self.members]
        leader = int(np.argmax(highest))
        results = {leader: analyzer(self.members[leader])}
        analyzer = _on_bins_of(analyzer, results[leader])
        for index, member in enumerate(self.members):
            if index != leader:
                results[index] = analyzer(member)
        ordered = [results[index] for index in range(len(self.members))]
        return mean_and_spread(ordered if then is None else [then(one) for one in ordered])

    def dos(self, mesh: Mesh = (20, 20, 20), *, partial: bool = True, **options: Any) -> PhononDOS:
        """Return the mean density of states, with its ``error``.

        Arguments are those of :meth:`ForceConstants.dos`; the bins cover the modes of all.
        """
        modes = [one.mesh_modes(mesh, eigenvectors=partial).to("meV") for one in self.members]
        step = options.pop("energy_step", None)
        if options.get("energy_edges") is None:
            lowest = min(float(one.frequencies.min()) for one in modes)
            highest = max(float(one.frequencies.max()) for one in modes)
            settled = 0.0 if lowest > -_NOISE else lowest  # translations are no vibrations
            options["energy_edges"] = nice_edges(settled, highest, step)
        return mean_and_spread([phonon_dos(one, **options) for one in modes])


_NOISE = 1e-3
"""Frequencies above minus this many meV are zero."""


def _calculators(given: Any) -> list[Any]:
    """Return the calculators of a committee or a list."""
    if isinstance(given, SupportsMembers):
        return list(given.members)
    if isinstance(given, Iterable) and not isinstance(given, str):
        return list(given)
    raise InputError(
        explain(
            f"{type(given).__name__} is no committee",
            "the spread is that of several potentials",
            "Give a list of calculators, or CommitteeCalculator('si')",
        )
    )


def _on_bins_of(analyzer: Any, result: Any) -> Any:
    """Return the analyzer with the energy bins it chose, if it did."""
    free = is_dataclass(analyzer) and "energy_edges" in {item.name for item in fields(analyzer)}
    if not free or analyzer.energy_edges is not None:
        return analyzer
    if getattr(analyzer, "energy", None) is not None:  # the one slice of a plane
        return analyzer
    return replace(analyzer, energy_edges=result.energy_transfer)
