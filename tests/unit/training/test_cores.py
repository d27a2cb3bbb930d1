"""Hard cores begin where the data end."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import covalent_radii

from scatterml_ase.potential.config import PotentialConfig, checked
from scatterml_ase.training.cores import closest_contact, core_options
from scatterml_ase.training.data import Frame


def frame(atoms: Atoms) -> Frame:
    nothing = np.zeros((len(atoms), 3))
    return Frame(atoms, 0.0, nothing, np.zeros((3, 3)), np.ones((3, 3), dtype=bool), "", "")


def test_the_closest_contact_is_found_across_the_border_of_the_cell_and_between_species():
    crystal = bulk("Cu", cubic=True)
    pair = Atoms("OSi", [[0.1, 0, 0], [9.0, 0, 0]], cell=[10, 10, 10], pbc=True)
    radii = covalent_radii
    assert closest_contact([frame(crystal)]) == pytest.approx(3.61 / 2**0.5 / (2 * radii[29]))
    assert closest_contact([frame(crystal), frame(pair)]) == pytest.approx(
        min(3.61 / 2**0.5 / (2 * radii[29]), 1.1 / (radii[8] + radii[14]))
    )
    assert closest_contact([frame(Atoms("Si"))]) == np.inf


def test_cores_lie_inside_of_the_data():
    hot = core_options([frame(Atoms("Mo2", [[0, 0, 0], [0, 0, 1.9]]))], [42])
    contact = 1.9 / (2 * covalent_radii[42])
    assert hot["core_span"][1] < contact < hot["repulsion_span"][1] < 1.1 * contact
    assert hot["core_span"][0] < hot["repulsion_span"][0]
    calm = core_options([frame(Atoms("Si"))], [14])
    assert calm["core_span"][1] <= 0.8
    assert calm["repulsion_span"][1] < 1.15
    for options in (hot, calm):
        checked(PotentialConfig(species=(42,), **options))
        assert options["contact_scales"] == (1.0,)


def test_each_species_has_cores_of_its_own():
    """Molten Mo must not open the cores of Si: each one's begin at its own closest contact."""
    hot = frame(Atoms("Mo2", [[0, 0, 0], [0, 0, 1.9]]))
    calm = frame(Atoms("Si2", [[0, 0, 0], [0, 0, 1.75]]))
    both = core_options([hot, calm], [14, 42])
    for data, species, scale in (
        (calm, 14, both["contact_scales"][0]),
        (hot, 42, both["contact_scales"][1]),
    ):
        alone = core_options([data], [species])
        for name in ("core_span", "repulsion_span"):
            assert np.array(both[name]) * scale == pytest.approx(np.array(alone[name]), abs=0.02)
    assert both["contact_scales"][0] == 1.0


def test_a_close_pair_of_unlike_atoms_opens_the_cores_of_both():
    pair = frame(Atoms("SiMo", [[0, 0, 0], [0, 0, 1.8]]))
    options = core_options([pair], [14, 42])
    assert options["contact_scales"] == (1.0, 1.0)
    assert options["core_span"][1] < 1.8 / (covalent_radii[14] + covalent_radii[42])
