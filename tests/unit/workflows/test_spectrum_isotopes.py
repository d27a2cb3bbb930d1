"""Isotopes by an option of the main job and of its command."""

import importlib

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from scatterml_ase import FiniteDisplacementPhonons, spectrum
from scatterml_ase.cli import main
from scatterml_ase.cli.jobs import Spectrum
from scatterml_ase.errors import InputError
from scatterml_ase.workflows.figure import draw_spectrum
from scatterml_ase.workflows.options import SpectrumOptions


def test_isotopes_change_frequencies_and_lengths():
    atoms = bulk("Cu", a=3.59)
    atoms.calc = EMT()
    copper = FiniteDisplacementPhonons(supercell=(2, 2, 2), stress_tolerance=1.0)(atoms)
    options = SpectrumOptions(
        isotopes="Cu->65Cu 80 %", mesh_spacing=0.6, q_max=2.0, tolerance=0.8, order=1,
        incoherent=False,
    )  # fmt: skip
    result = spectrum(copper, options=options)
    mass = 0.8 * 64.92779 + 0.2 * 63.546
    natural, changed = (
        f.modes([0.5, 0, 0.5]).frequencies for f in (copper, result.force_constants)
    )
    assert changed.max() / natural.max() == pytest.approx((63.546 / mass) ** 0.5, rel=1e-6)
    told = result.sqw[0].provenance["scattering_lengths_fm"]
    assert told["80% 65Cu + 20% Cu"][0] == pytest.approx(0.8 * 10.61 + 0.2 * 7.718)
    assert result.summary["options"]["isotopes"] == "Cu->65Cu 80 %"
    titles = [ax.get_title("left") for ax in draw_spectrum(result, result.sqw[0]).axes]
    assert titles[0].endswith(", Cu→65Cu 80 %")


@pytest.mark.parametrize(
    ("isotopes", "reason"),
    [("Cu to 65Cu", "is no isotopic substitution"), ("H->D", "replaces H: the crystal has Cu")],
)
def test_impossible_isotopes_are_refused_before_the_work(isotopes, reason, monkeypatch):
    module = importlib.import_module("scatterml_ase.workflows.relax")
    monkeypatch.setattr(module, "relax", lambda *_, **__: pytest.fail("something was relaxed"))
    with pytest.raises(InputError, match=reason):
        spectrum(bulk("Cu"), EMT(), SpectrumOptions(isotopes=isotopes))


def test_the_command_takes_isotopes(monkeypatch):
    taken = []
    monkeypatch.setattr(Spectrum, "run", lambda self: taken.append(self.physics.isotopes))
    main(["spectrum", "Cu", "--isotopes", "Cu→65Cu 80 %"])
    assert taken == ["Cu→65Cu 80 %"]
