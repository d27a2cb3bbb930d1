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
    hot = core_options([frame(Atoms("Mo2", [[0, 0, 0], [0, 0, 1.9]]))])
    contact = 1.9 / (2 * covalent_radii[42])
    assert hot["core_span"][1] < contact < hot["repulsion_span"][1] < 1.1 * contact
    assert hot["core_span"][0] < hot["repulsion_span"][0]
    calm = core_options([frame(Atoms("Si"))])
    assert calm["core_span"][1] <= 0.8
    assert calm["repulsion_span"][1] < 1.15
    for options in (hot, calm):
        checked(PotentialConfig(species=(42,), **options))
