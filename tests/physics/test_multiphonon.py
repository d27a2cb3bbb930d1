"""Scattering by any number of phonons obeys sum rules, limits, and other ways to compute it."""

import numpy as np
import pytest
from scipy.special import ive

from scatterml_ase.errors import InputError
from scatterml_ase.physics import multiphonon
from scatterml_ase.physics.density_of_states import isotropic_displacements
from scatterml_ase.units import BOLTZMANN, HBAR2_PER_AMU

ALUMINIUM = 26.98
EDGES = np.linspace(0.0, 40.0, 401)


def density(energies):
    """Rise as E², peak twice, end at 40 meV: the shape of aluminium's density of states."""
    peaks = 0.7 * np.exp(-(((energies - 22) / 4) ** 2)) + 1.5 * np.exp(
        -(((energies - 36) / 1.5) ** 2)
    )
    return np.where(
        energies < 40,
        (energies / 20) ** 2 / (1 + (energies / 20) ** 8) + peaks * (energies / 40) ** 2,
        0.0,
    )


def counts(edges=EDGES):
    """Integrate the density over bins: three-point Gauss–Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(3)
    energies = edges[:-1, None] + np.diff(edges)[:, None] * (nodes + 1) / 2
    values = np.diff(edges) * (density(energies) @ weights) / 2
    return values / values.sum()


def aluminium(temperature, step=0.1):
    return multiphonon.one_phonon_spectrum(EDGES, counts(), temperature, step)


def scattering(one, q, mass=ALUMINIUM, orders=None):
    """Return energies, the content of each cell for every order, and the elastic share."""
    orders = orders or multiphonon.needed_orders(q**2 * one.displacement(mass))
    weights = multiphonon.phonon_probabilities(
        np.array([q]), one.displacement(mass) * np.eye(3), orders
    )[:, 0]
    content = np.zeros((orders, 2 * orders * one.highest + 1))
    middle = orders * one.highest
    for n, loss in enumerate(multiphonon.n_phonon_spectra(one, orders), start=1):
        both = multiphonon.both_signs(loss, one.step, one.temperature)
        reach = n * one.highest
        content[n - 1, middle - reach : middle + reach + 1] = weights[n] * both
    return one.step * (np.arange(content.shape[1]) - middle), content, weights[0]


# -- sum rules ------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.0, 5.0, 300.0, 900.0])
@pytest.mark.parametrize("q", [1.0, 12.0, 25.0])
def test_first_moment_is_the_recoil_energy(temperature, q):
    energies, content, _ = scattering(aluminium(temperature), q)
    recoil = HBAR2_PER_AMU * q**2 / (2 * ALUMINIUM)
    assert energies @ content.sum(axis=0) == pytest.approx(recoil, rel=1e-8)


@pytest.mark.parametrize("temperature", [0.0, 5.0, 300.0, 900.0])
@pytest.mark.parametrize("q", [1.0, 12.0, 25.0])
def test_elastic_line_and_all_orders_are_one(temperature, q):
    _, content, elastic = scattering(aluminium(temperature), q)
    assert elastic + content.sum() == pytest.approx(1.0, abs=1e-10)


def test_second_moment_is_that_of_the_kinetic_energy():
    """⟨(E − E_r)²⟩ = 4/3 E_r ⟨kinetic energy⟩, and that is 3/4 ∫ g E coth(E/2kT)."""
    energies, content, _ = scattering(aluminium(300.0), 14.0)
    recoil = HBAR2_PER_AMU * 14.0**2 / (2 * ALUMINIUM)
    centres = (EDGES[1:] + EDGES[:-1]) / 2
    kinetic = 0.75 * np.sum(counts() * centres / np.tanh(centres / (2 * BOLTZMANN * 300.0)))
    variance = energies**2 @ content.sum(axis=0) - recoil**2
    assert variance == pytest.approx(4 / 3 * recoil * kinetic, rel=1e-4)


@pytest.mark.parametrize("temperature", [5.0, 77.0, 300.0])
def test_detailed_balance(temperature):
    """S(−E) = exp(−E/kT) S(E), point by point, in every order."""
    energies, content, _ = scattering(aluminium(temperature), 10.0)
    half = len(energies) // 2
    factor = np.exp(-energies[half:] / (BOLTZMANN * temperature))
    loss, gain = content[:, half:], content[:, half::-1]
    for one, other in zip(gain, loss * factor, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-8 * one.max())


def test_the_convolution_keeps_detailed_balance_by_itself():
    """Joined by hand at +E, checked at −E: the transform has not been cut off or wrapped around."""
    one = aluminium(300.0)
    full = multiphonon.both_signs(one.loss, one.step, 300.0)
    direct = np.convolve(np.convolve(full, full), full)
    third = list(multiphonon.n_phonon_spectra(one, 3))[2]
    ours = multiphonon.both_signs(third, one.step, 300.0)
    np.testing.assert_allclose(ours, direct, rtol=0, atol=1e-13 * direct.max())


def test_displacement_is_that_of_the_density_of_states():
    for temperature in (0.0, 300.0):
        expected = isotropic_displacements(
            3 * counts()[None], EDGES, np.array([ALUMINIUM]), np.array([temperature])
        )[0, 0, 0, 0]
        assert aluminium(temperature).displacement(ALUMINIUM) == pytest.approx(expected, rel=2e-5)


def test_no_energy_is_gained_at_zero_temperature():
    energies, content, _ = scattering(aluminium(0.0), 10.0)
    assert not content[:, energies < -1e-9].any()
    assert content.min() >= 0.0


# -- other ways to compute it ---------------------------------------------------------------------


def brute_force(q, temperature, energies):
    """Sum the orders by direct convolution of G(E) on a fine grid, without symmetry or FFT."""
    step = 0.1
    axis = step * np.arange(-400, 401)
    reach = np.abs(axis)
    with np.errstate(divide="ignore", invalid="ignore"):
        first = density(reach) / (axis * -np.expm1(-axis / (BOLTZMANN * temperature)))
    first[400] = density(step) / step**2 * BOLTZMANN * temperature  # the limit: g goes as E²
    norm = np.trapezoid(density(axis[axis >= 0]), dx=step)
    gamma = np.trapezoid(first, dx=step) / norm
    first /= np.trapezoid(first, dx=step)
    exponent = HBAR2_PER_AMU * q**2 * gamma / (2 * ALUMINIUM)
    total, power, weight, n = np.zeros(len(energies)), np.ones(1), np.exp(-exponent), 0
    while weight > 1e-9 or n < exponent:
        n += 1
        weight *= exponent / n
        power = first if n == 1 else np.convolve(power, first) * step
        middle = len(power) // 2
        total += weight * np.interp(energies, step * (np.arange(len(power)) - middle), power)
    return total


@pytest.mark.parametrize("q", [1.0, 4.0, 9.0, 16.0, 25.0])
def test_direct_convolution_gives_the_same_kernel(q):
    """An independent sum to 1e-3 of the maximum, at every energy."""
    energies = np.arange(-60.0, 150.0, 0.3)
    expected = brute_force(q, 300.0, energies)
    lattice, content, _ = scattering(aluminium(300.0), q)
    found = np.interp(energies, lattice, content.sum(axis=0) / 0.1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 * expected.max())
    assert np.abs(found - expected).sum() < 1e-3 * expected.sum()


# NCrystal 4.4.6 (Apache licence), given ``density`` on 400 points of a crystal of 300 K, vdoslux=5:
# S(Q, E) in 1/meV at |Q| in Å⁻¹ and energy losses in meV, of one scattering atom of aluminium.
NCRYSTAL_ENERGIES = [-24.920009, -9.940003, 4.973335, 14.960005, 24.920009,
                     35.020012, 49.879069, 69.637181, 100.50923]  # fmt: skip
NCRYSTAL = {
    0.98540088: [5.478377e-05, 2.990515e-04, 4.025902e-04, 4.427667e-04, 1.436447e-04,
                 1.713332e-04, 4.225429e-07, 2.570976e-08, 1.369421e-11],
    4.00271727: [8.695204e-04, 4.161439e-03, 5.646664e-03, 6.142147e-03, 2.279909e-03,
                 2.462704e-03, 1.055146e-04, 9.776094e-06, 1.009402e-07],
    9.00386801: [3.374876e-03, 1.070466e-02, 1.485774e-02, 1.571140e-02, 8.849028e-03,
                 7.650052e-03, 1.848155e-03, 4.043571e-04, 2.598902e-05],
    16.00205306: [4.505534e-03, 8.637302e-03, 1.202678e-02, 1.298824e-02, 1.181365e-02,
                  1.040273e-02, 6.889967e-03, 3.441882e-03, 8.316318e-04],
    24.98262707: [2.831152e-03, 4.287784e-03, 5.824917e-03, 6.734367e-03, 7.423366e-03,
                  7.828528e-03, 7.818277e-03, 6.833043e-03, 4.249381e-03],
}  # fmt: skip


@pytest.mark.parametrize("q", NCRYSTAL)
def test_ncrystal_has_the_same_kernel(q):
    """Its Sjölander expansion is on other grids; apart from E = 0 it agrees to 2e-4 of the maximum.

    In the bins next to E = 0 the two continue the density of states differently: there, not tested,
    they are 3 % of the maximum apart.
    """
    lattice, content, _ = scattering(aluminium(300.0), q, mass=26.9815384)
    density_of_losses = content.sum(axis=0) / 0.1
    found = np.interp(NCRYSTAL_ENERGIES, lattice, density_of_losses)
    largest = density_of_losses.max()
    np.testing.assert_allclose(found, NCRYSTAL[q], rtol=0, atol=2e-4 * largest)


@pytest.mark.parametrize("temperature", [30.0, 300.0, 1500.0])
def test_einstein_oscillator(temperature):
    """All atoms at E_0: weights at m E_0 are modified Bessel functions (Squires).

    S(m) = exp(−2W + m E_0/2kT) I_m(ħ²Q²/(2ME_0) / sinh(E_0/2kT)); doi 10.1017/CBO9781139107808.
    """
    energy, mass, q = 20.0, 12.0, 9.0
    edges = np.array([0.0, energy - 1e-6, energy + 1e-6])
    one = multiphonon.one_phonon_spectrum(edges, np.array([0.0, 1.0]), temperature, energy / 50)
    lattice, content, elastic = scattering(one, q, mass)
    half = energy / (2 * BOLTZMANN * temperature)
    strength = HBAR2_PER_AMU * q**2 / (2 * mass * energy)
    z = strength / np.sinh(half)
    exponent = strength / np.tanh(half)
    total = content.sum(axis=0)
    for m in range(-3, 9):
        at = np.abs(lattice - m * energy) < 0.3
        found = total[at].sum() + (elastic if m == 0 else 0.0)
        expected = np.exp(-exponent + m * half + z) * ive(abs(m), z)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_high_q_is_free_recoil():
    """The lines merge into a Gaussian at the recoil energy, as wide as atoms move."""
    q = 40.0
    energies, content, elastic = scattering(aluminium(900.0, step=0.2), q)
    total = content.sum(axis=0) / 0.2
    recoil = HBAR2_PER_AMU * q**2 / (2 * ALUMINIUM)
    variance = 2 * recoil * BOLTZMANN * 900.0
    gauss = np.exp(-((energies - recoil) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    assert elastic < 1e-12
    assert np.abs(total - gauss).sum() * 0.2 < 0.03


def test_tosca_of_a_cubic_solid_by_abins_formula():
    """Cubic sites, along TOSCA's |Q|(E): Abins' sums over modes, written out on their own.

    With A = Σ_ν B_ν coth(E_ν/2kT), one quantum scatters as Q²Tr B_ν/3 exp(−Q²Tr A/3) coth, two as
    Q⁴/30 (Tr B_ν Tr B_μ + 2 B_ν:B_μ), which is (Q²b_ν)(Q²b_μ)/2 for B = b·1 (K. Dymkowski et al.,
    doi 10.1016/j.physb.2018.02.034). Abins puts loss and gain on the loss side; here kT ≪ E, where
    both define the same.
    """
    temperature, mass = 5.0, 30.0
    step, energies = 0.5, 0.5 * np.arange(40, 121)  # modes from 20 to 60 meV
    weights = density(energies / 1.6)
    weights /= weights.sum()
    b = HBAR2_PER_AMU / (2 * mass) * weights / energies  # B_ν = b_ν 1, already over 3 modes
    trace_a = np.sum(3 * b / np.tanh(energies / (2 * BOLTZMANN * temperature)))
    transfer = step * np.arange(0, 260)
    q = np.sqrt(
        ((transfer + 3.97) + 3.97 + 2 * np.sqrt((transfer + 3.97) * 3.97) * 0.5**0.5) / 2.0721248
    )
    one_quantum, two_quanta = np.zeros(260), np.zeros(260)
    for e, strength in zip(energies, b, strict=True):
        one_quantum[round(e / step)] += 3 * strength / 3
        for other, second in zip(energies, b, strict=True):
            pairs = (3 * strength * 3 * second + 2 * 3 * strength * second) / 30
            two_quanta[round((e + other) / step)] += pairs
    damping = np.exp(-(q**2) * trace_a / 3)
    edges = np.concatenate([[0.0], (energies[:, None] + [-1e-6, 1e-6]).ravel()])
    shares = np.zeros(len(edges) - 1)
    shares[1::2] = weights
    one = multiphonon.one_phonon_spectrum(edges, shares, temperature, step)
    displacement = one.displacement(mass) * np.eye(3)
    probabilities = multiphonon.phonon_probabilities(q, displacement, 2)
    for n, loss in enumerate(multiphonon.n_phonon_spectra(one, 2), start=1):
        found = np.zeros(260)
        found[: min(len(loss), 260)] = loss[:260]
        expected = damping * (q**2 * one_quantum if n == 1 else q**4 * two_quanta)
        assert expected.max() > 0
        np.testing.assert_allclose(
            found * probabilities[n], expected, rtol=1e-4, atol=1e-12 * expected.max()
        )


# -- parts ----------------------------------------------------------------------------------------


def test_the_lattice_does_not_matter():
    """Bins hold the same on a lattice four times finer, to the resolution of the lattice."""
    bins = np.linspace(-30, 60, 31)
    found = []
    for step in (0.1, 0.025):
        one = aluminium(300.0, step)
        spectra = multiphonon.n_phonon_spectra(one, 3)
        found.append([multiphonon.into_bins(loss, step, 300.0, bins) for loss in spectra])
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=2e-4 * np.max(found[0]))


@pytest.mark.parametrize("temperature", [0.0, 300.0, 2000.0])
def test_what_is_looked_at_does_not_change_what_is_there(temperature):
    """Fewer cells are yielded when only low energies are wanted, with the same content."""
    one = aluminium(temperature)
    whole = list(multiphonon.n_phonon_spectra(one, 12))
    for reach in (3.0, 50.0, 300.0):
        some = list(multiphonon.n_phonon_spectra(one, 12, highest_energy=reach))
        for a, b in zip(whole, some, strict=True):
            assert len(b) == min(len(a), round(reach / 0.1) + 2)
            np.testing.assert_allclose(a[: len(b)], b, rtol=0, atol=1e-14 * a.max())


def test_bins_share_what_the_cells_hold():
    """Nothing is lost between the cells and bins, whatever the bins."""
    one = aluminium(300.0)
    bins = np.concatenate([[-50.0], np.sort(np.random.default_rng(1).uniform(-45, 45, 40)), [50.0]])
    assert multiphonon.into_bins(one.loss, one.step, 300.0, bins).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("exponent", [1e-6, 0.3, 5.0, 80.0])
def test_orders_needed_leave_out_what_is_said(exponent):
    """The share of more phonons is below 1e-12, with one order fewer it is not."""
    orders = multiphonon.needed_orders(exponent)
    assert multiphonon.truncation_error(exponent, orders) < 1e-12
    if orders > 1:
        assert multiphonon.truncation_error(exponent, orders - 1) >= 1e-12


def test_an_exponent_too_large_is_explained():
    with pytest.raises(InputError, match="smaller"):
        multiphonon.needed_orders(1e4)


def test_a_density_of_imaginary_modes_alone_is_refused():
    with pytest.raises(InputError, match="positive energy"):
        multiphonon.one_phonon_spectrum(
            np.array([-5.0, -1.0, 3.0]), np.array([1.0, 0.0]), 10.0, 0.1
        )


def test_imaginary_modes_are_missing_from_the_recoil():
    """A fifth of the modes below zero: four fifths of the recoil energy are left."""
    edges = np.concatenate([[-8.0, -2.0], EDGES])
    shares = np.concatenate([[0.2, 0.0], 0.8 * counts()])
    one = multiphonon.one_phonon_spectrum(edges, shares, 300.0, 0.1)
    energies, content, _ = scattering(one, 5.0)
    recoil = HBAR2_PER_AMU * 25.0 / (2 * ALUMINIUM)
    assert energies @ content.sum(axis=0) == pytest.approx(0.8 * recoil, rel=1e-8)


# -- anisotropy -----------------------------------------------------------------------------------


@pytest.mark.parametrize("principal", [(0.01, 0.01, 0.05), (0.002, 0.02, 0.09), (0.03, 0.03, 0.03)])
def test_numbers_of_phonons_are_averaged_over_directions(principal):
    """The same as a plain mean over very many directions, whatever the axes of the tensor."""
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    tensor = rotation @ np.diag(principal) @ rotation.T
    cosine = (np.arange(400) + 0.5) / 400
    angle = 2 * np.pi * (np.arange(400) + 0.5) / 400
    sine = np.sqrt(1 - cosine**2)
    vectors = np.stack([np.outer(sine, np.cos(angle)), np.outer(sine, np.sin(angle)),
                        np.outer(cosine, np.ones(400))], axis=-1).reshape(-1, 3)  # fmt: skip
    q = np.array([0.0, 2.0, 6.0, 10.0])
    found = multiphonon.phonon_probabilities(q, tensor, 6)
    exponents = q[:, None] ** 2 * np.einsum("da,ab,db->d", vectors, tensor, vectors)
    term = np.exp(-exponents)
    for n in range(7):
        if n:
            term = term * exponents / n
        np.testing.assert_allclose(found[n], term.mean(axis=1), rtol=2e-5, atol=1e-9)


def test_mean_number_of_phonons_is_the_trace():
    tensor = np.diag([0.005, 0.02, 0.06])
    q = np.array([3.0, 9.0])
    found = multiphonon.phonon_probabilities(q, tensor, 60)
    np.testing.assert_allclose(found.sum(axis=0), 1.0, rtol=1e-10)
    np.testing.assert_allclose(np.arange(61) @ found, q**2 * np.trace(tensor) / 3, rtol=1e-10)
