"""Broken, foreign and impossible files say what is wrong and what to give."""

import h5py
import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase import Crystal, SqwMap
from scatterml_ase.errors import InputError
from scatterml_ase.scattering.files import read_detectors, read_sqw, write_sqw

FORMATS = {
    "nexus": ".nxs",
    "nxspe": ".nxspe",
    "mdhisto": ".nxs",
    "iqe": ".h5",
    "spe": ".spe",
    "csv": ".csv",
    "npz": ".npz",
}


def small(**changes):
    values = {
        "q": np.linspace(1, 5, 30),
        "energy_transfer": np.linspace(-5, 20, 40),
        "intensity": np.random.default_rng(0).uniform(1, 2, size=(29, 39)),
        "error": np.full((29, 39), 0.1),
        "kinematics": {"geometry": "direct", "fixed_energy": 40.0},
    }
    return SqwMap(**{**values, **changes})


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_half_a_file_is_explained(format, share, tmp_path):
    path = write_sqw(small(), tmp_path / f"map{FORMATS[format]}", format)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    if format == "csv":  # its line ends somewhere: fewer bins, or a broken row
        path.write_bytes(path.read_bytes() + b"\n1.0,2.0\n")
    with pytest.raises(InputError, match="Cannot read"):
        read_sqw(path)


def test_a_table_that_ends_between_two_rows_is_noticed(tmp_path):
    """Of ours all bins are listed: fewer are no map with unknown bins, but a file cut short."""
    path = write_sqw(small(), tmp_path / "map.csv")
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-5]), encoding="utf-8")
    with pytest.raises(InputError, match="it holds 1126 rows of 1131"):
        read_sqw(path)


@pytest.mark.parametrize(
    "content", [b"", b"hello\nworld\n", b"\x00\x01\x02" * 50, b"PK\x03\x04zip"]
)
def test_other_files_are_no_maps(content, tmp_path):
    path = tmp_path / "file.dat"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"Cannot read.*NXSPE"):
        read_sqw(path)


def test_the_content_decides_not_the_ending(tmp_path):
    path = write_sqw(small(), tmp_path / "map.npz")
    renamed = path.rename(tmp_path / "map.nxspe")
    np.testing.assert_array_equal(read_sqw(renamed).q, small().q)


def test_hdf5_without_a_map(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["numbers"] = np.arange(3)
    with pytest.raises(InputError, match="of a known format"):
        read_sqw(tmp_path / "a.h5")


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(InputError, match="no file"):
        read_sqw(tmp_path / "nothing.nxspe")
    with pytest.raises(InputError, match="folder"):
        read_sqw(tmp_path)


def test_another_result_of_ours_is_named(tmp_path):
    path = Crystal.from_atoms(bulk("Cu")).save(tmp_path / "c.nxs")
    with pytest.raises(InputError, match="holds Crystal, not SqwMap"):
        read_sqw(path)
    with pytest.raises(InputError, match="Use read_sqw"):
        read_detectors(small().save(tmp_path / "m.nxs"))


def test_negative_variances_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, Q=[0, 1, 2], E=[0, 1, 2], I=np.ones((2, 2)), var=[[1, 1], [-1, 1]])
    with pytest.raises(InputError, match="1 errors of the intensity are negative"):
        read_sqw(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"I": np.full((2, 2), np.nan)}, "no measured bin"),
        ({"I": np.zeros((2, 2)), "error": np.zeros((2, 2))}, "no measured bin"),
        ({"I": np.ones((2, 5))}, "an axis has 3 values"),
        ({"I": np.ones(2)}, "Cannot read"),
        ({"E": [2.0, 1.0, 0.0]}, "energy axis is no list of bin edges"),
        ({"error": np.ones((3, 2))}, "its error"),
        ({"I": np.array([["a", "b"], ["c", "d"]])}, "Cannot read"),
    ],
)
def test_impossible_arrays_are_explained(change, message, tmp_path):
    values = {"Q": [0.0, 1, 2], "E": [0.0, 1, 2], "I": np.ones((2, 2))}
    np.savez(tmp_path / "a.npz", **{**values, **change})
    with pytest.raises(InputError, match=message):
        read_sqw(tmp_path / "a.npz")


def test_nothing_is_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", Q=np.array([{}], dtype=object), E=[0, 1], I=[[1]])
    with pytest.raises(InputError, match="allow_pickle"):
        read_sqw(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Q (1/A),E (meV),I\n1,2,3\n1,3\n1,4,5\n", "unequal length"),
        ("Q (1/A),E (meV),I\n1,2,3\nsome words\n", "holds no numbers"),
        ("colour,E (meV),I\n1,2,3\n2,3,4\n", "no column of q"),
        ("1 2 3 4 5\n1 2 3 4 6\n", "5 columns without names"),
    ],
)
def test_broken_tables_are_explained(text, message, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_sqw(tmp_path / "a.csv")


def test_points_on_no_grid_are_refused(tmp_path):
    points = np.random.default_rng(0).uniform(size=(200, 3))
    text = "Q (1/A) E (meV) I\n" + "\n".join(" ".join(map(str, row)) for row in points)
    (tmp_path / "a.txt").write_text(text + "\n")
    with pytest.raises(InputError, match="lie on no grid"):
        read_sqw(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fixed_energy": -5.0}, "fixed_energy=-5.0 meV is no neutron energy"),
        ({"temperature": -5.0}, "temperature=-5.0 K is not possible"),
        ({"temperature": float("nan")}, "temperature=nan K is not possible"),
        ({"q": [50.0, 60.0]}, "Nothing was measured at .* 50 to 60 Å⁻¹"),
    ],
)
def test_impossible_wishes_are_explained(options, message, tmp_path):
    for ending in (".npz", ".nxspe"):
        path = write_sqw(small(), tmp_path / f"map{ending}")
        with pytest.raises(InputError, match=message):
            read_sqw(path, **options)


def test_only_maps_are_written(tmp_path):
    with pytest.raises(InputError, match=r"Crystal is no map.*Use its \.save"):
        write_sqw(Crystal.from_atoms(bulk("Al")), tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())
