"""What every result inherits, on a toy with every kind of field."""

import copy
import csv
import pickle
from dataclasses import FrozenInstanceError, dataclass
from typing import ClassVar

import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase import __version__
from scatterml_ase.errors import InputError
from scatterml_ase.results.base import Result, array
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.testing import check_result
from scatterml_ase.units import THZ_TO_MEV


@dataclass(frozen=True, eq=False, kw_only=True)
class Toy(Result):
    """A density over energy, a matrix element and a label."""

    crystal: Crystal
    energy_edges: np.ndarray = array("energy+1", unit="{energy}")
    density: np.ndarray = array("energy", unit="1/{energy}")
    partial: np.ndarray | None = array("atom", "energy", unit="1/{energy}", default=None)
    vectors: np.ndarray | None = array("energy", "atom", "xyz", default=None)
    squares: np.ndarray | None = array("atom", "xyz", "xyz", unit="{length}^2", default=None)
    labels: tuple = ()

    signal: ClassVar[str] = "density"
    axes: ClassVar[tuple[str, ...]] = ("energy_edges",)
    row_dims: ClassVar[tuple[str, ...]] = ("energy",)


CRYSTAL = Crystal.from_atoms(bulk("NaCl", "rocksalt", a=5.6))


def toy(**changes) -> Toy:
    fields = {
        "crystal": CRYSTAL,
        "energy_edges": [0.0, 1, 2, 4],
        "density": [1.0, 2, 3],
        "partial": np.ones((2, 3)),
        "vectors": np.full((3, 2, 3), 1 + 2j),
        "squares": np.ones((2, 3, 3)),
        "labels": [["Γ", 0], ["X", 1]],
    }
    return Toy(**{**fields, **changes})


# -- frozen ------------------------------------------------------------------------------------


def test_nothing_in_a_result_can_be_changed():
    result = toy(provenance={"options": {"mesh": [2, 2, 2]}})
    with pytest.raises(ValueError, match="read-only"):
        result.density[0] = 5
    with pytest.raises(FrozenInstanceError):
        result.density = np.zeros(3)
    with pytest.raises(TypeError):
        result.provenance["options"]["mesh"] = 3
    with pytest.raises(TypeError):
        result.units["energy"] = "THz"
    assert result.labels == (("Γ", 0), ("X", 1))


def test_a_result_keeps_its_numbers_when_the_caller_changes_his():
    density = np.ones(3)
    result = toy(density=density)
    density[:] = 7
    assert result.density.tolist() == [1, 1, 1]


def test_a_result_says_which_version_made_it():
    assert toy().provenance["scatterml_ase"] == __version__
    assert toy(provenance={"scatterml_ase": "0.0.1"}).provenance["scatterml_ase"] == "0.0.1"


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))])
def test_a_result_travels_to_another_process_and_stays_frozen(duplicate):
    result = duplicate(toy(provenance={"model": {"name": "si"}}))
    np.testing.assert_array_equal(result.vectors, toy().vectors)
    assert result.provenance["model"]["name"] == "si"
    assert not result.density.flags.writeable


def test_the_repr_is_short_and_names_formula_and_sizes():
    assert repr(toy()) == "Toy(NaCl, energy=3, atom=2)"


# -- shapes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"density": np.ones(4)},
            r"density has shape \(4,\).*has size 3 in 'energy_edges'",
        ),
        ({"energy_edges": np.ones(3)}, r"Toy.density.*has size 2 in 'energy_edges'"),
        ({"density": np.ones((3, 1))}, r"must have the 1 dimensions \(energy\). Reshape it"),
        ({"vectors": np.ones((3, 2, 2))}, r"'xyz' has size 3 in its definition"),
        ({"density": [1, "two", 3]}, "density is not an array of numbers.*Give numbers"),
        ({"partial": [[1, 2, 3], [1, 2]]}, "every row as long as the others"),
        ({"units": {"energy": "angstrom"}}, "'angstrom' cannot be the unit of 'energy'"),
        ({"units": {"mass": "amu"}}, "'amu' cannot be the unit of 'mass'"),
    ],
)
def test_fields_that_disagree_are_refused_with_an_explanation(changes, message):
    with pytest.raises(InputError, match=message):
        toy(**changes)


# -- units -------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["THz", "cm^-1", "eV", "K", "cm-1"])
def test_integrals_of_densities_survive_conversion(unit):
    converted = toy().to(unit)
    integral = converted.density @ np.diff(converted.energy_edges)
    assert integral == pytest.approx(1 + 2 + 6, rel=1e-14)
    back = converted.to("meV")
    np.testing.assert_allclose(back.energy_edges, toy().energy_edges, rtol=1e-14)
    np.testing.assert_allclose(back.density, toy().density, rtol=1e-14)


def test_units_travel_with_the_numbers():
    converted = toy().to("THz")
    assert converted.unit_of("density") == "1/THz"
    assert converted.energy_edges[-1] == pytest.approx(4 / THZ_TO_MEV)
    assert toy().to("nm").squares[0, 0, 0] == pytest.approx(0.01)
    assert toy().to("nm").unit_of("squares") == "nm^2"


def test_a_unit_the_result_has_no_use_for_is_refused():
    with pytest.raises(InputError, match=r"cannot be converted to 'nm\^-1'.*energy, length only"):
        toy().to("nm^-1")
    with pytest.raises(InputError, match="'furlong'"):
        toy().to("furlong")
    with pytest.raises(InputError, match=r"'masses' is not an array of Toy.*density"):
        toy().unit_of("masses")


# -- tables ------------------------------------------------------------------------------------


def test_csv_has_a_row_per_bin_and_a_column_per_number(tmp_path):
    path = toy(vectors=None, squares=None).to_csv(tmp_path / "toy.csv")
    with path.open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == [
        "energy (meV)", "density (1/meV)", "partial[0] (1/meV)", "partial[1] (1/meV)",
    ]  # fmt: skip
    assert [float(row[0]) for row in rows] == [0.5, 1.5, 3]
    assert [float(row[1]) for row in rows] == [1, 2, 3]


def test_csv_splits_complex_numbers(tmp_path):
    header = toy().to_csv(tmp_path / "toy.csv").read_text().splitlines()[0].split('"')
    assert "vectors[0,0] real" in header
    assert "vectors[1,2] imag" in header


def test_xarray_has_edges_centres_species_and_units():
    dataset = toy().to_xarray()
    assert dataset["density"].sel(energy=1.4, method="nearest") == 2
    np.testing.assert_array_equal(dataset.coords["energy_edges"], [0, 1, 2, 4])
    np.testing.assert_array_equal(dataset.coords["energy"], [0.5, 1.5, 3])
    assert dataset["partial"].attrs["units"] == "1/meV"
    assert list(dataset["partial"].coords["species"].values) == ["Na", "Cl"]
    assert dataset["squares"].dims == ("atom", "xyz", "xyz_2")
    assert dataset.attrs["class"] == "Toy"


def test_a_class_without_a_picture_says_so():
    with pytest.raises(NotImplementedError, match="Toy defines no plot"):
        toy().plot()


# -- crystal -----------------------------------------------------------------------------------


def test_crystal_and_atoms_are_the_same_thing():
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    atoms.set_masses([23.0, 37.0])
    again = Crystal.from_atoms(atoms).to("nm").to_atoms()
    np.testing.assert_allclose(again.positions, atoms.positions, atol=1e-12)
    np.testing.assert_allclose(again.cell, atoms.cell, atol=1e-12)
    assert again.get_masses().tolist() == [23, 37]


def test_a_crystal_keeps_the_contract_of_results():
    check_result(CRYSTAL)


def test_crystal_knows_its_reciprocal_cell_and_formula():
    np.testing.assert_allclose(
        CRYSTAL.cell @ CRYSTAL.reciprocal_cell.T, 2 * np.pi * np.eye(3), atol=1e-12
    )
    assert CRYSTAL.volume == pytest.approx(5.6**3 / 4)
    assert CRYSTAL.symbols == ("Na", "Cl")
    assert Crystal.from_atoms(bulk("Si", cubic=True)).formula_units == 8
    assert (len(CRYSTAL), CRYSTAL.formula_units) == (2, 1)
