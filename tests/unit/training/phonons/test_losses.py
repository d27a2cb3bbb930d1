"""Losses vanish where the prediction is the reference, and tell frequencies where it is not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import bulk

from scatterml_ase import ForceConstantsPredictor
from scatterml_ase.phonons.force_constants_model import ForceConstantsConfig, ForceConstantsModel
from scatterml_ase.phonons.harmonic_assembly import assemble
from scatterml_ase.store import save_model
from scatterml_ase.training.phonons.harmonic_loss import harmonic_loss, polarity_losses
from scatterml_ase.training.phonons.labelled import (
    Labelled,
    label_quantiles,
    labelled_batch,
    labelled_sample,
    spectrum_loss,
)
from scatterml_ase.training.phonons.metrics import LABEL_POINTS
from scatterml_ase.training.phonons.samples import harmonic_batch, harmonic_sample
from scatterml_ase.training.phonons.targets import harmonic_target
from scatterml_ase.units import INVERSE_CM_TO_MEV, ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV

SMALL = {
    "channels": 4, "l_max": 2, "layers": 1, "senders": 4, "width": 16, "equivariants": 2,
    "hidden": 16, "responses": (2, 1, 1), "charge_channels": 4, "cutoff": 5.0,
    "encoder_cutoff": 4.5, "response_cutoff": 4.0,
}  # fmt: skip
SUPERCELL = np.diag([6, 6, 6])  # no pair is ambiguous in it


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(1)
    made = ForceConstantsModel(ForceConstantsConfig(species=(11, 14, 17), **SMALL)).double()
    folder = tmp_path_factory.mktemp("models") / "small"
    save_model(made, folder, {"task": "force-constants"})
    return folder, made.eval()


def own_sample(model, atoms, polar):
    """Return the sample of a reference that the model itself predicts."""
    folder, _ = model
    predictor = ForceConstantsPredictor(model=folder, polar=polar)
    constants = predictor(atoms)
    if constants.supercell_matrix is None:
        constants = replace(constants, supercell_matrix=SUPERCELL)
    return harmonic_sample(harmonic_target("own", constants, seed=0), 5.0)


@pytest.mark.parametrize("polar", [False, True])
def test_the_loss_of_the_own_prediction_vanishes(model, polar):
    """Assembly in real space, dipoles and the sums over q agree."""
    _, made = model
    samples = [
        own_sample(model, atoms, polar)
        for atoms in (bulk("NaCl", "rocksalt", a=5.6), bulk("NaCl", "cesiumchloride", a=3.4))
    ]
    batch = harmonic_batch(samples, 3, np.random.default_rng(0))
    assert batch.polar.tolist() == [float(polar)] * 2
    single = made.float()
    losses = harmonic_loss(
        single, batch, modes=6, blend=1.0, generator=torch.Generator().manual_seed(0)
    )
    found = polarity_losses(single.polarity(batch.graph), batch)
    made.double()
    floor = 1e-3  # √1e-6, which keeps the root smooth
    assert [x.item() for x in losses] == pytest.approx([floor, floor], abs=2e-4)
    if polar:
        assert found[0].item() == pytest.approx(1e-2, abs=1e-3), "its own Born charges"


def test_the_loss_tells_the_shift_of_all_frequencies(model):
    """With D scaled by 1.02² every frequency is off by two per cent."""
    _, made = model
    sample = own_sample(model, bulk("NaCl", "rocksalt", a=5.6), polar=False)
    scaled = replace(sample, short_ranged=sample.short_ranged * np.float32(1.02**2))
    batch = harmonic_batch([scaled] * 20, 8, np.random.default_rng(0))
    _, alone = harmonic_loss(
        made.float(), batch, modes=6, blend=1.0, generator=torch.Generator().manual_seed(0)
    )
    made.double()
    assert alone.item() == pytest.approx(0.02, rel=0.1)


def test_quantiles_give_the_label_back():
    label = np.exp(-(((LABEL_POINTS - 400) / 100) ** 2))
    energies = label_quantiles(label, 20_000) * ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV / INVERSE_CM_TO_MEV
    counts, _ = np.histogram(energies, np.append(LABEL_POINTS - 10, 1010))
    np.testing.assert_allclose(counts / counts.max(), label / label.max(), atol=2e-3)


def test_the_spectrum_of_a_label_made_of_the_own_frequencies_has_no_loss(model):
    folder, made = model
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    crystal = Labelled("own", atoms, np.ones(51))
    sample = labelled_sample(made, crystal)
    constants = ForceConstantsPredictor(model=folder)(atoms)
    modes = constants.modes(sample.q @ np.linalg.inv(constants.crystal.reciprocal_cell))
    own = np.sort(modes.frequencies.ravel()) / ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV
    own = own.reshape(sample.frequencies.shape).astype(np.float32)
    exact = replace(sample, frequencies=own)
    stretched = replace(sample, frequencies=1.1 * own, scale=float(np.abs(own).mean()))
    single = made.float()
    losses = [spectrum_loss(single, labelled_batch([s])).item() for s in (exact, stretched)]
    made.double()
    assert losses[0] < 2e-3
    assert losses[1] == pytest.approx(0.1, rel=0.02)


def test_the_energy_is_the_one_written_down(model):
    """Φ of the pairs is the second derivative of ½ Σ ΔuKΔu + ½ Σ s|ΣWΔu|²."""
    generator = np.random.default_rng(0)
    index = np.array([[0, 0, 1, 1], [1, 1, 0, 0]])
    shifts = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0], [-1, 0, 0]])
    K = generator.normal(size=(2, 3, 3))
    K = K + K.swapaxes(1, 2)
    W, s = generator.normal(size=(4, 5, 3)), generator.normal(size=(2, 5))
    pairs, found_shifts, blocks = assemble((index[:, :2], shifts[:2], K), (index, shifts, W), s)

    def energy(u):  # two atoms in a ring of eight cells
        total = 0.0
        for cell in range(8):
            for (i, j), S, k in zip(index[:, :2].T, shifts[:2], K, strict=True):
                d = u[(cell + S[0]) % 8, j] - u[cell, i]
                total = total + d @ torch.tensor(k) @ d / 2
            for atom in range(2):
                y = 0.0
                for (i, j), S, w in zip(index.T, shifts, W, strict=True):
                    if i == atom:
                        y = y + torch.tensor(w) @ (u[(cell + S[0]) % 8, j] - u[cell, i])
                total = total + (torch.tensor(s[atom]) * y**2).sum() / 2
        return total

    zero = torch.zeros(8, 2, 3, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(energy, zero).numpy()[0]
    expected = np.zeros_like(hessian)
    for (i, j), S, block in zip(pairs, found_shifts, blocks, strict=True):
        expected[i, :, S[0] % 8, j] += block
    np.testing.assert_allclose(expected, hessian, atol=1e-12)
