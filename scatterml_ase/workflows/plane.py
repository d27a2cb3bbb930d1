"""Slices at constant energy from a file of force constants: the options of ``scatterml plane``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from scatterml_ase.atomic_write import atomic_write, writable_folder
from scatterml_ase.phonons.convert import read_force_constants
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.results.plotting import subscripts
from scatterml_ase.results.sqw_plane import SqwPlane
from scatterml_ase.scattering.plane import PlaneScattering
from scatterml_ase.scattering.probe import ProbeName

Direction = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class PlaneOptions:
    """What can be chosen about a plane.

    Parameters
    ----------
    energy
        From and to in meV; negative where the neutron gains energy.
    u
        First of two directions that span the plane, in reciprocal-lattice units (r.l.u.).
    v
        The second one; it need not be perpendicular.
    u_range
        From and to, in lengths of u.
    v_range
        From and to, in lengths of v.
    bins
        How many there are along u and v.
    origin
        A point of the plane in r.l.u.
    cell
        Whose r.l.u. are meant: conventional or primitive.
    thickness
        Over how much in 1/Å across the plane the mean is taken.
    temperature
        In K.
    probe
        What is scattered: neutrons or x-rays.
    instrument
        A spectrometer such as ARCS or LET; by default S(Q,E) itself.
    incident_energy
        Energy of the incident neutrons in meV.
    psi
        The crystal, mounted with u along the beam and v horizontal, is turned from and to these
        angles in degrees; by default as needed.
    energy_fwhm
        Full width at half maximum in meV of the resolution where there is no instrument; by
        default 2 % of the highest phonon energy.
    q_fwhm
        Full width at half maximum in 1/Å of the resolution in Q; by default none.
    linewidths
        Full width at half maximum in meV of all modes, as damped harmonic oscillators.
    """

    energy: tuple[float, float] = (10.0, 12.0)
    u: Direction = (1.0, 0.0, 0.0)
    v: Direction = (0.0, 1.0, 0.0)
    u_range: tuple[float, float] = (-3.0, 3.0)
    v_range: tuple[float, float] = (-3.0, 3.0)
    bins: tuple[int, int] = (160, 160)
    origin: Direction = (0.0, 0.0, 0.0)
    cell: str = "conventional"
    thickness: float = 0.0
    temperature: float = 300.0
    probe: ProbeName = "neutron"
    instrument: str | None = None
    incident_energy: float | None = None
    psi: tuple[float, float] | None = None
    energy_fwhm: float | None = None
    q_fwhm: float | None = None
    linewidths: float | None = None


def scatter_plane(
    force_constants: ForceConstants | str | Path, options: PlaneOptions, *, progress: bool = False
) -> SqwPlane:
    """Return S(Q, E) on a plane of a crystal.

    Parameters
    ----------
    force_constants
        The object, or a file (see :func:`~scatterml_ase.read_force_constants`).
    options
        See :class:`PlaneOptions`.
    progress
        Whether to show a progress bar.
    """
    if not isinstance(force_constants, ForceConstants):
        force_constants = read_force_constants(force_constants)
    plain = asdict(options)
    axes, ranges = ((plain.pop(f"u{end}"), plain.pop(f"v{end}")) for end in ("", "_range"))
    return PlaneScattering(axes=axes, ranges=ranges, progress=progress, **plain)(force_constants)


def save_plane(plane: SqwPlane, folder: str | Path) -> Path:
    """Write a plane and its picture into a folder; each file appears complete or not at all."""
    from matplotlib.figure import Figure

    folder = writable_folder(folder, create=True)
    figure = Figure(figsize=(6.4, 5.2))
    ax = plane.plot(figure.subplots())
    ax.set_title(f"{_subject(plane)}: {ax.get_title()}", fontsize="medium")
    plane.save(folder / "plane.nxs")
    for name in ("plane.png", "plane.pdf"):
        with atomic_write(folder / name) as temporary:  # tight: the plane has a shape of its own
            figure.savefig(temporary, dpi=200, bbox_inches="tight")
    return folder


def _subject(plane: SqwPlane) -> str:
    """Name the crystal, its temperature and the instrument."""
    formula = plane.crystal.to_atoms().get_chemical_formula("metal", empirical=True)
    words = [subscripts(formula), f"{plane.temperature:g} K"]
    options = plane.provenance["plane"]
    instrument = options["instrument"]
    if options["probe"] == "xray":
        words.append("x-rays")
    if plane.kinematics is not None and instrument is not None:
        words.append(f"{instrument['name']} at {plane.kinematics['fixed_energy']:g} meV")
    return ", ".join(words)
