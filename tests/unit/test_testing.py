"""The contract checks find the flaws they are made for, and name them."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.morse import MorsePotential

from scatterml_ase.errors import InputError
from scatterml_ase.results.base import Result, array
from scatterml_ase.testing import (
    ContractError,
    check_analyzer,
    check_calculator,
    check_result,
    structure_kinds,
)

KINDS = structure_kinds("Cu")


# -- calculators ----------------------------------------------------------------------------------


class Flawed(MorsePotential):
    """ASE's Morse potential with a flaw put into its results."""

    def __init__(self, flaw=None):
        super().__init__(epsilon=0.5, r0=2.5, rho0=4.0, rcut1=1.4, rcut2=2.0)
        self.flaw = flaw

    def calculate(self, atoms=None, properties=("energy",), system_changes=("positions",)):
        super().calculate(atoms, properties, system_changes)
        if self.flaw is not None:
            self.flaw(atoms, self.results)


def scaled_forces(atoms, results):
    results["forces"] = 1.001 * results["forces"]


def wrong_sign_of_stress(atoms, results):
    results["stress"] = -results["stress"]


def wrong_voigt_order(atoms, results):
    results["stress"] = results["stress"][[0, 1, 2, 3, 5, 4]]


def stress_by_signed_volume(atoms, results):
    results["stress"] = results["stress"] * np.sign(np.linalg.det(atoms.cell.array))


def stress_without_volume(atoms, results):
    results["stress"] = np.zeros(6)


def not_a_number(atoms, results):
    results["forces"] = results["forces"] * np.nan


def transposed_forces(atoms, results):
    results["forces"] = results["forces"].T


def text(atoms, results):
    results["energy"] = str(results["energy"])


def energies_without_a_share(atoms, results):
    results["energies"] = 0.9 * results["energies"]


def free_energy_apart(atoms, results):
    results["free_energy"] = results["energy"] - 0.1


def wind(atoms, results):
    results["forces"] = results["forces"] + [0.0, 0.0, 1e-4]


def torque(atoms, results):
    arms = atoms.positions - atoms.positions.mean(axis=0)
    results["forces"] = results["forces"] + 1e-4 * np.cross([0, 0, 1], arms)


def shared(results, extra):
    results["energy"] = results["free_energy"] = results["energy"] + extra
    results["energies"] = results["energies"] + extra / len(results["energies"])


def anchored(atoms, results):
    shared(results, 1e-5 * np.sin(atoms.positions).sum())


def oriented(atoms, results):
    shared(results, 1e-5 * np.ptp(atoms.positions[:, 2]))


def handed(atoms, results):
    a, b, c, d = atoms.positions[:4] - atoms.positions.mean(axis=0)
    shared(results, 1e-5 * np.dot(np.cross(a - b, c - b), d - b))


def ordered(atoms, results):
    shared(results, 1e-5 * atoms.get_distance(0, 1, mic=True))


def unwrapped(atoms, results):
    shared(results, 1e-7 * np.ptp(atoms.positions, axis=0).sum())


def not_extensive(atoms, results):
    shared(results, 1e-5 * len(atoms) ** 2)


def note_in_info(atoms, results):
    atoms.info["computed"] = True


def moved_atoms(atoms, results):
    atoms.positions[0] += 1e-9


CRYSTAL, MOLECULE = "triclinic", "molecule without a cell"


@pytest.mark.parametrize(
    ("flaw", "kind", "check"),
    [
        (scaled_forces, CRYSTAL, "forces"),
        (wrong_sign_of_stress, CRYSTAL, "stress"),
        (wrong_voigt_order, CRYSTAL, "rotation"),
        (stress_by_signed_volume, CRYSTAL, "reflection"),
        (stress_without_volume, MOLECULE, "stress"),
        (not_a_number, CRYSTAL, "shapes"),
        (transposed_forces, CRYSTAL, "shapes"),
        (text, CRYSTAL, "shapes"),
        (energies_without_a_share, CRYSTAL, "sums"),
        (free_energy_apart, CRYSTAL, "sums"),
        (wind, CRYSTAL, "sums"),
        (torque, MOLECULE, "sums"),
        (anchored, CRYSTAL, "translation"),
        (oriented, MOLECULE, "rotation"),
        (handed, MOLECULE, "reflection"),
        (ordered, CRYSTAL, "permutation"),
        (unwrapped, CRYSTAL, "images"),
        (not_extensive, CRYSTAL, "supercell"),
        (note_in_info, CRYSTAL, "untouched"),
        (moved_atoms, CRYSTAL, "untouched"),
    ],
)
def test_a_flaw_is_found_and_named(flaw, kind, check):
    skip = (
        {"rotation", "reflection"} if flaw is unwrapped else ()
    )  # that flaw depends on the axes too
    with pytest.raises(ContractError, match=rf"^\[{check}\] "):
        check_calculator(Flawed(flaw), KINDS[kind], skip=skip)


class Stale(Flawed):
    def check_state(self, atoms, tol=1e-15):
        return [] if self.results else super().check_state(atoms, tol)


class Unpicklable(Flawed):
    def __init__(self):
        super().__init__(flaw=lambda atoms, results: None)


class LeakyBatch(Flawed):
    def evaluate(self, images):
        results = []
        for atoms in images:
            self.reset()
            results.append({"energy": self.get_potential_energy(atoms)})
        results[-1]["energy"] += 1e-3 * (len(images) - 1)
        return results


@pytest.mark.parametrize(
    ("calculator", "check"),
    [(Stale(), "cache"), (Unpicklable(), "pickle"), (LeakyBatch(), "batch")],
)
def test_a_flaw_of_the_object_is_found_and_named(calculator, check):
    with pytest.raises(ContractError, match=rf"^\[{check}\] "):
        check_calculator(calculator, KINDS[CRYSTAL])


def test_the_message_names_calculator_numbers_and_remedy():
    with pytest.raises(ContractError, match=r"Stress from <.*difference .*, allowed 1e-07\)"):
        check_calculator(Flawed(wrong_sign_of_stress), KINDS[CRYSTAL])


def test_a_calculator_without_flaw_passes_and_leaves_the_structure_alone():
    atoms = KINDS[CRYSTAL].copy()
    atoms.calc = mine = EMT()
    before = atoms.copy()
    check_calculator(Flawed(), atoms)
    assert atoms == before and atoms.calc is mine


class EnergyOnly(Flawed):
    implemented_properties = ["energy"]  # noqa: RUF012


def test_what_is_not_implemented_is_passed_over():
    check_calculator(EnergyOnly(), KINDS[CRYSTAL])


@pytest.mark.parametrize(
    ("calculator", "atoms", "reason"),
    [
        (EMT, KINDS[CRYSTAL], "is no ASE calculator"),
        (None, KINDS[CRYSTAL], "is no ASE calculator"),
        (EMT(), Atoms(), "no atoms"),
    ],
)
def test_what_cannot_be_checked_is_refused_with_the_reason(calculator, atoms, reason):
    with pytest.raises(InputError, match=reason):
        check_calculator(calculator, atoms)


def test_a_check_that_does_not_exist_cannot_be_skipped():
    with pytest.raises(InputError, match=r"no check \['taste'\].*supercell"):
        check_calculator(Flawed(), KINDS[CRYSTAL], skip={"taste"})


def test_structure_kinds_are_of_the_element_and_bond_length_asked_for():
    kinds = structure_kinds("Cu", bond=2.0)
    assert {symbol for atoms in kinds.values() for symbol in atoms.symbols} == {"Cu"}
    atoms = kinds["cell smaller than the cutoff"]
    assert min(atoms.get_all_distances(mic=True)[0, 1:]) == pytest.approx(2.0, abs=0.1)


# -- results and analyzers ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class Histogram(Result):
    """A density over energy, for these tests."""

    energy: np.ndarray = array("energy+1", unit="{energy}")
    density: np.ndarray = array("energy", unit="1/{energy}")

    signal = "density"
    axes = ("energy",)
    row_dims = ("energy",)

    def plot(self, ax=None):
        ax.stairs(self.density, self.energy)
        return ax


class NotDrawn(Histogram):
    def plot(self, ax=None):
        return ax


class NotReturned(Histogram):
    def plot(self, ax=None):
        super().plot(ax)


class Forgetful(Histogram):
    def save(self, path):
        path.write_text("")
        return path

    @classmethod
    def load(cls, path):
        return histogram(cls, density=[0.2, 0.5, 0.0])


class NoJacobian(Histogram):
    def to(self, unit):
        return super().to(unit) if unit != "meV" else self


def histogram(kind=Histogram, density=(0.2, 0.5, 0.3)):
    provenance = {"version": "0", "options": {"width": 1.5}}
    return kind(energy=np.arange(4.0), density=np.array(density), provenance=provenance)


@pytest.mark.parametrize(
    ("kind", "check"),
    [(NotDrawn, "plot"), (NotReturned, "plot"), (Forgetful, "file"), (NoJacobian, "units")],
)
def test_a_flaw_of_a_result_is_found_and_named(kind, check):
    everything = {"frozen", "file", "csv", "xarray", "units", "plot"}
    with pytest.raises(ContractError, match=rf"^\[{check}\] "):
        check_result(histogram(kind), skip=everything - {check})


def test_a_result_that_can_be_written_to_is_found():
    result = histogram()
    object.__setattr__(result, "density", result.density.copy())
    with pytest.raises(ContractError, match=r"^\[frozen\] .*density"):
        check_result(result)
    with pytest.raises(ContractError, match=r"^\[type\] dict is no Result"):
        check_result({"density": 1})


@dataclass(frozen=True)
class Analyzer:
    """Return a histogram, or do what an analyzer must not do."""

    touch: bool = False
    result: object = field(default_factory=histogram)

    def __call__(self, atoms):
        if self.touch:
            atoms.wrap()
        return self.result


@dataclass
class Loose:
    """Options that can change."""

    width: float = 1.0

    def __call__(self, atoms):
        return histogram()


def test_an_analyzer_without_flaw_passes():
    check_analyzer(Analyzer(), Atoms("Si", positions=[[9, 9, 9]], cell=[4, 4, 4], pbc=True))


@pytest.mark.parametrize(
    ("analyzer", "message"),
    [
        (Analyzer(touch=True), "changed its input"),
        (Analyzer(result=1.0), "returns float"),
        (Analyzer(result=Histogram(energy=[0, 1], density=[1])), "no provenance"),
        (Loose(), "no frozen dataclass"),
        (len, "no frozen dataclass"),
    ],
)
def test_a_flaw_of_an_analyzer_is_found_and_named(analyzer, message):
    atoms = Atoms("Si", positions=[[9, 9, 9]], cell=[4, 4, 4], pbc=True)
    with pytest.raises(ContractError, match=rf"^\[analyzer\] .*{message}"):
        check_analyzer(analyzer, atoms)
