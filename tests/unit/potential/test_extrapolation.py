"""The extrapolation grade, and the watch that stops a simulation which leaves known ground."""

import pickle

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk, diamond100
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.io import read
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS

from scatterml_ase import StopOnExtrapolation
from scatterml_ase.errors import AccuracyWarning, InputError
from scatterml_ase.graph import edge_vectors, graph_from_atoms
from scatterml_ase.potential.extrapolation import ExtrapolationMeasure
from scatterml_ase.potential.features import FeatureReader
from scatterml_ase.potential.model import E3NNPotential
from scatterml_ase.potential.observer import ExtrapolationError

# -- the measure --------------------------------------------------------------------------------


def cloud(count: int, seed: int = 0, centre: float = 1.0) -> torch.Tensor:
    """Return correlated points (count, 3), one direction hundred times narrower than another."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(count, 3, dtype=torch.float64, generator=generator)
    mixed = points @ torch.tensor([[0.1, 0.1, 0.0], [0.0, 0.1, 0.0], [0.0, 0.001, 0.05]]).double()
    return mixed + centre


def numbers(count: int, z: int = 14) -> torch.Tensor:
    return torch.full((count,), z)


def test_distances_of_the_training_cloud_are_those_of_a_gaussian():
    """The mean of d² is the number of directions."""
    measure = ExtrapolationMeasure.fit({14: cloud(4000)})
    distances = measure.distances(cloud(4000, seed=1), numbers(4000))
    assert float(distances.square().mean()) == pytest.approx(3.0, rel=0.1)


def test_directions_count_in_which_the_training_set_hardly_varies():
    """A step that hides in the scatter along one direction is far along a narrow one."""
    flat = torch.linspace(-1, 1, 200, dtype=torch.float64)
    points = torch.stack([flat, flat + 0.01 * torch.sin(50 * flat)], dim=1) + 2.0
    measure = ExtrapolationMeasure.fit({14: points})
    along, across = points.mean(0) + 0.2, points.mean(0) + torch.tensor([0.2, -0.2])
    near, far = measure.distances(torch.stack([along, across]), numbers(2)).tolist()
    assert near < 1 and far > 5


def test_each_species_has_its_own_cloud_and_threshold():
    measure = ExtrapolationMeasure.fit({6: cloud(500), 14: cloud(500, seed=3, centre=-1.0)})
    points = torch.cat([cloud(1, seed=5), cloud(1, seed=5, centre=-1.0)])
    home = measure.distances(points, torch.tensor([6, 14]))
    away = measure.distances(points, torch.tensor([14, 6]))
    assert bool((away > 5 * home).all())
    measure.thresholds[1] = 4.0
    grades = measure.grades(points, torch.tensor([6, 14]))
    assert torch.allclose(grades, home / torch.tensor([1.0, 4.0], dtype=torch.float64))


def test_a_species_never_seen_is_infinitely_far():
    measure = ExtrapolationMeasure.fit({6: cloud(50), 29: cloud(50)})
    grades = measure.grades(cloud(3), torch.tensor([6, 14, 92]))
    assert grades.isinf().tolist() == [False, True, True]


def test_half_precision_on_disk_is_enough():
    measure = ExtrapolationMeasure.fit({6: cloud(300), 14: cloud(300, seed=3)})
    again = ExtrapolationMeasure.from_tensors(measure.to_tensors(), 3)
    points, kinds = cloud(50, seed=8), torch.tensor([6, 14] * 25)
    assert torch.allclose(again.grades(points, kinds), measure.grades(points, kinds), rtol=0.02)


def test_a_feature_that_never_varied_is_no_division_by_zero():
    constant = torch.ones(100, 3, dtype=torch.float64)
    constant[:, 2] = 0.0
    measure = ExtrapolationMeasure.fit({14: constant})
    assert measure.distances(constant[:2], numbers(2)).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert torch.isfinite(measure.distances(2 * constant[:1], numbers(1))).all()


@pytest.mark.parametrize("harm", ["missing", "shape", "nan"])
def test_tensors_that_do_not_fit_are_refused(harm):
    tensors = ExtrapolationMeasure.fit({14: cloud(30)}).to_tensors()
    if harm == "missing":
        del tensors["extrapolation.mean"]
    elif harm == "shape":
        tensors["extrapolation.factors"] = tensors["extrapolation.factors"][:, :-1]
    else:
        tensors["extrapolation.rms"][0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"extrapolation\."):
        ExtrapolationMeasure.from_tensors(tensors, 3)


def test_one_atom_is_no_cloud():
    with pytest.raises(InputError, match="one point has no width"):
        ExtrapolationMeasure.fit({14: cloud(1)})


def test_a_model_of_the_bulk_flags_what_is_not_bulk():
    """Held-out crystals pass; surfaces, free atoms, other phases and compression do not."""
    config = E3NNPotential.Config(species=(14,), channels=4, l_max=2, correlation=3, n_basis=6)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        reader = FeatureReader(E3NNPotential(config).double().eval())

    def invariants(atoms: Atoms) -> torch.Tensor:
        graph = graph_from_atoms(atoms, config.cutoff)
        with torch.no_grad():
            return reader(edge_vectors(graph), graph.edge_index, graph.numbers).invariants

    def crystal(seed: int) -> Atoms:
        atoms = bulk("Si", a=5.43, cubic=True)
        random = np.random.default_rng(seed)
        atoms.set_cell(atoms.cell.array * (1 + random.uniform(-0.02, 0.02)), scale_atoms=True)
        atoms.positions += random.normal(0, 0.08, (len(atoms), 3))
        return atoms

    measure = ExtrapolationMeasure.fit({14: torch.cat([invariants(crystal(k)) for k in range(80)])})
    held_out = torch.cat([invariants(crystal(k)) for k in range(100, 120)])
    distances = measure.distances(held_out, numbers(len(held_out)))
    measure.thresholds[0] = float(np.quantile(distances.numpy(), 0.99))
    fresh = torch.cat([invariants(crystal(k)) for k in range(200, 220)])

    def grades(rows: torch.Tensor) -> torch.Tensor:
        return measure.grades(rows, numbers(len(rows)))

    assert float((grades(fresh) > 1).double().mean()) < 0.05
    strange = {
        "surface": diamond100("Si", (2, 2, 4), vacuum=6.0),
        "atom": Atoms("Si"),
        "fcc": bulk("Si", "fcc", a=3.87),
        "compressed": bulk("Si", a=5.43 * 0.9),
    }
    worst = {name: float(grades(invariants(atoms)).max()) for name, atoms in strange.items()}
    assert all(grade > 1.5 for grade in worst.values()), worst


# -- the watch ----------------------------------------------------------------------------------


class Wary(Calculator):
    """Effective-medium theory whose grade of an atom is how far it is from where it started."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, atoms: Atoms) -> None:
        super().__init__()
        self.start, self.theory = atoms.positions.copy(), EMT()

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] = self.theory.get_potential_energy(self.atoms)
        self.results["forces"] = self.theory.get_forces(self.atoms)

    def get_extrapolation(self, atoms: Atoms) -> np.ndarray:
        return 10.0 * np.linalg.norm(atoms.positions - self.start, axis=1)


@pytest.fixture
def atoms() -> Atoms:
    """Return copper of which one atom is on its way out."""
    atoms = bulk("Cu", cubic=True)
    atoms.calc = Wary(atoms)
    velocities = np.zeros((4, 3))
    velocities[2, 0] = 0.01 / units.fs  # 0.01 Å per fs
    atoms.set_velocities(velocities)
    return atoms


def test_dynamics_stop_where_known_ground_ends(atoms, tmp_path):
    file = tmp_path / "odd.xyz"
    dynamics = VelocityVerlet(atoms, timestep=2.0 * units.fs)
    dynamics.attach(StopOnExtrapolation(atoms, limit=1.5, file=file))
    with pytest.raises(ExtrapolationError, match=r"1 of 4 atoms .* atom 2 \(Cu\)") as caught:
        dynamics.run(100)
    assert 0 < dynamics.nsteps < 30
    kept = read(file)
    assert np.allclose(kept.positions, atoms.positions)
    assert kept.arrays["extrapolation"][2] > 1.5 > kept.arrays["extrapolation"][0]
    assert np.allclose(caught.value.atoms.positions, atoms.positions)
    assert str(file) in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["odd.xyz"]


def test_warning_goes_on_and_keeps_the_frames_of_rising_grade(atoms, tmp_path):
    watch = StopOnExtrapolation(atoms, limit=1.5, action="warn", file=tmp_path / "odd.xyz")
    dynamics = VelocityVerlet(atoms, timestep=2.0 * units.fs)
    dynamics.attach(watch, interval=5)
    with pytest.warns(AccuracyWarning, match="guesses"):
        dynamics.run(20)
    assert dynamics.nsteps == 20
    grades = [frame.arrays["extrapolation"].max() for frame in read(tmp_path / "odd.xyz", ":")]
    assert 1 <= len(grades) == len(watch.frames) <= 4
    assert grades == sorted(grades)
    assert grades[-1] == pytest.approx(watch.highest)


def test_who_goes_on_beyond_the_limit_is_stopped_again(atoms, monkeypatch, tmp_path):
    """Also where the grade is lower than it was at the first stop."""
    watch = StopOnExtrapolation(atoms, file=tmp_path / "odd.xyz")
    for grade in (3.0, 2.0):
        monkeypatch.setattr(atoms.calc, "get_extrapolation", lambda _, g=grade: np.full(4, g))
        with pytest.raises(ExtrapolationError, match=f"grade {grade}"):
            watch()
    assert watch.highest == 3.0
    kept = [frame.arrays["extrapolation"][0] for frame in read(tmp_path / "odd.xyz", ":")]
    assert kept == [3.0, 2.0]


def test_a_file_of_one_structure_keeps_the_last(atoms, monkeypatch, tmp_path):
    watch = StopOnExtrapolation(atoms, action="warn", file=tmp_path / "POSCAR")
    for grade in (3.0, 4.0):
        atoms.positions[0] += 0.1
        monkeypatch.setattr(atoms.calc, "get_extrapolation", lambda _, g=grade: np.full(4, g))
        with pytest.warns(AccuracyWarning, match=f"grade {grade}"):
            watch()
    assert np.allclose(read(tmp_path / "POSCAR").positions, atoms.positions)


def test_nothing_happens_on_known_ground(atoms, tmp_path):
    watch = StopOnExtrapolation(atoms, limit=50.0, file=tmp_path / "odd.xyz")
    options = {"friction": 0.01, "fixcm": False, "rng": np.random.default_rng(0)}
    dynamics = Langevin(atoms, 1.0 * units.fs, temperature_K=10, **options)
    dynamics.attach(watch, interval=2)
    dynamics.run(6)
    assert 0 < watch.highest < 50 and not watch.frames
    assert not list(tmp_path.iterdir())


def test_an_optimizer_is_watched_too(atoms):
    atoms.positions[1] += 0.3
    optimizer = BFGS(atoms, logfile=None)
    optimizer.attach(StopOnExtrapolation(atoms, limit=2.0))
    with pytest.raises(ExtrapolationError, match="limit is 2"):
        optimizer.run(fmax=1e-4, steps=50)


def test_a_grade_that_is_no_number_is_beyond_every_limit(atoms, monkeypatch):
    for odd in (np.nan, np.inf):
        grades = np.array([0.0, odd, 0, 0])
        monkeypatch.setattr(atoms.calc, "get_extrapolation", lambda _, g=grades: g)
        with pytest.raises(ExtrapolationError, match="grade inf"):
            StopOnExtrapolation(atoms)()


def test_the_error_survives_pickling(atoms):
    error = ExtrapolationError("far", atoms.copy())
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == "far" and len(again.atoms) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [({"action": "shout"}, "stop or warn"), ({"limit": 0}, "positive")],
    ids=["action", "limit"],
)
def test_wrong_options_are_refused(atoms, options, message):
    with pytest.raises(InputError, match=message):
        StopOnExtrapolation(atoms, **options)


def test_only_a_calculator_that_knows_can_be_watched(tmp_path):
    atoms = bulk("Cu", cubic=True)
    with pytest.raises(InputError, match="no calculator"):
        StopOnExtrapolation(atoms)
    atoms.calc = EMT()
    with pytest.raises(InputError, match="atoms with EMT"):
        StopOnExtrapolation(atoms)
    atoms.calc = Wary(atoms)
    with pytest.raises(InputError, match="does not exist"):
        StopOnExtrapolation(atoms, file=tmp_path / "nowhere" / "odd.xyz")
    for name in ("odd.exyz", "odd", "odd.dump"):  # ASE reads, but does not write the last
        with pytest.raises(InputError, match=r"Name it \.xyz"):
            StopOnExtrapolation(atoms, file=tmp_path / name)
    with pytest.raises(InputError, match="it is a folder"):
        StopOnExtrapolation(atoms, file=tmp_path)
