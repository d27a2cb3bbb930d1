"""Derive what reports compare with from DFT data: rows of references.csv and g(r) of melts.

The data are the ``*_train.extxyz`` files of the mlearn collection (Zuo et al. 2020, BSD-3-Clause,
10.1021/acs.jpca.9b08723), all DFT-PBE; nothing of a model enters.

    python benchmarks/report_references.py FOLDER_WITH_MLEARN OUTPUT_FOLDER

Lattice constants come from the energies of the strained cells (their stresses lack the Pulay
term: in Ni they are off by 3 GPa), elastic constants from how the stresses change with strain,
surface energies from the relaxed slabs, frequencies from harmonic force constants fitted to the
snapshots at 300 K (effective, a little below those at 0 K), g(r) from the hottest snapshots.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read
from phonopy import Phonopy
from silicon_reference import displacements

from scatterml_ase.phonons.cells import to_phonopy
from scatterml_ase.physics.elasticity import VOIGT
from scatterml_ase.units import EV_PER_ANGSTROM2_TO_J_PER_M2, EV_PER_ANGSTROM3_TO_GPA
from scatterml_ase.workflows.properties.melt import pair_distribution
from scatterml_ase.workflows.properties.special_points import BRANCHES

# Element: atoms and repeats of the strained cells; share of the strains the fits use.
CELLS = {"Ni": (108, 3), "Cu": (108, 3), "Li": (2, 1), "Mo": (54, 3), "Si": (64, 2), "Ge": (64, 2)}
RANGE = {"Li": 0.03}
SHEARS_UNUSABLE = {"Li"}  # not monotonic in strain at the source
# The cells of Ni and Cu carry no description: clusters of energy per atom (eV) tell the runs.
COLD = {"Ni": (-5.78, -5.70), "Cu": (-4.10, -4.02)}
HOT = {"Ni": (-5.3, -5.0), "Cu": (-3.7, -3.4)}
HOT_TEMPERATURE = {"Ni": 3000, "Cu": 3000, "Li": 907, "Mo": 6000, "Si": 3374, "Ge": 2422}
POINTS = {
    "fcc": {"X": (0.5, 0, 0.5), "L": (0.5, 0.5, 0.5)},
    "bcc": {"H": (0.5, -0.5, 0.5), "N": (0, 0, 0.5), "P": (0.25, 0.25, 0.25)},
    "diamond": {"Γ": (0, 0, 0), "X": (0.5, 0, 0.5), "L": (0.5, 0.5, 0.5)},
}


def main(folder: str, output: str) -> None:
    """Write the rows and the curves."""
    rows: list[tuple] = []
    (Path(output) / "melts").mkdir(parents=True, exist_ok=True)
    for element in CELLS:
        frames = read(Path(folder) / f"{element}_train.extxyz", ":")
        strained, ground = strain_series(element, frames)
        lattice, minimum = lattice_constant(element, strained, ground)
        rows.append((element, "lattice_constant", f"{lattice:.4f}", "0.005", "angstrom"))
        rows += [(element, *row) for row in elastic_rows(element, strained)]
        rows += [(element, *row) for row in surface_rows(element, frames, minimum, lattice)]
        rows += [(element, *row) for row in frequency_rows(element, frames)]
        write_strain(element, strained, ground, Path(output))
        write_melt(element, frames, Path(output) / "melts")
    for row in rows:
        temperature = "300" if row[1].startswith("phonon") else ""
        print(",".join((*row, "dft-pbe", temperature, "mlearn")), flush=True)


# -- strained cells -------------------------------------------------------------------------------


def strain_series(element: str, frames: list[Atoms]) -> tuple[list[tuple], Atoms]:
    """Return (Voigt strain, stress in GPa, eV/atom) of the strained cells, and the unstrained."""
    count = CELLS[element][0]
    still = [
        a for a in frames if len(a) == count and (a.info.get("group") == "Elastic" or is_still(a))
    ]
    named = [a for a in frames if a.info.get("description") == "Ground state crystal"]
    cubic = [
        a
        for a in still
        if np.abs(a.cell.angles() - 90).max() < 1e-3 and np.ptp(a.cell.lengths()) < 1e-3
    ]
    ground = (named or cubic)[0]
    edge = ground.get_volume() ** (1 / 3) * np.eye(3)
    series = []
    for atoms in still:
        gradient = np.linalg.solve(edge, atoms.cell.array)
        strain = (gradient + gradient.T) / 2 - np.eye(3)
        voigt = np.array([strain[i, j] * (1 if i == j else 2) for i, j in VOIGT])
        stress = atoms.get_stress() * EV_PER_ANGSTROM3_TO_GPA
        series.append((voigt, stress, atoms.get_potential_energy() / count))
    return series, ground


def is_still(atoms: Atoms) -> bool:
    """Tell cells at rest from snapshots, where no group does."""
    return "group" not in atoms.info and np.abs(atoms.get_forces()).max() < 0.05


def along(series: list[tuple], component: int, limit: float) -> list[tuple]:
    """Return the cells strained along one component only, up to a limit."""
    chosen = []
    for voigt, stress, energy in series:
        others = np.delete(voigt, component)
        small = 1e-3 + np.abs(voigt[component]) ** 2
        if np.abs(others).max() <= small and np.abs(voigt[component]) <= limit:
            chosen.append((voigt[component], stress, energy))
    return sorted(chosen, key=lambda row: row[0])


def fit(points: list[tuple[float, float]], degree: int = 3) -> np.ndarray:
    """Return the coefficients of a polynomial, lowest first."""
    x, y = np.array(points).T
    degree = min(degree, len(np.unique(x.round(5))) - 1)
    return np.polynomial.Polynomial.fit(x, y, degree).convert().coef


def lattice_constant(element: str, series: list[tuple], ground: Atoms) -> tuple[float, float]:
    """Return the lattice constant (Å) and energy per atom (eV) where dE/dε vanishes.

    A uniaxial series gives dE/dε = V σ along each axis; the pressure it means is released with
    the bulk modulus.
    """
    limit = RANGE.get(element, 0.07)
    volume = ground.get_volume() / len(ground)
    energies = [(e, energy) for k in range(3) for e, _, energy in along(series, k, limit)]
    coefficients = fit(energies, 4)
    stress = coefficients[1] / volume * EV_PER_ANGSTROM3_TO_GPA
    c11, c12, _ = elastic(element, series)
    bulk_modulus = (c11 + 2 * c12) / 3
    strain = -stress / (3 * bulk_modulus)
    energy = ground.get_potential_energy() / len(ground)
    energy += 1.5 * volume * strain * stress / EV_PER_ANGSTROM3_TO_GPA
    edge = ground.get_volume() ** (1 / 3) / CELLS[element][1]
    return edge * (1 + strain), energy


def elastic(element: str, series: list[tuple], share: float = 1.0) -> tuple[float, ...]:
    """Return C11, C12 and C44 in GPa (C44 nan where the shears cannot be used)."""
    limit = RANGE.get(element, 0.07) * share
    c11, c12, c44 = [], [], []
    for k in range(3):
        chosen = along(series, k, limit)
        c11.append(fit([(e, s[k]) for e, s, _ in chosen])[1])
        c12 += [fit([(e, s[j]) for e, s, _ in chosen])[1] for j in range(3) if j != k]
    for k in range(3, 6):
        chosen = along(series, k, 2 * limit)
        if len(chosen) > 3 and element not in SHEARS_UNUSABLE:
            c44.append(fit([(e, s[k]) for e, s, _ in chosen])[1])
    return float(np.mean(c11)), float(np.mean(c12)), float(np.mean(c44)) if c44 else np.nan


def elastic_rows(element: str, series: list[tuple]) -> list[tuple]:
    """Return the rows of the elastic constants; wider fits tell their uncertainty."""
    values, wide = elastic(element, series), elastic(element, series, 1.4)
    named = zip(("c11", "c12", "c44"), values, wide, strict=True)
    rows = [
        (name, f"{value:.0f}", f"{max(abs(value - other), 1):.0f}", "GPa")
        for name, value, other in named
        if np.isfinite(value)
    ]
    bulk, other = ((c[0] + 2 * c[1]) / 3 for c in (values, wide))
    return [*rows, ("bulk_modulus", f"{bulk:.0f}", f"{max(abs(bulk - other), 1):.0f}", "GPa")]


def write_strain(element: str, series: list[tuple], ground: Atoms, folder: Path) -> None:
    """Write energies of the cells strained along one axis, from the unstrained one."""
    start = ground.get_potential_energy() / len(ground)
    edge = ground.get_volume() ** (1 / 3) / CELLS[element][1]
    points = {round(float(e), 4): energy - start for k in range(3)
              for e, _, energy in along(series, k, 0.11)}  # fmt: skip
    (folder / "strains").mkdir(exist_ok=True)
    with (folder / "strains" / f"{element}.csv").open("w", newline="") as file:
        file.write(f"# DFT-PBE energy over uniaxial [100] strain of the cubic cell {edge:.5f} A\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["strain", "energy_ev_per_atom"])
        writer.writerows([e, f"{points[e]:.6f}"] for e in sorted(points))


# -- surfaces -------------------------------------------------------------------------------------


def surface_rows(element: str, frames: list[Atoms], bulk_energy: float, a: float) -> list[tuple]:
    """Return energies of the slabs whose face is known: by their name, or by their cell."""
    rows = []
    for atoms in frames:
        name = atoms.info.get("description") or ""
        group = atoms.info.get("group")
        if group not in (None, "Surface") or len(atoms) > 40:
            continue
        face = face_of(element, atoms, name, a)
        if face is None:
            continue
        area = 2 * np.linalg.norm(np.cross(atoms.cell[0], atoms.cell[1]))
        energy = atoms.get_potential_energy() - len(atoms) * bulk_energy
        value = energy / area * EV_PER_ANGSTROM2_TO_J_PER_M2
        force = np.abs(atoms.get_forces()).max()
        print(f"{element} {face} {value:.3f} J/m2, {force:.2f} eV/Å, {name}", file=sys.stderr)
        rows.append((f"surface_energy_{face}", f"{value:.2f}", "0.03", "J/m^2"))
    return rows


def face_of(element: str, atoms: Atoms, name: str, a: float) -> str | None:
    """Return "111" and the like for unreconstructed low-index slabs."""
    for face in ("(1_1_1)", "(1_1_0)", "(1_0_0)"):
        if name.endswith(face):
            return face.strip("()").replace("_", "")
    if element not in ("Ni", "Cu"):
        return None
    lengths, angle = atoms.cell.lengths()[:2] / a, atoms.cell.angles()[2]
    short = np.sqrt(0.5)
    if np.allclose(lengths, short, atol=0.01) and abs(angle - 90) < 0.5:
        return "100"
    if np.allclose(lengths, short, atol=0.01) and min(abs(angle - 60), abs(angle - 120)) < 0.5:
        return "111"
    flat = np.allclose(sorted(lengths), [short, 1], atol=0.01) and abs(angle - 90) < 0.5
    return "110" if flat and abs(atoms.cell.angles()[:2] - 90).max() < 0.5 else None


# -- snapshots ------------------------------------------------------------------------------------


def snapshots(element: str, frames: list[Atoms], window: dict, temperature: int) -> list[Atoms]:
    """Return the perfect-crystal or liquid snapshots of one run."""
    if element in window:
        low, high = window[element]
        return [
            a
            for a in frames
            if len(a) == CELLS[element][0]
            and np.abs(a.get_forces()).max() > 0.1
            and low < a.get_potential_energy() / len(a) < high
        ]
    ends = (f"normal structure at {temperature} K", f"simulation at {temperature} K")
    return [
        a for a in frames
        if a.info["group"] == "AIMD-NVT" and a.info["description"].endswith(ends)
    ]  # fmt: skip


def frequency_rows(element: str, frames: list[Atoms]) -> list[tuple]:
    """Return effective harmonic frequencies in THz at special points."""
    chosen = snapshots(element, frames, COLD, 300)
    kind = {"Ni": "fcc", "Cu": "fcc", "Li": "bcc", "Mo": "bcc"}.get(element, "diamond")
    per_cell = {"fcc": 4, "bcc": 2, "diamond": 8}[kind]
    repeats = round((len(chosen[0]) / per_cell) ** (1 / 3))
    a = (chosen[0].get_volume() / len(chosen[0]) * per_cell) ** (1 / 3)
    unit = bulk(element, kind, a=a, cubic=True)
    primitive = {"fcc": "F", "bcc": "I", "diamond": "F"}[kind]
    phonon = Phonopy(
        to_phonopy(unit), supercell_matrix=repeats * np.eye(3), primitive_matrix=primitive
    )
    pairs = [displacements(frame, phonon.supercell.positions) for frame in chosen]
    moved, forces = (np.array(part) for part in zip(*pairs, strict=True))
    tables = []
    for part in (slice(None), slice(0, None, 2), slice(1, None, 2)):
        phonon.dataset = {"displacements": moved[part], "forces": forces[part]}
        phonon.produce_force_constants(fc_calculator="symfc")
        phonon.run_qpoints(list(POINTS[kind].values()))
        tables.append(np.array(phonon.qpoints.frequencies))
    worst = np.abs(tables[1] - tables[2]).max()
    print(f"{element} {len(chosen)} snapshots, a={a:.4f}, halves differ by {worst:.2f} THz",
          file=sys.stderr)  # fmt: skip
    rows = list(POINTS[kind])
    return [
        (
            f"phonon_{point}_{branch + 1}",
            f"{tables[0][rows.index(point)][branch]:.2f}",
            f"{abs(tables[1] - tables[2])[rows.index(point)][branch] / 2:.2f}",
            "THz",
        )
        for point, _, branch in BRANCHES[kind]
    ]


def write_melt(element: str, frames: list[Atoms], folder: Path) -> None:
    """Write g(r) of the hottest snapshots."""
    temperature = HOT_TEMPERATURE[element]
    chosen = snapshots(element, frames, HOT, temperature)
    curve = pair_distribution(chosen, temperature, r_edges=np.arange(0, 5.21, 0.1))
    with (folder / f"{element}.csv").open("w", newline="") as file:
        how = "by its energy" if element in HOT else "as its file says"
        file.write(
            f"# g(r) of {len(chosen)} DFT-PBE snapshots of {len(chosen[0])} atoms at "
            f"{temperature} K ({how}); mlearn, Zuo et al. 2020, BSD-3-Clause\n"
        )
        file.write(f"# density {curve.density:.6f} atoms per cubic angstrom\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["r_low", "r_high", "g", "g_error"])
        for low, high, g, error in zip(
            curve.r_edges[:-1], curve.r_edges[1:], curve.g, curve.g_error, strict=True
        ):
            writer.writerow([f"{low:.2f}", f"{high:.2f}", f"{g:.4f}", f"{error:.4f}"])


if __name__ == "__main__":
    main(*sys.argv[1:3])
