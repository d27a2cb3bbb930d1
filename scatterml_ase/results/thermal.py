"""Thermodynamic properties of a harmonic crystal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from scatterml_ase.errors import InputError, StabilityWarning, explain, warn
from scatterml_ase.physics import debye_waller
from scatterml_ase.physics import thermal as physics
from scatterml_ase.results.base import Result, array
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.modes import PhononModes
from scatterml_ase.results.thermal_figure import draw_thermal
from scatterml_ase.units import BOLTZMANN, MEV_PER_K_TO_J_PER_K_PER_MOL, MEV_TO_KJ_PER_MOL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAS_CONSTANT = BOLTZMANN * MEV_PER_K_TO_J_PER_K_PER_MOL
"""k_B N_A in J/(K mol)."""
Basis = Literal["cell", "formula_unit", "atom"]
_EXTENSIVE = ("heat_capacity", "entropy", "free_energy", "internal_energy")


@dataclass(frozen=True, eq=False, kw_only=True)
class ThermalProperties(Result):
    """Heat capacity, entropy, energies and displacements of a harmonic crystal at constant volume.

    A mole is a mole of primitive cells unless :meth:`per` was called; ``basis`` says which.

    Parameters
    ----------
    crystal
        The primitive cell.
    temperatures
        In K, shape (temperature,).
    heat_capacity, entropy
        In J/(K mol), shape (temperature,).
    free_energy, internal_energy
        In kJ/mol with the zero-point energy, without the static lattice; shape (temperature,).
    displacement_tensors
        U = ⟨u uᵀ⟩ of each atom in Å², Cartesian, shape (temperature, atom, 3, 3). The Debye-Waller
        factor of an intensity is exp(-Q·U·Q). None if no eigenvectors were at hand.
    zero_point_energy
        In kJ/mol.
    debye_temperature
        In K, of the second moment ⟨E²⟩ of the spectrum, the high-temperature limit of the caloric
        one (see :meth:`caloric_debye_temperatures`); all modes, optical ones too, in one Debye
        spectrum.
    imaginary_modes
        How many modes were left out because they have no real frequency.
    imaginary_share
        The share of all modes they stand for, 0 to 1.
    basis
        "cell", "formula_unit" or "atom".
    heat_capacity_error, entropy_error, free_energy_error, internal_energy_error
        Standard deviations, shape (temperature,), where known.
    isotropic_displacement_error
        Standard deviation of U_iso in Å², shape (temperature, atom), where known.
    debye_temperature_error
        Standard deviation in K, where known.
    """

    crystal: Crystal
    temperatures: np.ndarray = array("temperature", unit="K")
    heat_capacity: np.ndarray = array("temperature", unit="J/(K mol)")
    entropy: np.ndarray = array("temperature", unit="J/(K mol)")
    free_energy: np.ndarray = array("temperature", unit="kJ/mol")
    internal_energy: np.ndarray = array("temperature", unit="kJ/mol")
    displacement_tensors: np.ndarray | None = array(
        "temperature", "atom", "xyz", "xyz", unit="{length}^2", default=None
    )
    zero_point_energy: float
    debye_temperature: float
    imaginary_modes: int = 0
    imaginary_share: float = 0.0
    basis: Basis = "cell"
    heat_capacity_error: np.ndarray | None = array("temperature", unit="J/(K mol)", default=None)
    entropy_error: np.ndarray | None = array("temperature", unit="J/(K mol)", default=None)
    free_energy_error: np.ndarray | None = array("temperature", unit="kJ/mol", default=None)
    internal_energy_error: np.ndarray | None = array("temperature", unit="kJ/mol", default=None)
    isotropic_displacement_error: np.ndarray | None = array(
        "temperature", "atom", unit="{length}^2", default=None
    )
    debye_temperature_error: float | None = None

    signal: ClassVar[str] = "heat_capacity"
    axes: ClassVar[tuple[str, ...]] = ("temperatures",)
    row_dims: ClassVar[tuple[str, ...]] = ("temperature",)

    @classmethod
    def from_modes(
        cls,
        modes: PhononModes,
        temperatures: np.ndarray | Sequence[float] | float | None = None,
        **options: Any,
    ) -> ThermalProperties:
        """Sum over the modes of a mesh; the options are those of :func:`thermal_properties`."""
        return thermal_properties(modes, temperatures, **options)

    def per(self, basis: Basis) -> Self:
        """Return the same per mole of primitive cells, formula units or atoms.

        Raises
        ------
        InputError
            If ``basis`` is none of these.
        """
        factor = self._count(basis) / self._count(self.basis)
        amounts = [*_EXTENSIVE, *(f"{name}_error" for name in _EXTENSIVE), "zero_point_energy"]
        given = {name: getattr(self, name) for name in amounts}
        changed = {name: value / factor for name, value in given.items() if value is not None}
        return replace(self, **changed, basis=basis)

    @property
    def isotropic_displacements(self) -> np.ndarray | None:
        """U_iso = ⟨u²⟩/3 = tr U/3 of each atom in Å², shape (temperature, atom)."""
        if self.displacement_tensors is None:
            return None
        return np.trace(self.displacement_tensors, axis1=2, axis2=3) / 3

    @property
    def dulong_petit(self) -> float:
        """Classical limit 3nR of the heat capacity in J/(K mol)."""
        return 3 * len(self.crystal) * GAS_CONSTANT / self._count(self.basis)

    def caloric_debye_temperatures(self) -> np.ndarray:
        """Return the Debye temperature in K that gives C_V(T), shape (temperature,).

        NaN at T = 0 and where C_V has reached 3nR.
        """
        return physics.caloric_debye_temperatures(
            self.heat_capacity / self.dulong_petit, self.temperatures
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw C_V and S (left) and F (right) over temperature; return the left axes.

        A single temperature is drawn as points with their values, several as curves; what has a
        standard deviation shows it.
        """
        return draw_thermal(self, ax)

    def _count(self, basis: Basis) -> int:
        """Return how many of ``basis`` are in the primitive cell."""
        counts = {"cell": 1, "formula_unit": self.crystal.formula_units, "atom": len(self.crystal)}
        if basis not in counts:
            what = f"Thermal properties per {basis!r} are not known"
            raise InputError(explain(what, "a basis is a count", f"Use one of {', '.join(counts)}"))
        return counts[basis]


def thermal_properties(
    modes: PhononModes,
    temperatures: np.ndarray | Sequence[float] | float | None = None,
    *,
    coarse: PhononModes | None = None,
) -> ThermalProperties:
    """Sum the thermal properties over the modes of a mesh, exactly (no binning).

    The three translations at Γ are left out, and so are imaginary modes, with a warning.

    Parameters
    ----------
    modes
        Modes on a mesh, full or irreducible.
    temperatures
        In K, shape (temperature,) or a number; 0 to 1000 K in steps of 10 K if None.
    coarse
        Modes on a mesh half as dense: the displacements, whose mesh error falls as slowly as
        1/n, are then extrapolated to an infinite mesh.

    Raises
    ------
    InputError
        If a temperature is negative or not finite.
    """
    kelvin = temperature_grid(temperatures)
    modes = modes.to("meV")
    acoustic = _acoustic(modes)
    imaginary = physics.imaginary_modes(modes.frequencies, acoustic)
    if imaginary.any():
        warn_of_imaginary_modes(int(imaginary.sum()), imaginary.size, modes.frequencies.min())
    kept = ~(acoustic | imaginary)
    shares = np.broadcast_to(modes.weights[:, None], kept.shape)
    energies, weights = modes.frequencies[kept], shares[kept]
    displacements = _displacement_tensors(modes, kelvin)
    if displacements is not None and coarse is not None:
        ratio = (len(_grid(modes)) / len(_grid(coarse))) ** (1 / 3)
        rough = _displacement_tensors(coarse.to("meV"), kelvin)
        if rough is not None:
            displacements = debye_waller.extrapolate(rough, displacements, ratio=ratio)
    return from_oscillators(
        modes.crystal,
        energies,
        weights,
        kelvin,
        displacement_tensors=displacements,
        imaginary_modes=int(imaginary.sum()),
        imaginary_share=float(shares[imaginary].sum() / imaginary.shape[1]),
        provenance=modes.provenance,
    )


def temperature_grid(temperatures: np.ndarray | Sequence[float] | float | None) -> np.ndarray:
    """Return temperatures in K as an array, checked; 0 to 1000 K in steps of 10 K for None."""
    if temperatures is None:
        return np.arange(0.0, 1001.0, 10.0)
    return debye_waller.check_temperatures(temperatures)


def from_oscillators(
    crystal: Crystal,
    energies: np.ndarray,
    weights: np.ndarray,
    temperatures: np.ndarray,
    **others: Any,
) -> ThermalProperties:
    """Build :class:`ThermalProperties` from weighted oscillator energies in meV.

    ``others`` are further fields of the result.
    """
    second_moment = float(weights @ energies**2 / weights.sum()) if len(energies) else np.nan
    return ThermalProperties(
        crystal=crystal,
        temperatures=temperatures,
        **molar_sums(energies, weights, temperatures),
        zero_point_energy=float(weights @ energies) / 2 * MEV_TO_KJ_PER_MOL,
        debye_temperature=physics.debye_temperature_from_moment(second_moment),
        **others,
    )


def molar_sums(
    energies: np.ndarray, weights: np.ndarray, temperatures: np.ndarray
) -> dict[str, Any]:
    """Return heat capacity, entropy (J/(K mol)), free and internal energy (kJ/mol) by name.

    Shapes are those of :func:`scatterml_ase.physics.thermal.harmonic_sums`.
    """
    sums = physics.harmonic_sums(energies, weights, temperatures)
    return {
        "heat_capacity": sums.heat_capacity * GAS_CONSTANT,
        "entropy": sums.entropy * GAS_CONSTANT,
        "free_energy": sums.free_energy * MEV_TO_KJ_PER_MOL,
        "internal_energy": sums.internal_energy * MEV_TO_KJ_PER_MOL,
    }


def warn_of_imaginary_modes(count: int, total: int, lowest: float) -> None:
    """Say that imaginary modes were left out of thermal averages, and what to do."""
    warn(
        explain(
            f"{count} of {total} modes on the mesh are imaginary (lowest {lowest:.2f} meV)",
            "they have no harmonic averages and are left out of the thermal properties",
            "Relax more tightly, use a larger supercell, or displace the crystal along the mode "
            "to find its stable structure",
        ),
        StabilityWarning,
        stacklevel=4,
    )


def _acoustic(modes: PhononModes) -> np.ndarray:
    return physics.acoustic_modes_at_gamma(
        modes.q_reduced, modes.frequencies, modes.eigenvectors, modes.crystal.masses
    )


def _displacement_tensors(modes: PhononModes, temperatures: np.ndarray) -> np.ndarray | None:
    """Return U in Å², averaged over the space group if the mesh is reduced by it."""
    if modes.eigenvectors is None:
        return None
    frequencies = np.where(_acoustic(modes), 0.0, modes.frequencies)  # 0 is left out
    tensors = debye_waller.displacement_tensors(
        frequencies, modes.eigenvectors, modes.weights, modes.crystal.masses, temperatures
    )
    return modes.site_average_tensors(tensors)


def _grid(modes: PhononModes) -> np.ndarray:
    """Return the points of the full mesh, for their number."""
    return modes.weights if modes.mesh_mapping is None else modes.mesh_mapping
