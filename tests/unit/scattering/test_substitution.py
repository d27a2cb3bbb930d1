"""Other isotopes in a crystal: heavier atoms vibrate more slowly and scatter otherwise."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from scatterml_ase import Crystal, ForceConstants, IncoherentScattering, PowderScattering
from scatterml_ase.errors import InputError
from scatterml_ase.scattering.nuclei import Nuclei
from scatterml_ase.testing import check_result

BINS = {"q_edges": np.linspace(2, 4, 3), "energy_edges": np.linspace(1, 200, 200)}


def springs(atoms: Atoms) -> ForceConstants:
    """Hold every atom to its six nearest neighbours in a rocksalt structure."""
    from ase.neighborlist import neighbor_list

    i, j, shifts, bonds = neighbor_list("ijSD", atoms, 0.51 * 4.08)
    unit = bonds / np.linalg.norm(bonds, axis=1)[:, None]
    blocks = 1.0 * unit[:, :, None] * unit[:, None, :] + 0.25 * np.eye(3)
    own = [blocks[i == atom].sum(axis=0) for atom in range(len(atoms))]
    each = np.arange(len(atoms))
    return ForceConstants(
        crystal=Crystal.from_atoms(atoms),
        pairs=np.concatenate([np.stack([i, j], axis=1), np.stack([each, each], axis=1)]),
        cell_shifts=np.concatenate([shifts, np.zeros((len(atoms), 3), dtype=int)]),
        blocks=np.concatenate([-blocks, own]),
        supercell_matrix=3 * np.eye(3, dtype=int),
        provenance={"source": "a test"},
    )


def incoherent(constants, **options):
    return IncoherentScattering(20, order=1, **options, **BINS)(constants.dos(mesh=(6, 6, 6)))


@pytest.fixture(scope="module")
def hydride():
    return springs(bulk("LiH", "rocksalt", a=4.08))


def test_optic_modes_slow_down_by_the_reduced_mass(hydride):
    """At Γ optic modes go as the root of 1/m₁ + 1/m₂."""
    heavy = hydride.substituted("H->D 98 %")
    mass = 0.98 * 2.014102 + 0.02 * 1.008
    ratio = np.sqrt((1 / 6.94 + 1 / mass) / (1 / 6.94 + 1 / 1.008))
    top = [constants.modes([0, 0, 0]).frequencies.max() for constants in (hydride, heavy)]
    assert top[1] / top[0] == pytest.approx(ratio, rel=1e-5)
    assert heavy.provenance["isotopes"] == "H->D 98 %"
    assert hydride.crystal.nuclides == ()
    both = heavy.substituted("Li->7Li")
    assert both.provenance["isotopes"] == "H->D 98 %, Li->7Li"
    assert both.crystal.nuclides == ("7Li", "98% 2H + 2% H")


def test_the_crystal_knows_its_mix_wherever_it_scatters(hydride):
    heavy = hydride.substituted("H->D 98 %")
    nuclei = Nuclei.of(heavy.crystal)
    assert nuclei.names == ("Li", "98% 2H + 2% H")
    assert nuclei.lengths[1] == pytest.approx(6.4628)
    told = PowderScattering(20, tolerance=0.5, progress=False, **BINS)(heavy).provenance
    assert told["scattering_lengths_fm"]["98% 2H + 2% H"][0] == pytest.approx(6.4628)
    told = incoherent(heavy).provenance
    assert told["incoherent_cross_sections_barn"]["98% 2H + 2% H"] == pytest.approx(3.881, rel=1e-3)


def test_deuteration_dims_incoherent_scattering(hydride):
    """∫S dE of one phonon goes as σ_inc U: 80 barn of H become 3.9 of the mix."""
    maps = incoherent(hydride), incoherent(hydride.substituted("H->D 98 %"))
    light, heavy = (sqw.cut(q=(2, 3)).intensity.sum() for sqw in maps)
    assert 0.02 < heavy / light < 0.06


def test_a_substitution_by_scattering_lengths_leaves_the_modes(hydride):
    """Contrast alone: the same energies, other intensities."""
    light = incoherent(hydride)
    mixed = incoherent(hydride, scattering_lengths="H->D 98 %")
    heavy = incoherent(hydride.substituted("H->D 98 %"))
    peaks = [sqw.energy_centres[np.argmax(sqw.intensity[0])] for sqw in (light, mixed, heavy)]
    assert peaks[0] == peaks[1] > peaks[2] + 20
    assert mixed.intensity.max() < 0.1 * light.intensity.max()


def test_a_substituted_crystal_survives_files(hydride):
    crystal = hydride.crystal.substituted("H->D 98 %, Li->7Li")
    check_result(crystal)
    assert crystal.nuclides == ("7Li", "98% 2H + 2% H")
    again = crystal.substituted("H->D 50 %")
    assert again.nuclides == ("7Li", "50% 2H + 50% H")


def test_impossible_substitutions_are_explained(hydride):
    with pytest.raises(InputError, match="the crystal has Li, H"):
        hydride.substituted("O->18O")
    with pytest.raises(InputError, match="names 1 nuclides"):
        Crystal(**{**vars(hydride.crystal), "nuclides": ("H",)})
