"""Second derivatives against differences of forces, and against each other."""

import dataclasses

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.optimize import BFGS
from ase.vibrations import Vibrations, VibrationsData

from scatterml_ase.errors import InputError, ModelError
from scatterml_ase.graph import graph_from_atoms
from scatterml_ase.potential import hessian as second
from scatterml_ase.potential.calculator import PotentialCalculator
from scatterml_ase.potential.model import E3NNPotential
from scatterml_ase.protocols import SupportsHessian, SupportsHessianBlocks

LAYERS = {
    "one layer": {"correlation": 4},
    "scalar messages": {"layers": 2, "energy_scale": 1e-3},
    "vector messages": {"layers": 2, "message_l_max": 1, "energy_scale": 1e-3},
}


def make(**changes) -> E3NNPotential:
    config = E3NNPotential.Config(
        species=(1, 6, 14),
        cutoff=3.5,
        channels=3,
        l_max=2,
        correlation=3,
        n_basis=4,
        readout_hidden=(6,),
        average_neighbours=10.0,
        binding_energies=(-3.0, -7.0, -5.0),
        energy_scale=0.02,
        message_channels=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return E3NNPotential(dataclasses.replace(config, **changes)).double().eval()


def triclinic() -> Atoms:
    """One strained cell of SiC, smaller than the cutoff: atoms are their own neighbours."""
    atoms = bulk("SiC", "zincblende", a=4.4)
    strain = [[1.02, 0.05, 0], [0, 0.97, 0.01], [0.04, 0, 1.01]]
    atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
    atoms.rattle(0.1, seed=2)
    return atoms


def slab() -> Atoms:
    """Silicon, periodic in two directions, with a zero vector in the third."""
    atoms = fcc111("Si", (1, 1, 3), a=4.3, vacuum=None)
    atoms.set_cell([*atoms.cell.array[:2], [0, 0, 0]])
    atoms.pbc = [True, True, False]
    atoms.rattle(0.1, seed=4)
    return atoms


def disilane() -> Atoms:
    atoms = molecule("Si2H6")
    atoms.rattle(0.05, seed=5)
    return atoms


STRUCTURES = {
    "triclinic": triclinic(),
    "slab": slab(),
    "molecule": disilane(),
    "isolated atom": Atoms("Si"),
    "atom in a tiny cell": bulk("Si", "sc", a=2.4),
}


@pytest.fixture(scope="module", params=LAYERS)
def calculator(request) -> PotentialCalculator:
    return PotentialCalculator(make(**LAYERS[request.param]))


@pytest.fixture(params=STRUCTURES)
def atoms(request) -> Atoms:
    return STRUCTURES[request.param].copy()


def differences(calculator, atoms, step=2e-4) -> np.ndarray:
    """Differentiate the forces by the four-point formula, all displacements in one batch."""
    weights = {1: 8 / 12, -1: -8 / 12, 2: -1 / 12, -2: 1 / 12}
    images, result = [], np.zeros((len(atoms), 3, len(atoms), 3))
    for i, axis, k in np.ndindex(len(atoms), 3, len(weights)):
        image = atoms.copy()
        image.positions[i, axis] += list(weights)[k] * step
        images.append(image)
    forces = np.array([found["forces"] for found in calculator.evaluate(images)])
    forces = forces.reshape(len(atoms), 3, len(weights), len(atoms), 3)
    for k, weight in enumerate(weights.values()):
        result -= weight * forces[:, :, k] / step
    return result


# -- numbers --------------------------------------------------------------------------------------


def test_the_hessian_is_the_derivative_of_the_forces(calculator, atoms):
    found, expected = calculator.get_hessian(atoms), differences(calculator, atoms)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-8 * max(np.abs(expected).max(), 1))


def test_the_hessian_is_symmetric_and_blind_to_rigid_shifts(calculator, atoms):
    found = calculator.get_hessian(atoms)
    scale = 1e-14 * max(np.abs(found).max(), 1)
    np.testing.assert_allclose(found, found.transpose(2, 3, 0, 1), atol=30 * scale)
    np.testing.assert_allclose(found.sum(axis=2), 0, atol=30 * scale)


def test_products_with_vectors_are_those_of_the_matrix(calculator, atoms):
    found = calculator.get_hessian(atoms)
    v = np.random.default_rng(1).normal(size=(2, len(atoms), 3))
    expected = np.einsum("iajb,kjb->kia", found, v)
    products = calculator.get_hessian_vector_product(atoms, v)
    scale = max(np.abs(found).max(), 1)
    np.testing.assert_allclose(products, expected, atol=1e-12 * scale)
    one = calculator.get_hessian_vector_product(atoms, v[1])
    np.testing.assert_allclose(one, products[1], atol=1e-13 * scale)


def test_images_told_apart_sum_to_the_hessian(calculator, atoms):
    """Unfolded surroundings or the structure as it is: two ways, one matrix."""
    pairs, shifts, blocks = calculator.get_hessian_blocks(atoms)
    assert not shifts[:, ~atoms.pbc].any()
    found = np.zeros((len(atoms), len(atoms), 3, 3))
    np.add.at(found, tuple(pairs.T), blocks)
    graph = graph_from_atoms(atoms, calculator.cutoff)
    whole = second.hessian(calculator.model, graph, layers=None)
    scale = max(np.abs(whole).max(), 1)
    np.testing.assert_allclose(found.transpose(0, 2, 1, 3), whole, atol=1e-12 * scale)
    np.testing.assert_allclose(calculator.get_hessian(atoms), whole, atol=1e-12 * scale)


def test_folded_blocks_are_the_hessian_of_the_supercell(calculator):
    """Φ of a supercell is the sum of Φ of the crystal over the lattice of the supercell."""
    atoms, repeats = STRUCTURES["triclinic"], np.array([3, 2, 1])
    pairs, shifts, blocks = calculator.get_hessian_blocks(atoms)
    supercell = atoms.repeat(repeats)
    graph = graph_from_atoms(supercell, calculator.cutoff)
    expected = second.hessian(calculator.model, graph, layers=None)
    found = np.zeros_like(expected)
    for cell in np.ndindex(*repeats):
        other = np.ravel_multi_index(tuple(((shifts + cell) % repeats).T), tuple(repeats))
        own = np.ravel_multi_index(cell, tuple(repeats))
        i, j = pairs[:, 0] + 2 * own, pairs[:, 1] + 2 * other
        np.add.at(found.transpose(0, 2, 1, 3), (i, j), blocks)
    np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())


def test_no_block_is_longer_than_the_interaction_range(calculator):
    atoms = STRUCTURES["triclinic"]
    (i, j), shifts = (found := calculator.get_hessian_blocks(atoms))[0].T, found[1]
    vectors = atoms.positions[j] - atoms.positions[i] + shifts @ atoms.cell.array
    assert np.linalg.norm(vectors, axis=1).max() < calculator.interaction_range


def test_rows_in_many_batches_are_those_of_one(monkeypatch):
    calculator, atoms = PotentialCalculator(make()), STRUCTURES["triclinic"].repeat((2, 2, 1))
    whole = calculator.get_hessian(atoms)
    monkeypatch.setattr(second, "_EDGES_PER_BATCH", 1)
    np.testing.assert_allclose(calculator.get_hessian(atoms), whole, atol=1e-12)


def test_crowded_atoms_after_lonely_ones_do_not_share_one_large_batch(monkeypatch):
    """The size of a batch is guessed from the one before."""
    gas = Atoms("Si200", 20.0 * np.arange(200)[:, None] * [0, 0, 1] + [30, 0, 0])
    atoms = gas + STRUCTURES["triclinic"].repeat((3, 3, 3))
    calculator, largest = PotentialCalculator(make()), []
    monkeypatch.setattr(second, "_EDGES_PER_BATCH", 2000)
    original = second._rows_of
    monkeypatch.setattr(
        second, "_rows_of", lambda m, v, p: largest.append(len(p.edges)) or original(m, v, p)
    )
    atoms.set_cell(None)
    found = calculator.get_hessian_blocks(atoms)
    assert len(np.unique(found[0][:, 0])) == len(atoms)
    assert max(largest) <= 4000 and len(largest) < len(atoms) / 2


def test_rows_can_be_chosen():
    calculator, atoms = PotentialCalculator(make()), STRUCTURES["molecule"]
    pairs, shifts, blocks = calculator.get_hessian_blocks(atoms)
    found = calculator.get_hessian_blocks(atoms, rows=[5, 2])
    own = np.isin(pairs[:, 0], [2, 5])
    for one, expected in zip(found, (pairs[own], shifts[own], blocks[own]), strict=True):
        np.testing.assert_allclose(one, expected, atol=1e-12 * np.abs(blocks).max())
    for wrong in ([8], [-1], [0.5], [], [[1]]):
        with pytest.raises(InputError, match="numbered from 0 to 7"):
            calculator.get_hessian_blocks(atoms, rows=wrong)


def test_atoms_far_outside_of_the_cell_have_the_same_hessian():
    """Unwrapped for ever: cell shifts whose box has more points than fit into an integer."""
    calculator, atoms = PotentialCalculator(make()), STRUCTURES["triclinic"]
    far = atoms.copy()
    far.positions[1] += [1e7, -1e7, 1e7] @ far.cell.array
    found, expected = calculator.get_hessian(far), calculator.get_hessian(atoms)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_single_precision_is_accurate_to_its_last_digits():
    """No difference of large numbers is taken: float32 keeps five digits of force constants."""
    atoms = STRUCTURES["triclinic"]
    double = PotentialCalculator(make()).get_hessian(atoms)
    single = PotentialCalculator(make(), dtype="float32").get_hessian(atoms)
    assert single.dtype == np.float64
    np.testing.assert_allclose(single, double, atol=1e-5 * np.abs(double).max())
    np.testing.assert_allclose(single.sum(axis=2), 0, atol=1e-12)


# -- with ASE -------------------------------------------------------------------------------------


def test_the_vibrations_of_a_cluster_are_those_of_ase_s_displacements(tmp_path):
    atoms = Atoms("Si3", [[0, 0, 0], [2.3, 0, 0], [1.2, 2.0, 0.1]])
    atoms.calc = PotentialCalculator("si")
    BFGS(atoms, logfile=None).run(fmax=1e-6, steps=200)
    exact = VibrationsData(atoms, atoms.calc.get_hessian(atoms)).get_energies()
    displaced = Vibrations(atoms, name=str(tmp_path / "vib"), delta=0.002, nfree=4)
    displaced.run()
    np.testing.assert_allclose(np.abs(exact[:6]), 0, atol=1e-4)  # eV; rigid motions
    np.testing.assert_allclose(exact[6:], displaced.get_energies()[6:], atol=1e-7)


def test_a_potential_offers_what_phonons_look_for():
    calculator = PotentialCalculator(make())
    assert isinstance(calculator, SupportsHessian)
    assert isinstance(calculator, SupportsHessianBlocks)
    assert calculator.interaction_range == 7.0


def test_nothing_is_changed_and_the_last_structure_is_the_default():
    atoms = STRUCTURES["molecule"].copy()
    atoms.calc = PotentialCalculator(make())
    forces, before = atoms.get_forces(), atoms.copy()
    found = atoms.calc.get_hessian(atoms)
    assert atoms == before
    np.testing.assert_array_equal(atoms.calc.results["forces"], forces)
    np.testing.assert_array_equal(atoms.calc.get_hessian(), found)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_caller_without_gradients_gets_the_same(mode):
    calculator, atoms = PotentialCalculator(make()), STRUCTURES["molecule"]
    expected = calculator.get_hessian(atoms)
    v = np.ones((len(atoms), 3))
    with mode():
        np.testing.assert_array_equal(calculator.get_hessian(atoms), expected)
        assert np.abs(calculator.get_hessian_vector_product(atoms, v)).max() < 1e-10


def test_a_progress_bar_is_shown_on_request(capsys):
    calculator = PotentialCalculator(make())
    calculator.get_hessian(STRUCTURES["molecule"], progress=True)
    assert "Hessian" in capsys.readouterr().err
    calculator.get_hessian(STRUCTURES["molecule"])
    assert capsys.readouterr().err == ""


# -- models that do not tell how far they see, or tell wrong ---------------------------------------


def test_a_model_that_does_not_tell_how_far_it_sees_has_a_hessian_only(morse_model):
    calculator, atoms = PotentialCalculator(morse_model), STRUCTURES["triclinic"]
    expected = differences(calculator, atoms)
    found = calculator.get_hessian(atoms)
    np.testing.assert_allclose(found, expected, atol=1e-7 * np.abs(expected).max())
    np.testing.assert_array_equal(calculator.get_hessian(Atoms("Si")), np.zeros((1, 3, 1, 3)))
    assert calculator.interaction_range is None
    with pytest.raises(PropertyNotImplementedError, match=r"layers.*supercell"):
        calculator.get_hessian_blocks(atoms)


@dataclasses.dataclass(frozen=True)
class Lying(E3NNPotential.Config):
    layers: int = 1


def test_a_model_that_sees_further_than_it_says_is_refused():
    model = make(**LAYERS["vector messages"])
    model.config = Lying(**{**vars(model.config), "layers": 1})
    with pytest.raises(ModelError, match=r"1 layers.*config\.layers"):
        PotentialCalculator(model).get_hessian_blocks(STRUCTURES["triclinic"])


# -- refusals -------------------------------------------------------------------------------------


def test_a_matrix_that_would_not_fit_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(second, "_MOST_BYTES", 1000)
    calculator = PotentialCalculator(make())
    with pytest.raises(InputError, match=r"8 atoms.*GiB.*get_hessian_vector_product"):
        calculator.get_hessian(STRUCTURES["molecule"])
    assert len(calculator.get_hessian_blocks(STRUCTURES["molecule"])[0]) == 64


@pytest.mark.parametrize(
    "vectors", [np.zeros((2, 3)), np.zeros(24), np.zeros((1, 1, 8, 3)), np.full((8, 3), np.nan)]
)
def test_vectors_that_fit_no_atoms_are_refused(vectors):
    calculator = PotentialCalculator(make())
    with pytest.raises(InputError, match=r"Give shape \(8, 3\)"):
        calculator.get_hessian_vector_product(STRUCTURES["molecule"], vectors)


def test_structures_without_energy_have_no_hessian():
    calculator = PotentialCalculator(make())
    with pytest.raises(ModelError, match="Fe is not in model"):
        calculator.get_hessian(bulk("Fe"))
    with pytest.raises(InputError, match="one site entered twice"):
        calculator.get_hessian(Atoms("Si2", [[0, 0, 0], [0, 0, 0.001]]))
    with pytest.raises(InputError, match="ASE Atoms"):
        calculator.get_hessian()
