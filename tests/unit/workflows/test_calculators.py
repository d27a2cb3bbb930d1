import sys
import types

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from scatterml_ase.errors import InputError
from scatterml_ase.workflows.calculators import (
    KNOWN_CALCULATORS,
    make_calculator,
    require_results,
)


def test_a_calculator_passes_through():
    calculator = EMT()
    assert make_calculator(calculator) is calculator


def test_emt_is_known_by_name():
    assert isinstance(make_calculator("emt"), EMT)


@pytest.mark.parametrize("name", sorted(set(KNOWN_CALCULATORS) - {"emt"}))
def test_a_package_that_is_not_installed_comes_with_its_pip_line(name, monkeypatch):
    for package in ("chgnet", "mace", "matgl", "nequip"):
        monkeypatch.setitem(sys.modules, package, None)  # importing it now fails
    with pytest.raises(InputError, match=rf"{name}.*cannot be imported.*pip install"):
        make_calculator(f"{name}:model")


def test_nequip_asks_for_the_path_of_a_model():
    with pytest.raises(InputError, match="nequip:PATH"):
        make_calculator("nequip")


@pytest.fixture
def package(monkeypatch):
    module = types.ModuleType("my_package")
    module.make = lambda: LennardJones(sigma=2.0)
    module.ready = LennardJones()
    module.number = 7
    module.make_nothing = lambda: None
    module.fail = lambda: 1 / 0
    module.Holder = types.SimpleNamespace(make=module.make)
    monkeypatch.setitem(sys.modules, "my_package", module)


@pytest.mark.parametrize("attribute", ["make", "ready", "Holder.make"])
def test_any_factory_of_any_package_is_called(package, attribute):
    assert isinstance(make_calculator(f"my_package:{attribute}"), LennardJones)


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ("no_such_package:make", "importing 'no_such_package' fails"),
        ("my_package:missing", "'missing' is not in 'my_package'"),
        ("my_package:number", "a int, which cannot be called"),
        ("my_package:make_nothing", "no ASE calculator"),
        ("my_package:fail", "ZeroDivisionError"),
        (":make", "Empty module name"),
    ],
)
def test_wrong_factories_say_what_is_wrong(package, choice, reason):
    with pytest.raises(InputError, match=reason):
        make_calculator(choice)


def test_an_unknown_name_lists_what_is_known():
    with pytest.raises(InputError, match=r"No calculator 'vaps'.*emt.*package\.module:factory"):
        make_calculator("vaps")


def test_a_class_or_atoms_are_no_calculator():
    with pytest.raises(InputError, match="no ASE calculator"):
        make_calculator(EMT)
    with pytest.raises(InputError, match="no ASE calculator"):
        make_calculator(bulk("Cu"))


def test_a_model_folder_that_is_missing_or_damaged_says_so(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        make_calculator(f"model:{tmp_path / 'nowhere'}")
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(InputError, match=r"card\.json"):
        make_calculator(f"model:{tmp_path}")
    with pytest.raises(InputError, match=r"card\.json"):
        make_calculator(str(tmp_path))


def test_no_shipped_potential_for_exotic_elements():
    with pytest.raises(InputError, match=r"No shipped potential covers Pu.*--calculator chgnet"):
        make_calculator(None, atoms=bulk("Pu", "fcc", a=4.6))
    with pytest.raises(InputError, match="No calculator was given"):
        make_calculator(None)


def test_a_failing_calculator_is_named_with_its_reason():
    atoms = bulk("Si")
    atoms.calc = EMT()
    with pytest.raises(InputError, match=r"EMT cannot compute Si2.*Si.*--calculator"):
        require_results(atoms)
