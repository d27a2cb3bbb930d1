"""A pressure that contradicts the energies of strained crystals is found, and nothing else is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from scatterml_ase.training.checks import check_frames
from scatterml_ase.training.data import Frame
from scatterml_ase.training.pulay import pressure_offset

NORMAL = np.eye(3, dtype=bool)


@pytest.fixture(scope="module")
def strained() -> list[Frame]:
    """Copper under strains in several directions, in no order, and some snapshots of a melt."""
    random = np.random.default_rng(0)
    frames = []
    for number in range(30):
        atoms = bulk("Cu", cubic=True)
        strain = np.eye(3) * (1 + random.uniform(-0.03, 0.03)) + random.normal(0, 0.01, (3, 3))
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        if number % 3 == 2:
            atoms.positions += random.normal(0, 0.3, (4, 3))
        atoms.calc = EMT()
        labels = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False)
        atoms.calc = None
        known = np.ones((3, 3), dtype=bool)
        frames.append(Frame(atoms, *labels, known, "", f"cu.extxyz, structure {number}"))
    return frames


def pressed(frames: list[Frame], offset: float) -> list[Frame]:
    return [dataclasses.replace(f, stress=f.stress + offset * np.eye(3)) for f in frames]


def pressures(frames: list[Frame]) -> list[str]:
    return [f.message for f in check_frames(frames).findings if f.check == "pressure"]


@pytest.mark.parametrize("offset", [0.015, -0.02])
def test_the_offset_of_the_pressure_is_found_with_its_sign(strained, offset):
    found = pressure_offset(pressed(strained, offset))
    assert found.value == pytest.approx(offset, abs=1e-3)
    assert found.telling


def test_right_stresses_are_let_be(strained):
    assert abs(pressure_offset(strained).value) < 1e-3
    assert pressures(strained) == []


def test_the_warning_names_the_groups_and_the_remedy(strained):
    frames = [dataclasses.replace(frame, group="Elastic") for frame in pressed(strained, 0.015)]
    (message,) = pressures(frames)
    assert "GPa) above the slope of the energy" in message
    assert 'ignore_stress = { GROUP = ["xx", "yy", "zz"] }' in message
    assert '"Elastic"' in message


def test_what_is_ignored_is_not_complained_about(strained):
    frames = [
        dataclasses.replace(frame, stress_mask=~NORMAL, stress=np.where(NORMAL, 0, frame.stress))
        for frame in pressed(strained, 0.015)
    ]
    assert pressure_offset(frames) is None
    assert pressures(frames) == []


def test_a_wrong_unit_is_called_a_wrong_unit(strained):
    frames = [dataclasses.replace(frame, stress=frame.stress * 160.21766) for frame in strained]
    messages = [finding.message for finding in check_frames(frames).findings]
    assert any("stress in GPa" in message for message in messages)
    assert pressures(frames) == []


def test_molecules_and_snapshots_of_one_cell_say_nothing(strained):
    assert pressure_offset(strained[2::3]) is None or not pressure_offset(strained[2::3]).telling
    assert pressure_offset([strained[0]] * 20) is None
    assert pressure_offset([]) is None
