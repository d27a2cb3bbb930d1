"""Phonons from exact second derivatives: against springs on paper and against displacements."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from torch import nn

from scatterml_ase import (
    FiniteDisplacementPhonons,
    ForceConstants,
    HessianPhonons,
    PotentialCalculator,
    relax,
)
from scatterml_ase.errors import AccuracyWarning, InputError, StabilityWarning
from scatterml_ase.phonons.folding import fold
from scatterml_ase.physics.supercell import commensurate_points
from scatterml_ase.potential.model import E3NNPotential
from scatterml_ase.testing import check_analyzer, check_result
from scatterml_ase.units import ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV, THZ_TO_MEV

Q = np.random.default_rng(5).uniform(-0.5, 0.5, (40, 3))


@dataclass(frozen=True)
class SpringConfig:
    species: tuple[int, ...] = (13,)
    cutoff: float = 3.4
    strength: float = 1.3
    layers: int = 1


class Springs(nn.Module):
    """Springs of strength k (eV/Å²) between neighbours at their distance of rest (Å)."""

    Config = SpringConfig

    def __init__(self, config=SpringConfig()):
        super().__init__()
        self.config = config
        self.rest = nn.Parameter(torch.tensor(4.0 / np.sqrt(2), dtype=torch.float64))

    def forward(self, edge_vectors, edge_index, numbers):
        stretch = edge_vectors.norm(dim=1) - self.rest
        energy = 0.25 * self.config.strength * stretch**2  # half of each bond
        return energy.new_zeros(len(numbers)).index_add(0, edge_index[0], energy)


class MatrixOnly:
    """A calculator of someone else's: forces, and a Hessian of a shape of its own."""

    def __init__(self, calculator, shape=None):
        self.calculator, self.shape = calculator, shape
        self.cutoff, self.asked = calculator.cutoff, 0

    def get_forces(self, atoms):
        return self.calculator.get_forces(atoms)

    def get_stress(self, atoms):
        return self.calculator.get_stress(atoms)

    def get_hessian(self, atoms):
        self.asked = len(atoms)
        hessian = self.calculator.get_hessian(atoms)
        shapes = {
            None: hessian.shape,
            "mace": (3 * len(atoms), len(atoms), 3),
            "flat": (3 * len(atoms), 3 * len(atoms)),
            "half": (-1,),
        }
        return hessian.reshape(shapes[self.shape])


@pytest.fixture
def aluminium() -> Atoms:
    atoms = bulk("Al", "fcc", a=4.0)
    atoms.calc = PotentialCalculator(Springs())
    return atoms


def random_calculator(seed=3, **changes) -> PotentialCalculator:
    config = {
        "species": (6, 14),
        "cutoff": 3.2,
        "channels": 4,
        "l_max": 2,
        "correlation": 3,
        "readout_hidden": (8,),
        "energy_scale": 0.02,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = E3NNPotential(E3NNPotential.Config(**{**config, **changes}))
    return PotentialCalculator(model.double().eval())


@pytest.fixture
def carbide() -> Atoms:
    """SiC, whose atoms feel no force by symmetry, in the mind of a random network."""
    atoms = bulk("SiC", "zincblende", a=4.4)
    atoms.calc = random_calculator()
    return atoms


@pytest.fixture(scope="module")
def silicon() -> Atoms:
    return relax(bulk("Si"), PotentialCalculator("si"))


def frequencies(force_constants: ForceConstants, q=Q) -> np.ndarray:
    """Frequencies in THz."""
    return force_constants.modes(q, eigenvectors=False).frequencies / THZ_TO_MEV


# -- numbers --------------------------------------------------------------------------------------


def test_fcc_springs_have_the_textbook_frequencies_exactly(aluminium):
    """ω² = (4k, 4k, 8k)/M at X and (2k, 2k, 8k)/M at L, to rounding: nothing was displaced."""
    force_constants = HessianPhonons()(aluminium)
    unit = ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV * np.sqrt(1.3 / force_constants.crystal.masses[0])
    at_x, at_l = force_constants.modes([[0.5, 0.5, 0], [0.5, 0.5, 0.5]]).frequencies
    np.testing.assert_allclose(at_x, unit * np.sqrt([4, 4, 8]), rtol=1e-10)
    np.testing.assert_allclose(at_l, unit * np.sqrt([2, 2, 8]), rtol=1e-10)


@pytest.mark.filterwarnings("ignore::scatterml_ase.errors.AccuracyWarning")
def test_silicon_agrees_with_finite_displacements_to_1e_4_terahertz(silicon):
    """In one supercell, at any q. Displacements err with their square: by 3e-5 THz at 0.002 Å."""
    exact = frequencies(HessianPhonons(supercell=(3, 3, 3))(silicon))
    errors = {}
    for displacement in (0.002, 0.01):
        analyzer = FiniteDisplacementPhonons(supercell=(3, 3, 3), displacement=displacement)
        errors[displacement] = np.abs(frequencies(analyzer(silicon)) - exact).max()
    assert errors[0.002] < 1e-4
    assert errors[0.01] / errors[0.002] == pytest.approx(25, rel=0.02)


@pytest.mark.filterwarnings("ignore::scatterml_ase.errors.StabilityWarning")
@pytest.mark.filterwarnings("ignore::scatterml_ase.errors.AccuracyWarning")
@pytest.mark.parametrize("layers", [1, 2])
def test_networks_of_layers_agree_with_finite_displacements(carbide, layers):
    """Two species, two layers with vector messages; the supercell is small, so images fold."""
    carbide.calc = random_calculator(layers=layers, message_l_max=layers - 1, cutoff=2.9)
    exact = HessianPhonons(supercell=(3, 3, 3))(carbide)
    displaced = FiniteDisplacementPhonons(supercell=(3, 3, 3), displacement=1e-4)(carbide)
    found, expected = (x.dynamical_matrices(Q) for x in (exact, displaced))
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())


@pytest.mark.filterwarnings("ignore::scatterml_ase.errors.StabilityWarning")
@pytest.mark.filterwarnings("ignore::scatterml_ase.errors.AccuracyWarning")
def test_waves_that_fit_a_supercell_do_not_feel_that_it_was_folded(carbide):
    """At commensurate q every supercell gives the infinite crystal, however small it is."""
    infinite = HessianPhonons()(carbide)
    assert infinite.supercell_matrix is None
    for supercell in (np.diag([2, 2, 2]), np.array([[2, 0, 0], [1, 3, 0], [0, 0, 1]])):
        folded = HessianPhonons(supercell=supercell)(carbide)
        assert round(np.linalg.det(folded.supercell_matrix)) == round(np.linalg.det(supercell))
        q = commensurate_points(folded.supercell_matrix)
        found, expected = (x.dynamical_matrices(q) for x in (folded, infinite))
        np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())
    assert np.abs(frequencies(folded) - frequencies(infinite)).max() > 1e-3  # between them it does


@pytest.mark.filterwarnings("ignore::scatterml_ase.errors.StabilityWarning")
@pytest.mark.filterwarnings("ignore::scatterml_ase.errors.AccuracyWarning")
@pytest.mark.parametrize("shape", [None, "mace", "flat"])
def test_the_folded_crystal_is_the_hessian_of_the_supercell(carbide, shape):
    """Blocks of the infinite crystal, folded, and the dense matrix of the supercell: one result."""
    folded = HessianPhonons(supercell=(2, 2, 3))(carbide)
    carbide.calc = MatrixOnly(carbide.calc, shape)
    dense = HessianPhonons(supercell=(2, 2, 3))(carbide)
    assert carbide.calc.asked == 24
    found, expected = (x.dynamical_matrices(Q) for x in (dense, folded))
    np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())


@pytest.mark.filterwarnings("ignore::scatterml_ase.errors.StabilityWarning")
@pytest.mark.filterwarnings("ignore:Warning. Point group symmetries:UserWarning")
def test_folding_divides_among_nearest_images_as_phonopy_does(carbide):
    infinite = HessianPhonons()(carbide)
    matrix = np.array([[2, 0, 1], [-1, 3, 0], [0, 1, 2]])
    ours = fold(infinite, matrix)
    theirs = ForceConstants.from_phonopy(replace(infinite, supercell_matrix=matrix).to_phonopy())
    assert len(ours.pairs) == len(theirs.pairs)
    found, expected = (x.dynamical_matrices(Q) for x in (ours, theirs))
    np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())


@pytest.mark.filterwarnings("ignore::scatterml_ase.errors.StabilityWarning")
def test_a_conventional_cell_gives_the_phonons_of_the_primitive_cell(carbide):
    primitive = HessianPhonons()(carbide)
    cubic = bulk("SiC", "zincblende", a=4.4, cubic=True)
    cubic.calc = carbide.calc
    conventional = HessianPhonons()(cubic)
    assert len(conventional.crystal) == 2
    q = Q @ primitive.crystal.reciprocal_cell @ np.linalg.inv(conventional.crystal.reciprocal_cell)
    np.testing.assert_allclose(frequencies(conventional, q), frequencies(primitive), atol=1e-7)
    folded = HessianPhonons(supercell=(2, 2, 2))(cubic)
    assert round(np.linalg.det(folded.supercell_matrix)) == 32


def test_the_sum_rules_hold_without_being_imposed(silicon):
    force_constants = HessianPhonons(symmetrize=False)(silicon)
    total = np.zeros((2, 3, 3))
    np.add.at(total, force_constants.pairs[:, 0], force_constants.blocks)
    np.testing.assert_allclose(total, 0, atol=1e-12)
    imposed = force_constants.symmetrized()
    assert len(imposed.blocks) == len(force_constants.blocks)
    np.testing.assert_allclose(frequencies(imposed), frequencies(force_constants), atol=1e-9)
    assert force_constants.acoustic_residual() < 1e-4  # meV


class Counting:
    """A potential that remembers which rows were asked for."""

    def __init__(self, calculator):
        self.calculator, self.rows = calculator, []
        self.get_forces, self.get_stress = calculator.get_forces, calculator.get_stress
        self.interaction_range = calculator.interaction_range

    def get_hessian_blocks(self, atoms, *, rows=None, progress=False):
        self.rows = list(range(len(atoms)) if rows is None else rows)
        return self.calculator.get_hessian_blocks(atoms, rows=rows, progress=progress)


def rutile() -> Atoms:
    """SiC₂ in the rutile structure: two kinds of sites, screw axes and glide planes."""
    u, sites = 0.3, [(0, 0, 0), (0.5, 0.5, 0.5)]
    sites += [(u, u, 0), (-u, -u, 0), (0.5 + u, 0.5 - u, 0.5), (0.5 - u, 0.5 + u, 0.5)]
    return Atoms("Si2C4", scaled_positions=sites, cell=[4.3, 4.3, 2.8], pbc=True)


@pytest.mark.filterwarnings("ignore::scatterml_ase.errors.StabilityWarning")
@pytest.mark.parametrize(
    ("atoms", "rows"),
    [(rutile(), 2), (bulk("Si", "hcp", a=2.6, c=4.3), 1), (bulk("SiC", "wurtzite", a=3.1), 2)],
    ids=["rutile", "hcp", "wurtzite"],
)
def test_rows_of_equivalent_atoms_follow_from_one(atoms, rows):
    """Space groups with screws and glides, positions not wrapped, any orientation."""
    atoms.rotate(33, (1, 2, 3), rotate_cell=True)
    atoms.positions += atoms.cell.array[0] * np.arange(len(atoms))[:, None]
    atoms.calc = Counting(random_calculator())
    found = HessianPhonons(force_tolerance=100)(atoms)
    assert len(atoms.calc.rows) == rows
    expected = HessianPhonons(force_tolerance=100, symmetrize=False)(atoms)
    assert len(atoms.calc.rows) == len(atoms)
    assert len(found.blocks) == len(expected.blocks)
    found, expected = (x.dynamical_matrices(Q) for x in (found, expected))
    np.testing.assert_allclose(found, expected, atol=1e-10 * np.abs(expected).max())


@pytest.mark.filterwarnings("ignore::scatterml_ase.errors.StabilityWarning")
def test_atoms_off_their_sites_or_with_moments_are_computed_each():
    distorted, magnetic = rutile(), rutile()
    distorted.positions[3] += [0.002, 0.001, 0.003]
    magnetic.set_initial_magnetic_moments([1, -1, 0, 0, 0, 0])
    for atoms in (distorted, magnetic):
        atoms.calc = Counting(random_calculator())
        HessianPhonons(force_tolerance=100)(atoms)
        assert len(atoms.calc.rows) == len(atoms)


def test_single_precision_phonons_are_good_to_1e_3_terahertz(silicon):
    """Where differences of forces drown in rounding, derivatives do not."""
    single = silicon.copy()
    single.calc = PotentialCalculator("si", dtype="float32")
    found, expected = frequencies(HessianPhonons()(single)), frequencies(HessianPhonons()(silicon))
    np.testing.assert_allclose(found, expected, atol=1e-3)


# -- as an analyzer -------------------------------------------------------------------------------


def test_it_keeps_the_contracts_of_analyzers_and_results(aluminium):
    check_analyzer(HessianPhonons(), aluminium)
    force_constants = HessianPhonons()(aluminium)
    check_result(force_constants)
    assert force_constants.provenance["calculator"]["class"] == "PotentialCalculator"
    assert force_constants.provenance["HessianPhonons"]["force_tolerance"] == 0.01


def test_the_force_constants_go_to_phonopy_and_back(aluminium):
    force_constants = HessianPhonons()(aluminium)
    again = ForceConstants.from_phonopy(force_constants.to_phonopy())
    np.testing.assert_allclose(frequencies(again), frequencies(force_constants), atol=1e-9)


def test_a_minimum_length_chooses_the_supercell_of_finite_displacements(aluminium):
    exact = HessianPhonons(minimum_length=7.0)(aluminium)
    displaced = FiniteDisplacementPhonons(minimum_length=7.0)(aluminium)
    np.testing.assert_array_equal(exact.supercell_matrix, displaced.supercell_matrix)


def test_born_charges_and_isotopes_go_through_as_with_finite_displacements():
    atoms = bulk("SiC", "cesiumchloride", a=2.7)
    atoms.calc = random_calculator(seed=1)
    atoms.set_masses([29.97, 12.0])
    options = {
        "supercell": (3, 3, 3),
        "born_charges": np.array([2.04 * np.eye(3), -1.96 * np.eye(3)]),
        "dielectric": 7 * np.eye(3),
        "stress_tolerance": 10.0,
    }
    exact = HessianPhonons(**options)(atoms)
    displaced = FiniteDisplacementPhonons(**options, displacement=1e-4)(atoms)
    np.testing.assert_allclose(exact.born_charges, displaced.born_charges, atol=1e-12)
    np.testing.assert_allclose(exact.crystal.masses, [29.97, 12.0])
    found, expected = (x.dynamical_matrices(Q) for x in (exact, displaced))
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())
    charged = HessianPhonons(**{**options, "supercell": None})(atoms)
    assert charged.supercell_matrix is not None  # the dipole sum needs one


def test_a_progress_bar_is_shown_on_request(aluminium, capsys):
    HessianPhonons(progress=True)(aluminium)
    assert "Hessian" in capsys.readouterr().err
    HessianPhonons()(aluminium)
    assert capsys.readouterr().err == ""


def test_the_page_of_the_documentation_runs_as_printed(capsys):
    page = (Path(__file__).parents[2] / "docs" / "hessian.md").read_text()
    (block,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    exec(compile(block, "docs/hessian.md", "exec"), {})
    assert "PhononBands" in capsys.readouterr().out


# -- refusals and warnings ------------------------------------------------------------------------


def test_a_calculator_without_hessian_is_refused_with_the_remedy(aluminium):
    aluminium.calc = EMT()
    with pytest.raises(InputError, match=r"EMT has no Hessian.*FiniteDisplacementPhonons"):
        HessianPhonons()(aluminium)


@pytest.mark.filterwarnings("ignore::scatterml_ase.errors.AccuracyWarning")
def test_a_hessian_of_another_shape_is_refused(aluminium):
    aluminium.calc = MatrixOnly(aluminium.calc, "half")
    with pytest.raises(InputError, match=r"get_hessian gave the shape \(576,\).*\(8, 3, 8, 3\)"):
        HessianPhonons(supercell=(2, 2, 2))(aluminium)


def test_a_model_that_does_not_tell_how_far_it_sees_is_given_a_supercell(aluminium):
    model = Springs(replace(SpringConfig(), layers=0))
    exact = HessianPhonons()(aluminium)
    aluminium.calc = PotentialCalculator(model)
    found = HessianPhonons(minimum_length=8.0)(aluminium)
    assert found.supercell_matrix is not None
    np.testing.assert_allclose(frequencies(found), frequencies(exact), atol=1e-9)


def test_structures_off_their_minimum_are_refused_or_warned_of(aluminium):
    pressed = aluminium.copy()
    pressed.set_cell(pressed.cell * 0.98, scale_atoms=True)
    pressed.calc = aluminium.calc
    with pytest.warns(StabilityWarning, match="GPa") as caught:
        HessianPhonons()(pressed)
    assert caught[0].filename == __file__
    rattled = aluminium.repeat((2, 1, 1))
    rattled.positions[0, 0] += 0.1
    rattled.calc = aluminium.calc
    with pytest.raises(InputError, match=r"force of .* eV/Å.*relax"):
        HessianPhonons()(rattled)


def test_a_supercell_that_folds_interactions_warns(aluminium):
    with pytest.warns(AccuracyWarning, match="fold") as caught:
        HessianPhonons(supercell=(2, 2, 2))(aluminium)
    assert caught[0].filename == __file__


def test_a_molecule_is_no_crystal(aluminium):
    molecule = Atoms("Al2", [[0, 0, 0], [2.8, 0, 0]], calculator=aluminium.calc)
    with pytest.raises(InputError, match="no three-dimensional crystal"):
        HessianPhonons()(molecule)
