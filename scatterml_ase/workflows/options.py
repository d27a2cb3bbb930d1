"""The options of the main job: the one place that documents them, also for the command line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Literal, get_args

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.isotopes import substitutions
from scatterml_ase.scattering.probe import ProbeName, neutrons_only

if TYPE_CHECKING:
    from scatterml_ase.scattering.instruments import Instrument

Method = Literal["finite-displacement", "hessian", "direct"]

# Options that are numbers: the open range they lie in, what they are, and an example.
_RANGES = {
    "minimum_length": (0, 100, "a distance in Å between images of an atom", 15),
    "mesh_spacing": (0, 2, "a distance in 1/Å between q-points", 0.08),
    "q_max": (0, 100, "a |Q| in 1/Å", 8),
    "tolerance": (0, 1, "mean |error| / mean intensity", 0.05),
}


@dataclass(frozen=True, kw_only=True)
class SpectrumOptions:
    """What can be chosen about a spectrum; every default suits a small crystal.

    Parameters
    ----------
    temperature
        In K, one or several; a map S(Q,E) is made for each.
    supercell
        Repetitions of the given cell for the displacements. By default the smallest supercell
        that keeps the symmetry and has periodic images minimum_length apart.
    minimum_length
        Distance in Å between periodic images of an atom, where no supercell is given. By default
        15, or three times the calculator's cutoff where it has one that is larger than 5.
    method
        How force constants are made: by finite displacements, with any calculator, or from the
        exact Hessian, with calculators that have one. The shipped potentials give it for the
        infinite crystal: then no supercell is needed unless one is asked for. Or directly: a model
        predicts them from the structure as it is, without calculator and relaxation.
    relax
        Whether positions and cell are relaxed first, keeping the space group.
    mesh_spacing
        Distance in 1/Å between the q-points of the mesh for DOS and thermal properties.
    instrument
        Name of a spectrometer whose resolution and kinematics S(Q,E) is shown with: ARCS, CNCS,
        LET, MAPS, MARI, MERLIN or SEQUOIA, which need incident_energy; or TOSCA, VISION or
        LAGRANGE (LAGRANGE:Si311 for another monochromator), whose banks of detectors each show a
        spectrum. By default S(Q,E) itself.
    incident_energy
        Energy of the incident neutrons in meV.
    chopper_frequency
        Frequency in Hz of the chopper that selects the incident energy; by default the usual one
        of the instrument.
    q_max
        Largest |Q| of the map in 1/Å; by default what the instrument reaches, or 8.
    energy_fwhm
        Full width at half maximum in meV of the Gaussian that broadens the map where there is no
        instrument; by default a fortieth of the highest phonon energy.
    tolerance
        Sampling error of the map: mean |error| / mean intensity.
    probe
        What is scattered: neutrons, or x-rays, of which the coherent scattering by one phonon is
        shown, without an instrument and the polarization factor.
    ions
        For x-rays, the atoms that are ions, such as Na+ Cl- or O2-.
    order
        Largest number of phonons that scatter: 1, 2, ... or all. Beyond one phonon the incoherent
        approximation is made; each number is a part of the map.
    incoherent
        Whether nuclei scatter incoherently too.
    isotopes
        Isotopes in place of the natural mix, such as "H->D 98 %" or "H->D, Li->7Li 99.9 %":
        masses and scattering follow.
    """

    temperature: tuple[float, ...] = (300.0,)
    supercell: tuple[int, int, int] | None = None
    minimum_length: float | None = None
    method: Method = "finite-displacement"
    relax: bool = True
    mesh_spacing: float = 0.08
    instrument: str | None = None
    incident_energy: float | None = None
    chopper_frequency: float | None = None
    q_max: float | None = None
    energy_fwhm: float | None = None
    tolerance: float = 0.05
    probe: ProbeName = "neutron"
    ions: tuple[str, ...] = ()
    order: int | Literal["all"] = "all"
    incoherent: bool = True
    isotopes: str | None = None

    def __post_init__(self) -> None:
        """Accept one temperature for a tuple of one, and any sequence."""
        given = self.temperature
        temperatures = given if isinstance(given, Iterable) else (given,)
        object.__setattr__(self, "temperature", tuple(float(t) for t in temperatures))


def check_options(options: SpectrumOptions) -> None:
    """Refuse impossible options before anything is computed."""
    if not options.temperature or not all(0 <= t < inf for t in options.temperature):
        what = f"temperature={options.temperature} cannot be used"
        fix = "Give one or more temperatures such as (100, 300)"
        raise InputError(explain(what, "temperatures are numbers ≥ 0 in K", fix))
    if options.method not in get_args(Method):
        what = f"method={options.method!r} cannot be used"
        fix = f"Give one of {', '.join(map(repr, get_args(Method)))}"
        raise InputError(explain(what, "it says how force constants are made", fix))
    for name, (smallest, largest, meaning, example) in _RANGES.items():
        value = getattr(options, name)
        if value is not None and not smallest < value < largest:
            raise InputError(
                explain(
                    f"{name}={value} cannot be used",
                    f"it is {meaning}, more than {smallest} and less than {largest}",
                    f"Give a number such as {example}",
                )
            )
    if options.isotopes is not None:
        substitutions(options.isotopes)
    if options.method == "direct" and (options.supercell or options.minimum_length):
        what = "A supercell was asked for together with method='direct'"
        why = "predicted force constants are those of the infinite crystal"
        raise InputError(explain(what, why, "Leave out one of the two"))
    if options.supercell is not None:
        from scatterml_ase.phonons.supercell import supercell_matrix

        supercell_matrix(options.supercell)
    from scatterml_ase.scattering.view import energy_widths, resolve_instrument

    instrument = chosen_instrument(options)
    resolve_instrument(instrument, options.incident_energy, options.energy_fwhm)
    energy_widths(None, None, options.energy_fwhm or 0.0)
    from scatterml_ase.scattering.expansion import check_order

    check_order(options.order)
    several = None if options.order in (1, "all") else options.order
    neutrons_only(options.probe, instrument=options.instrument, order=several)
    scattered(options)


def check_given(options: SpectrumOptions) -> None:
    """Refuse what contradicts force constants that are given."""
    if options.method == "direct":
        what = "Force constants were given together with method='direct'"
        why = "nothing is left to predict"
        fix = "Leave the method out, or give the structure"
        raise InputError(explain(what, why, fix))


def scattered(options: SpectrumOptions) -> dict[str, Any]:
    """Return what is scattered, and how often, as :class:`PowderScattering` takes it.

    Raises
    ------
    InputError
        If an ion is none, two are of one element, or the probe is not x-rays.
    """
    from scatterml_ase.physics.form_factors import element_of

    if options.probe == "neutron" and not options.ions:
        return {"order": options.order, "incoherent": options.incoherent}
    ions = {element_of(ion): ion for ion in options.ions}
    if options.probe == "neutron" or len(ions) < len(options.ions):
        what = f"ions={options.ions} cannot be used with probe={options.probe!r}"
        why = "x-rays tell ions from atoms, and all atoms of an element are the same ion"
        fix = "Give one for each element, with probe='xray'; in Python, analyzers take ions by atom"
        raise InputError(explain(what, why, fix))
    return {"probe": options.probe, "ions": ions or None}


def chosen_instrument(options: SpectrumOptions) -> Instrument | None:
    """Return the spectrometer that is asked for, with its chopper as asked for.

    Raises
    ------
    InputError
        If it is not known, or a chopper frequency is given that it cannot have.
    """
    from scatterml_ase.scattering.instruments import Instrument

    if options.instrument is not None:
        return Instrument.load(options.instrument, chopper_frequency=options.chopper_frequency)
    if options.chopper_frequency is not None:
        what = f"chopper_frequency={options.chopper_frequency} was given without an instrument"
        fix = "Add instrument='ARCS' (or another), or leave it out"
        raise InputError(explain(what, "it is the chopper of an instrument that turns", fix))
    return None
