"""The package as a whole: quiet, quick and pure on import, and complete in its wheel."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import scatterml_ase

ROOT = Path(scatterml_ase.__file__).parents[1]

PROBE = """
import json, sys, warnings
warnings.simplefilter("error")
import numpy, os
before = dict(os.environ), numpy.geterr()
import scatterml_ase
after = dict(os.environ), numpy.geterr()
suspects = ("torch", "e3nn", "phonopy", "matplotlib", "scipy")
heavy = [name for name in suspects if name in sys.modules]
print(json.dumps({"pure": before == after, "heavy": heavy}))
"""


def python(*arguments: str, **options) -> str:
    """Run a fresh interpreter; its output."""
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_changes_nothing_prints_nothing_and_loads_nothing_heavy():
    assert json.loads(python("-c", PROBE)) == {"pure": True, "heavy": []}


@pytest.mark.parametrize("name", scatterml_ase.__all__)
def test_every_public_name_exists_and_has_a_docstring(name):
    assert getattr(scatterml_ase, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = scatterml_ase.nothing


def test_importing_every_module_leaves_torchs_global_state_alone():
    """No default dtype, no thread count, no gradient mode is touched."""
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "scatterml_ase").rglob("*.py")
        if path.stem not in ("__init__", "__main__")
    )
    code = f"""
import importlib, torch
state = lambda: (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled())
import e3nn
before = state()
for name in {modules!r}:
    importlib.import_module(name)
assert state() == before
"""
    python("-c", code)


def test_a_wheel_carries_the_models_and_needs_nothing_of_the_checkout(tmp_path):
    """Installed from its wheel, the package finds its own models and the default calculator."""
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT))
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    python("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site),
           str(wheel), env={"PATH": "", "PIP_NO_INDEX": "1"})  # fmt: skip
    code = """
import scatterml_ase
from ase.build import bulk
from scatterml_ase import PotentialCalculator, list_models, load_model
from scatterml_ase.workflows.calculators import make_calculator
assert scatterml_ase.__file__.startswith(SITE), scatterml_ase.__file__
assert "si" in {card.name for card in list_models()}
assert load_model("si").card.name == "si"
atoms = bulk("Si")
atoms.calc = make_calculator(atoms=atoms)
assert isinstance(atoms.calc, PotentialCalculator)
assert atoms.get_potential_energy() < 0
""".replace("SITE", repr(str(site)))
    python("-c", code, env={"PYTHONPATH": str(site)}, cwd=tmp_path)
