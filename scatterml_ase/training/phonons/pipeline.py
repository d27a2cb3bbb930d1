"""From reference phonons to the models ``force-constants`` and ``phonon-dos``, step by step.

Every step leaves its result in the folder of the run and is skipped where it is there: a stopped
training goes on where it was.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from scatterml_ase.phonons.coverage import Coverage
from scatterml_ase.phonons.dos_model import PhononDOSConfig, PhononDOSModel
from scatterml_ase.phonons.force_constants_model import ForceConstantsConfig, ForceConstantsModel
from scatterml_ase.phonons.harmonic_graph import crystal_edges
from scatterml_ase.training.phonons import cards
from scatterml_ase.training.phonons.charges import predicted_dipoles
from scatterml_ase.training.phonons.config import HarmonicRunConfig, PhononTrainingConfig
from scatterml_ase.training.phonons.dos_labels import DosLabel, dos_label
from scatterml_ase.training.phonons.dos_run import (
    calibrated_scale,
    common_errors,
    train_heads,
)
from scatterml_ase.training.phonons.dos_samples import DosSample
from scatterml_ase.training.phonons.features import dos_samples
from scatterml_ase.training.phonons.labelled import labelled_sample, read_labelled
from scatterml_ase.training.phonons.records import read_records, write_records, written
from scatterml_ase.training.phonons.reference import (
    SUSPICIOUS,
    ReferencePhonons,
    reduced_formula,
    reserved_formulas,
)
from scatterml_ase.training.phonons.run import HarmonicRun
from scatterml_ase.training.phonons.samples import HarmonicSample, harmonic_sample
from scatterml_ase.training.phonons.targets import HarmonicTarget, harmonic_target

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PhononTraining:
    """A training and its folder.

    Parameters
    ----------
    config
        What is done.
    folder
        Where results of the steps are kept; made if missing.
    progress
        Whether progress bars are shown.
    """

    config: PhononTrainingConfig
    folder: Path
    progress: bool = True
    _seconds: dict[str, float] = field(default_factory=dict, repr=False)

    def force_constants(self) -> ForceConstantsModel:
        """Return the trained model of force constants, training it as far as it is not."""
        torch.set_num_threads(self.config.run.threads)
        self.prepare()
        first = self._fit(self._new_model(), self.config.charges, "charges", self.targets())
        self._complete(first)
        return self._fit(first, self.config.run, "run", self.targets(), self._labelled(first))

    def densities(self, trunk: ForceConstantsModel) -> PhononDOSModel:
        """Return the model of densities of states on a trunk, its heads trained."""
        self.label()
        run = self.config.dos
        torch.manual_seed(run.seed)
        options = {**dataclasses.asdict(trunk.config), "members": run.members}
        model = PhononDOSModel(PhononDOSConfig(**options))
        model.trunk.load_state_dict(trunk.state_dict())
        train, development = self._dos_samples(model)
        train_heads(
            model.heads, train, development, run, self.config.dos_optimizer, progress=self.progress
        )
        scale = calibrated_scale(*common_errors(model.heads, development))
        model.config = dataclasses.replace(model.config, stretch_scale=round(scale, 4))
        return model.eval()

    # -- preparation ---------------------------------------------------------------------------

    @cached_property
    def reserved(self) -> frozenset[str]:
        """Formulas that no training may see."""
        return reserved_formulas(self.config.data.reserved)

    def prepare(self) -> None:
        """Transform the reference of every crystal that may be trained on."""
        data = ReferencePhonons(self.config.data.forces)
        allowed = [
            index
            for index, name in enumerate(data.names)
            if name not in SUSPICIOUS and data.formula(index) not in self.reserved
        ]
        _log.info("%d crystals, %d of them reserved or suspicious, %d to train on",
                  len(data), len(data) - len(allowed), len(allowed))  # fmt: skip
        done = written(self._targets)
        missing = [index for index in allowed if data.names[index] not in done]
        bar = tqdm(missing, desc="targets", disable=not self.progress or not missing)
        write_records(
            self._targets,
            (harmonic_target(data.names[k], data.force_constants(k), seed=k) for k in bar),
        )

    def targets(self) -> Iterator[HarmonicTarget]:
        """Yield the references that are small enough, with all dipoles that are known by now."""
        dipoles = {}
        if self._dipoles.is_file():
            dipoles = {one.name: one.dipoles for one in read_records(self._dipoles, Dipoles)}
        for target in read_records(self._targets, HarmonicTarget):
            if len(target.numbers) > self.config.run.most_atoms:
                continue
            if target.name in dipoles:
                target = dataclasses.replace(target, dipoles=dipoles[target.name])
            yield target

    def _complete(self, model: ForceConstantsModel) -> None:
        """Predict the dipoles of crystals without Born charges."""
        done = written(self._dipoles)
        model = model.double().eval()
        bar = tqdm(self.targets(), desc="dipoles", disable=not self.progress)
        write_records(
            self._dipoles,
            (
                Dipoles(target.name, predicted_dipoles(model, target))
                for target in bar
                if not target.polar and target.name not in done
            ),
        )
        model.float()

    def label(self) -> None:
        """Count the modes of every crystal that may be trained on."""
        data, done = ReferencePhonons(self.config.data.forces), written(self._labels)
        allowed = written(self._targets) - done
        missing = [index for index, name in enumerate(data.names) if name in allowed]
        bar = tqdm(missing, desc="labels", disable=not self.progress or not missing)
        modes = self.config.dos.label_modes
        write_records(
            self._labels,
            (dos_label(data.names[k], data.force_constants(k), modes) for k in bar),
        )

    # -- training ------------------------------------------------------------------------------

    def _new_model(self) -> ForceConstantsModel:
        torch.manual_seed(self.config.run.seed)
        species = sorted({int(z) for target in self.targets() for z in target.numbers})
        options = {"species": tuple(species), **self.config.options}
        return ForceConstantsModel(ForceConstantsConfig(**options))

    def _fit(
        self,
        model: ForceConstantsModel,
        run: HarmonicRunConfig,
        name: str,
        targets: Iterator[HarmonicTarget],
        labelled: Sequence[HarmonicSample] = (),
    ) -> ForceConstantsModel:
        bar = tqdm(targets, desc="neighbours", disable=not self.progress)
        samples = [harmonic_sample(target, model.cutoff) for target in bar]
        chosen = self.development([reduced_formula(s.numbers) for s in samples])
        train = [s for s in samples if reduced_formula(s.numbers) not in chosen]
        development: Sequence[HarmonicSample] = [
            s for s in samples if reduced_formula(s.numbers) in chosen
        ]
        checkpoint = self.folder / f"{name}.safetensors"
        optimizer = self.config.optimizer
        fit = HarmonicRun(model, run, optimizer, checkpoint, train, development, labelled)
        fit.fit(progress=self.progress)
        self._seconds[name] = fit.seconds
        return model

    def coverage(self, cutoff: float) -> Coverage:
        """Return what crystals were trained on."""
        crystals = (target.atoms for target in self.targets())
        return Coverage.of((atoms, crystal_edges(atoms, cutoff)) for atoms in crystals)

    def _labelled(self, model: ForceConstantsModel) -> list[HarmonicSample]:
        """Return the crystals with labels, with dipoles of the charges of ``model``."""
        if not self.config.data.labels:
            return []
        model = model.double()
        crystals = read_labelled(self.config.data.labels, self.reserved)
        bar = tqdm(crystals, desc="labelled", disable=not self.progress)
        known = set(model.species)
        found = [labelled_sample(model, x) for x in bar if known >= set(x.atoms.numbers.tolist())]
        model.float()
        return found

    @property
    def hours(self) -> float:
        """Wall-clock hours of training so far."""
        return round(sum(self._seconds.values()) / 3600, 2)

    def development(self, formulas: Sequence[str]) -> frozenset[str]:
        """Return the formulas set aside to watch the training."""
        run = self.config.run
        every = sorted(set(formulas))
        order = np.random.default_rng(run.seed).permutation(every)
        return frozenset(order[: int(len(every) * run.development)].tolist())

    def _dos_samples(self, model: PhononDOSModel) -> tuple[list[DosSample], list[DosSample]]:
        targets = {target.name: target for target in self.targets()}
        chosen = self.development([reduced_formula(t.numbers) for t in targets.values()])
        labels = (one for one in read_records(self._labels, DosLabel) if one.name in targets)
        train: list[DosSample] = []
        development: list[DosSample] = []
        for sample in dos_samples(model, targets, labels, progress=self.progress):
            apart = reduced_formula(targets[sample.name].numbers) in chosen
            (development if apart else train).append(sample)
        return train, development

    @property
    def _targets(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / "targets.h5"

    @property
    def _dipoles(self) -> Path:
        return self.folder / "dipoles.h5"

    @property
    def _labels(self) -> Path:
        return self.folder / "labels.h5"


def train_phonons(
    config: PhononTrainingConfig, folder: Path, *, progress: bool = True
) -> tuple[Path, Path]:
    """Train both models; return their folders inside ``folder``.

    Raises
    ------
    InputError
        If the training diverges.
    """
    training = PhononTraining(config, folder, progress)
    trunk = training.force_constants()
    models = {cards.FORCE_CONSTANTS: trunk, cards.DENSITIES: training.densities(trunk)}
    places = {name: folder / name for name in models}
    facts = {"hours": training.hours}
    seen = training.coverage(trunk.cutoff)
    for name, model in models.items():
        cards.save_with_card(model, places[name], config, facts, coverage=seen)
    metrics = cards.judged(config, places, progress=progress)
    for name, model in models.items():
        cards.save_with_card(model, places[name], config, facts, metrics[name], coverage=seen)
    return places[cards.FORCE_CONSTANTS], places[cards.DENSITIES]


@dataclass(frozen=True)
class Dipoles:
    """The dipole–dipole part of one crystal, as :class:`HarmonicTarget` has it."""

    name: str
    dipoles: np.ndarray
