"""X-rays: phonopy's dynamic structure factor from the same modes, and what only neutrons have."""

from functools import partial

import numpy as np
import pytest

from scatterml_ase import PathScattering, PowderScattering, load_result
from scatterml_ase.errors import InputError
from scatterml_ase.physics.form_factors import coefficients, form_factor
from scatterml_ase.scattering.one_phonon import one_phonon, structure_factors
from scatterml_ase.scattering.probe import NeutronProbe
from scatterml_ase.scattering.scatterer import Scatterer
from scatterml_ase.units import ELECTRON_RADIUS, FM2_TO_MBARN, HBAR2_PER_AMU, THZ_TO_MEV

TEMPERATURE = 300.0
STILL = np.zeros((2, 3, 3))
IONS = {"Si": "Si4+"}


def merged(frequencies, values):
    """Sum values over degenerate modes: a mode's own share is not defined within such a set."""
    result = []
    for energies, row in zip(frequencies, values, strict=True):
        _, inverse = np.unique(np.round(energies, 4), return_inverse=True)
        result.append(np.bincount(inverse.reshape(-1), row))
    return np.concatenate(result)


@pytest.mark.parametrize("ions", [None, IONS], ids=["atoms", "ions"])
def test_phonopy_has_the_same_structure_factors(zincblende, ions):
    """A crystal without inversion: the phase between its atoms matters, and so does f(Q)."""
    from phonopy.physical_units import get_physical_units
    from phonopy.spectrum.dynamic_structure_factor import atomic_form_factor_WK1995

    names = {symbol: (ions or {}).get(symbol, symbol) for symbol in ("Si", "C")}
    plain = {}
    for symbol, name in names.items():
        a, b, c = coefficients(name)
        plain[symbol] = [*np.stack([a, b], axis=1).reshape(-1), c]
    phonopy = zincblende.to_phonopy()
    phonopy.run_mesh([5, 5, 5], is_mesh_symmetry=False, with_eigenvectors=True)
    phonopy.run_thermal_displacement_matrices(temperatures=[TEMPERATURE], freq_min=1e-2)
    displacements = phonopy.thermal_displacement_matrices.thermal_displacement_matrices[0]
    hkl = np.random.default_rng(5).uniform(-4, 4, size=(60, 3))
    phonopy.run_dynamic_structure_factor(
        hkl,
        TEMPERATURE,
        atomic_form_factor_func=lambda symbol, s: atomic_form_factor_WK1995(s, plain[symbol]),
        freq_min=1e-2,
    )
    theirs = phonopy.dynamic_structure_factor
    ours = one_phonon(
        zincblende, hkl, TEMPERATURE, reduced=True, displacements=displacements.real,
        probe="xray", ions=ions,
    )  # fmt: skip
    energies = theirs.frequencies * THZ_TO_MEV
    np.testing.assert_allclose(ours.frequencies, energies, rtol=1e-6)
    units = get_physical_units()  # theirs is in m²/J per cell, with amplitudes in Å
    squares = theirs.dynamic_structure_factors * (units.AMU * (2 * np.pi * units.THz) ** 2)
    factor = HBAR2_PER_AMU / THZ_TO_MEV * ELECTRON_RADIUS**2 * FM2_TO_MBARN / 2
    expected = merged(energies, squares * factor)
    values = merged(ours.frequencies, ours.loss)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-7 * expected.max())


def test_neutrons_with_the_lengths_of_one_q_see_what_x_rays_see_there(zincblende):
    Q = np.array([[2.1, 0.4, -1.3]])
    length = float(np.linalg.norm(Q))
    lengths = {name: ELECTRON_RADIUS * float(form_factor(name, length)) for name in ("Si", "C")}
    still = {"displacements": STILL}
    neutrons = one_phonon(zincblende, Q, TEMPERATURE, scattering_lengths=lengths, **still)
    xrays = one_phonon(zincblende, Q, TEMPERATURE, probe="xray", **still)
    np.testing.assert_allclose(xrays.loss, neutrons.loss, rtol=1e-12)
    np.testing.assert_allclose(xrays.gain, neutrons.gain, rtol=1e-12)


def test_a_path_is_the_sum_over_its_modes(zincblende, tmp_path):
    """Each column holds the strength of its modes, whatever the bins; the file keeps the probe."""
    analyzer = PathScattering(TEMPERATURE, path="GX", zone=(2, 2, 0), points=12, energy_fwhm=0.5,
                              energy_edges=np.linspace(-160, 160, 321), displacements=STILL,
                              probe="xray", ions=IONS)  # fmt: skip
    sqw = analyzer(zincblende)
    prepare = partial(Scatterer.prepare, zincblende, TEMPERATURE, displacements=STILL)
    factors = structure_factors(prepare(probe="xray", ions=IONS), sqw.q_reduced, reduced=True)
    found = np.nansum(sqw.intensity[1:], axis=1) * 1.0
    np.testing.assert_allclose(found, (factors.loss + factors.gain)[1:].sum(axis=1), rtol=1e-6)
    sqw.save(tmp_path / "ixs.nxs")
    provenance = load_result(tmp_path / "ixs.nxs").provenance
    assert provenance["probe"] == "xray"
    assert provenance["form_factors"] == ("Si4+", "C")
    assert provenance["polarization_factor"] == "left out"


def test_a_powder_of_x_rays_is_no_powder_of_neutrons_but_scatters_at_the_same_energies(zincblende):
    options = {
        "q_edges": np.linspace(1, 5, 5), "energy_edges": np.linspace(1, 150, 31),
        "tolerance": 0.5, "maximum_wavevectors": 2000, "displacements": STILL, "progress": False,
    }  # fmt: skip
    xrays = PowderScattering(TEMPERATURE, probe="xray", **options)(zincblende)
    neutrons = PowderScattering(TEMPERATURE, **options)(zincblende)
    assert np.all((xrays.intensity > 0) <= (neutrons.intensity > 0))
    shares = [sqw.intensity[:, 20:].sum() / sqw.intensity.sum() for sqw in (xrays, neutrons)]
    assert shares[0] < 0.8 * shares[1]  # carbon, which moves at high energies, has few electrons
    # Σ_E E·S without interference is Σ_k (r_e f_k)² Q² ħ²/2M_k, and shells average that away.
    centres = xrays.q_centres
    amplitudes = {name: ELECTRON_RADIUS * form_factor(name, centres) for name in ("Si", "C")}
    masses = zincblende.crystal.masses
    squares = sum(a**2 / m for a, m in zip(amplitudes.values(), masses, strict=True)) / 2
    net = 1 - np.exp(-xrays.energy_centres / (8.617333e-2 * TEMPERATURE))
    moment = (xrays.intensity * net * xrays.energy_centres).sum(axis=1) * np.diff(
        xrays.energy_transfer
    )[0]
    expected = HBAR2_PER_AMU / 2 * FM2_TO_MBARN * squares * centres**2
    np.testing.assert_allclose(moment[1:] / expected[1:], 1.0, atol=0.25)


def test_atoms_of_unlike_charge_are_not_equivalent(zincblende):
    scatterer = Scatterer.prepare(zincblende, TEMPERATURE, displacements=STILL, probe="xray")
    assert scatterer.symmetric
    assert not scatterer.probe.unchanged_by(np.array([[1, 0]]))
    with pytest.raises(InputError, match="no scattering lengths"):
        _ = scatterer.lengths


def test_neutrons_are_as_they_were(zincblende):
    """Lengths are handed on as they are: no number changes and nothing is computed per Q."""
    scatterer = Scatterer.prepare(zincblende, TEMPERATURE, displacements=STILL)
    assert isinstance(scatterer.probe, NeutronProbe)
    assert scatterer.probe.amplitude_factors(np.ones((5, 3))) is scatterer.lengths
    assert scatterer.real_parts()[0].probe is scatterer.probe


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probe": "muon"}, "probe='muon' is not known"),
        ({"ions": IONS}, "ions was given with probe='neutron'"),
        ({"probe": "xray", "scattering_lengths": {"Si": 4.0}}, "scattering_lengths was given"),
        ({"probe": "xray", "instrument": "ARCS", "incident_energy": 100}, "instrument='ARCS'"),
        ({"probe": "xray", "order": "all"}, "order='all'"),
        ({"probe": "xray", "incoherent": True}, "incoherent=True"),
    ],
)
def test_options_of_the_other_probe_are_refused(zincblende, options, message):
    with pytest.raises(InputError, match=message):
        PowderScattering(progress=False, **options)(zincblende)
