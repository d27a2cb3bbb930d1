"""What is written is read again: bins, errors, mask, kinematics, temperature, crystal, units."""

from dataclasses import fields, replace

import h5py
import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase import Crystal, SqwMap
from scatterml_ase.errors import InputError
from scatterml_ase.scattering.files import read_detectors, read_sqw, write_sqw

LOSSLESS = ["nexus", "mdhisto", "iqe", "csv", "npz"]
ENDINGS = {"nexus": ".nxs", "mdhisto": ".nxs", "iqe": ".h5", "csv": ".csv", "npz": ".npz"}


def simulated(**changes):
    """Make a map with everything a map can know, uneven bins, and a bin of exactly zero."""
    generator = np.random.default_rng(1)
    intensity = generator.normal(1, 1, size=(5, 7))
    mask = generator.uniform(size=(5, 7)) > 0.3
    intensity[0, 0], mask[0, 0] = 0.0, True
    values = {
        "crystal": Crystal.from_atoms(bulk("NaCl", "rocksalt", a=5.64)),
        "q": np.linspace(0.3, 4.1, 6),
        "energy_transfer": np.linspace(-10, 40, 8),
        "intensity": intensity,
        "error": generator.uniform(0, 0.3, size=(5, 7)),
        "mask": mask,
        "temperature": 77.5,
        "scale": "formula_unit",
        "ki_over_kf": False,
        "kinematics": {
            "geometry": "indirect",
            "fixed_energy": 3.97,
            "two_theta": ((40.0, 50.0), (130.0, 140.0)),
        },
        "relative_error": 0.03,
        "wavevectors": 1234,
        "provenance": {"model": {"name": "si"}, "numbers": (1, 2.5)},
    }
    values["error"][0, 0] = 0.0
    return SqwMap(**{**values, **changes})


def check_same(found, expected):
    for item in fields(expected):
        ours, theirs = getattr(expected, item.name), getattr(found, item.name)
        if isinstance(ours, Crystal):
            np.testing.assert_array_equal(theirs.positions, ours.positions)
            np.testing.assert_array_equal(theirs.masses, ours.masses)
        elif isinstance(ours, np.ndarray) and item.name == "error":
            np.testing.assert_allclose(theirs[expected.mask], ours[expected.mask], rtol=1e-14)
        elif isinstance(ours, np.ndarray):
            np.testing.assert_allclose(theirs, ours, rtol=1e-14, err_msg=item.name)
        else:
            assert theirs == ours or (theirs != theirs and ours != ours), item.name


@pytest.mark.parametrize("format", LOSSLESS)
def test_nothing_is_lost(format, tmp_path):
    sqw = simulated()
    path = write_sqw(sqw, tmp_path / f"map{ENDINGS[format]}", format)
    check_same(read_sqw(path), sqw)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("format", LOSSLESS)
def test_units_come_back_as_they_were(format, tmp_path):
    sqw = simulated().to("THz").to("nm^-1")
    found = read_sqw(write_sqw(sqw, tmp_path / f"map{ENDINGS[format]}", format))
    assert found.units == sqw.units
    np.testing.assert_allclose(found.q, sqw.q, rtol=1e-14)
    np.testing.assert_allclose(found.intensity, sqw.intensity, rtol=1e-14)


@pytest.mark.parametrize("format", LOSSLESS)
def test_a_map_without_errors_has_none_afterwards(format, tmp_path):
    """Its zeros are known, too: nothing says that no detector looked there."""
    sqw = simulated(error=None, crystal=None, kinematics=None, temperature=np.nan)
    found = read_sqw(write_sqw(sqw, tmp_path / f"map{ENDINGS[format]}", format))
    assert found.error is None
    check_same(found, sqw)


@pytest.mark.parametrize("format", ["nexus", "iqe", "csv", "npz"])
def test_bins_may_be_uneven(format, tmp_path):
    sqw = simulated(q=[0.0, 0.1, 0.5, 2.0, 2.1, 4.0])
    found = read_sqw(write_sqw(sqw, tmp_path / f"map{ENDINGS[format]}", format))
    np.testing.assert_array_equal(found.q, sqw.q)


@pytest.mark.parametrize("format", LOSSLESS)
def test_a_path_keeps_its_points(format, tmp_path):
    sqw = simulated(
        axis="path",
        distance=np.linspace(0.4, 4, 5),
        q_reduced=np.arange(15.0).reshape(5, 3),
        labels=((0, "Γ"), (4, "X")),
    )
    found = read_sqw(write_sqw(sqw, tmp_path / f"map{ENDINGS[format]}", format))
    np.testing.assert_allclose(found.q_reduced, sqw.q_reduced)
    assert found.labels == sqw.labels


def test_a_path_stays_one_in_programs_that_drop_what_they_do_not_know(tmp_path):
    sqw = simulated(axis="path", distance=np.linspace(0.4, 4, 5))
    path = write_sqw(sqw, tmp_path / "map.nxs", "mdhisto")
    with h5py.File(path, "a") as file:
        del file["MDHistoWorkspace/scatterml_ase"]
        assert not file["MDHistoWorkspace/data/D0"].attrs["long_name"].startswith((b"[", b"Q_"))
    assert read_sqw(path).axis == "path"


def test_a_long_history_does_not_hide_the_table(tmp_path):
    sqw = simulated(provenance={"history": ["a step of the reduction"] * 5000})
    found = read_sqw(write_sqw(sqw, tmp_path / "map.csv"))
    assert found.provenance == sqw.provenance


def test_mdhisto_refuses_bins_it_cannot_hold(tmp_path):
    sqw = simulated(q=[0.0, 0.1, 0.5, 2.0, 2.1, 4.0])
    with pytest.raises(InputError, match=r"\|Q\|.*wide.*rebinned"):
        write_sqw(sqw, tmp_path / "map.nxs", "mdhisto")
    assert not list(tmp_path.iterdir())


def test_spe_keeps_what_ten_characters_hold(tmp_path):
    sqw = simulated(
        energy_transfer=np.linspace(-10, 40, 8) * 1e-4, intensity=-np.ones((5, 7)) / 3e5
    )
    path = write_sqw(sqw, tmp_path / "map.spe")
    assert all(len(line) <= 80 for line in path.read_text().splitlines())
    found = read_sqw(path, temperature=20)
    np.testing.assert_array_equal(found.mask, sqw.mask)
    np.testing.assert_allclose(found.energy_transfer, sqw.energy_transfer, rtol=2e-4)
    np.testing.assert_allclose(found.intensity, sqw.intensity, rtol=2e-4)
    np.testing.assert_allclose(found.error[sqw.mask], sqw.error[sqw.mask], rtol=2e-5)
    assert found.temperature == 20
    assert found.scale == "arbitrary"


def test_spe_holds_numbers_of_any_size(tmp_path):
    """An exponent of three digits leaves no room; what is so small is nothing beside the rest."""
    size = 10.0 ** np.linspace(-250, 8, 35).reshape(5, 7)
    sqw = simulated(intensity=-size, error=size, mask=None)
    path = write_sqw(sqw, tmp_path / "map.spe")
    assert all(len(line) <= 80 for line in path.read_text().splitlines())
    found = read_sqw(path)
    large = size > 1e-99
    np.testing.assert_array_equal(found.mask, large)  # zero with zero error: nothing is known
    np.testing.assert_allclose(found.intensity[large], -size[large], rtol=1e-3)


def test_spe_keeps_bins_without_error_and_maps_without_errors(tmp_path):
    sqw = simulated(mask=None)
    error = np.array(sqw.error)
    error[2, 3] = np.nan
    found = read_sqw(write_sqw(replace(sqw, error=error), tmp_path / "a.spe"))
    assert found.mask[2, 3]
    sqw = replace(sqw, error=None)
    found = read_sqw(write_sqw(sqw, tmp_path / "b.spe"))
    assert found.error is None
    np.testing.assert_array_equal(found.mask, sqw.mask)


def powder(function=lambda q, e: 1 + q**2):
    q, energy = np.linspace(0, 9, 181), np.linspace(-20, 45, 66)
    x, y = np.meshgrid((q[1:] + q[:-1]) / 2, (energy[1:] + energy[:-1]) / 2, indexing="ij")
    return SqwMap(
        q=q,
        energy_transfer=energy,
        intensity=function(x, y),
        temperature=100.0,
        kinematics={
            "geometry": "direct",
            "fixed_energy": 50.0,
            "two_theta": ((3.0, 60.0), (75.0, 135.0)),
        },
        provenance={"instrument": "MARI"},
    )


def test_a_powder_map_becomes_rings_of_detectors_and_a_map_again(tmp_path):
    sqw = powder()
    path = write_sqw(sqw, tmp_path / "map.nxspe")
    found = read_sqw(path, q=np.linspace(0, 9, 91))
    expected = sqw.rebinned(np.linspace(0, 9, 91))
    both = found.mask & expected.mask
    assert both.mean() > 0.5
    np.testing.assert_allclose(found.intensity[both], expected.intensity[both], rtol=0.03)
    assert found.temperature == 100
    assert found.ki_over_kf is True
    assert found.scale == "atom"
    assert found.kinematics["fixed_energy"] == 50
    gap = (found.q_centres > 5.3) & (found.q_centres < 5.7)
    elastic = np.abs(found.energy_centres) < 1
    assert not found.mask[np.ix_(gap, elastic)].any()  # 60° … 75° at E = 0: 4.91 … 5.98 Å⁻¹


def test_detectors_keep_everything(tmp_path):
    path = write_sqw(powder(), tmp_path / "rings.nxspe")
    detectors = read_detectors(path)
    measured = replace(
        detectors,
        error=np.full(detectors.intensity.shape, 0.5),
        psi=12.5,
        distance=np.full(len(detectors.polar), 4.022),
        ki_over_kf=False,
        scale="arbitrary",
    ).to("cm^-1")
    again = read_detectors(write_sqw(measured, tmp_path / "again.nxspe"))
    for item in fields(measured):
        ours, theirs = getattr(measured, item.name), getattr(again, item.name)
        if isinstance(ours, np.ndarray):
            known = measured.mask if item.name == "error" else ...
            np.testing.assert_allclose(theirs[known], ours[known], rtol=1e-13, err_msg=item.name)
        else:
            assert theirs == ours, item.name
    kept = read_detectors(write_sqw(measured, tmp_path / "detectors.nxs"))
    np.testing.assert_array_equal(kept.intensity, measured.intensity)


def test_what_the_user_tells_wins(tmp_path):
    detectors = read_detectors(
        write_sqw(powder(), tmp_path / "a.nxspe"), fixed_energy=51.0, temperature=7.0
    )
    assert (detectors.fixed_energy, detectors.temperature) == (51, 7)
    sqw = read_sqw(write_sqw(simulated(), tmp_path / "a.npz"), fixed_energy=4.0, temperature=7.0)
    assert (sqw.kinematics["fixed_energy"], sqw.temperature) == (4, 7)
    assert sqw.kinematics["geometry"] == "indirect"


def test_other_programs_find_what_they_look_for_in_nxspe(tmp_path):
    """Mantid opens these by name, and groups by name and class."""
    path = write_sqw(powder(), tmp_path / "map.nxspe")
    with h5py.File(path) as file:
        (entry,) = file.values()
        assert entry["definition"][0] == b"NXSPE"
        assert entry["NXSPE_info/fixed_energy"][0] == 50
        assert entry["NXSPE_info/ki_over_kf_scaling"][0] == 1
        data = entry["data"]
        rings, bins = data["data"].shape
        assert data["error"].shape == (rings, bins)
        assert data["energy"].shape == (bins + 1,)
        for name in ("polar", "polar_width", "azimuthal", "azimuthal_width", "distance"):
            assert data[name].shape == (rings,)
        for group in (entry, *(item for item in entry.values() if isinstance(item, h5py.Group))):
            kind = group.attrs.get_id("NX_class").get_type()
            assert not kind.is_variable_str()  # as Mantid writes it itself


def test_other_programs_leave_out_what_is_not_known_in_nxspe(tmp_path):
    """Zeros would pull their means down. NaN in the first bin would mask the whole detector."""
    detectors = read_detectors(write_sqw(powder(), tmp_path / "map.nxspe"))
    mask = np.array(detectors.mask)
    mask[:, 30:40] = False
    mask[3, :5] = False
    mask[5] = False
    path = write_sqw(replace(detectors, mask=mask), tmp_path / "holes.nxspe")
    with h5py.File(path) as file:
        (entry,) = file.values()
        data, error = entry["data/data"][()], entry["data/error"][()]
    first = np.zeros_like(mask)
    first[:, 0] = ~mask[:, 0] & mask.any(axis=1)
    assert first[3, 0]
    np.testing.assert_array_equal(np.isnan(data), ~mask & ~first)
    np.testing.assert_array_equal(data[first], 0)
    np.testing.assert_array_equal(error[~mask], 0)
    np.testing.assert_array_equal(read_detectors(path).mask, mask)


@pytest.mark.parametrize("name", ["map", "map.xyz"])
def test_an_unknown_ending_asks_for_the_format(name, tmp_path):
    with pytest.raises(InputError, match="Give format= one of 'nexus'"):
        write_sqw(simulated(), tmp_path / name)
    with pytest.raises(InputError, match="'hdf9' is no format"):
        write_sqw(simulated(), tmp_path / name, "hdf9")


def test_rings_need_to_know_the_neutrons(tmp_path):
    with pytest.raises(InputError, match="scattering angles"):
        write_sqw(simulated(kinematics=None), tmp_path / "map.nxspe")
    with pytest.raises(InputError, match="cannot hold detectors"):
        write_sqw(read_detectors(write_sqw(powder(), tmp_path / "a.nxspe")), tmp_path / "a.csv")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_sqw(simulated(), tmp_path / "map.npz")
    before = path.read_bytes()

    def fail(*arguments, **options):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        write_sqw(simulated(), path)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["map.npz"]
