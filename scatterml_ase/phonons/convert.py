"""Force constants made elsewhere."""

from __future__ import annotations

from pathlib import Path

import h5py

from scatterml_ase.results.force_constants import ForceConstants


def read_force_constants(path: str | Path) -> ForceConstants:
    """Read force constants from a file of this package or of phonopy, whichever it is.

    Parameters
    ----------
    path
        A file written by :meth:`ForceConstants.save`, a ``phonopy_params.yaml``, or a
        ``phonopy.yaml`` with its companions in the same folder
        (see :meth:`ForceConstants.from_file`).

    Raises
    ------
    InputError
        If the file is missing, damaged, of another kind, or gives no force constants.
    """
    path = Path(path)
    if path.is_file() and h5py.is_hdf5(path):
        return ForceConstants.load(path)
    return ForceConstants.from_file(path)
