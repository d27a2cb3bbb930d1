"""Train force constants: steps, watching, checkpoints."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from scatterml_ase.atomic_write import atomic_write
from scatterml_ase.phonons.force_constants_model import ForceConstantsConfig, ForceConstantsModel
from scatterml_ase.training.optimize import RunningMean, learning_rate, make_optimizer
from scatterml_ase.training.phonons.config import HarmonicConfig, HarmonicRunConfig
from scatterml_ase.training.phonons.harmonic_loss import harmonic_loss, polarity_losses
from scatterml_ase.training.phonons.samples import HarmonicSample, harmonic_batch

_log = logging.getLogger(__name__)
_MOST = 24  # crystals of a batch, however small they are


@dataclass
class HarmonicRun:
    """A run in progress."""

    config: HarmonicConfig
    folder: Path
    train: Sequence[HarmonicSample]
    development: Sequence[HarmonicSample]

    def __post_init__(self) -> None:
        """Build the model, or take it from the checkpoint."""
        run = self.config.run
        torch.manual_seed(run.seed)
        species = sorted({int(z) for sample in self.train for z in sample.numbers})
        options = {"species": tuple(species), **self.config.options}
        self.model = ForceConstantsModel(ForceConstantsConfig(**options))
        self.optimizer = make_optimizer(self.model, self.config.optimizer)
        self.mean = RunningMean(self.model, self.config.optimizer.ema_decay)
        self.step = self.epoch = 0
        self.seconds = 0.0
        if self.checkpoint.is_file():
            self._load()

    @property
    def checkpoint(self) -> Path:
        """Where the run goes on from."""
        return self.folder / "checkpoint.safetensors"

    def fit(self) -> None:
        """Run what is left of the epochs."""
        run = self.config.run
        self.model.train()
        saved = time.monotonic()
        while self.epoch < run.epochs:
            batches = plan(self.train, run, self.epoch)
            start = self.step
            sums = np.zeros(4)
            for k, members in enumerate(batches):
                progress = (self.epoch + k / len(batches)) / run.epochs
                began = time.monotonic()
                sums += self._learn([self.train[i] for i in members], progress)
                self.seconds += time.monotonic() - began
                if k % 50 == 49:
                    means = sums / (self.step - start)
                    _log.info("%d %d/%d %s %.0f s", self.epoch, k + 1, len(batches),
                              np.round(means, 4), self.seconds)  # fmt: skip
            self.epoch += 1
            means, judged = (np.round(x, 4) for x in (sums / len(batches), self.judge()))
            _log.info("epoch %d: %s | development %s, %.0f s",
                      self.epoch, means, judged, self.seconds)  # fmt: skip
            self.save()
            if time.monotonic() - saved > 60 * run.checkpoint_minutes:
                saved = time.monotonic()

    def _learn(self, samples: Sequence[HarmonicSample], progress: float) -> np.ndarray:
        run, optimizer = self.config.run, self.optimizer
        batch = harmonic_batch(samples, run.points, np.random.default_rng((run.seed, self.step)))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(
                self.config.optimizer, step=self.step, progress=progress, plateau_factor=1.0
            )
        optimizer.zero_grad(set_to_none=True)
        blend = 1 - (1 - run.blend) * min(1.0, 2 * progress)
        loss, alone = harmonic_loss(
            self.model,
            batch,
            modes=run.modes,
            blend=blend,
            generator=torch.Generator().manual_seed(self.step),
        )
        entries = [loss.item(), alone.item(), 0.0, 0.0]
        if self.step % run.polarity_every == 0:
            found = polarity_losses(self.model.polarity(batch.graph), batch)
            loss = loss + 0.2 * found[0] + 0.2 * found[1]
            entries[2:] = [x.item() * run.polarity_every for x in found]
        loss.backward()
        if not torch.isfinite(loss):
            raise FloatingPointError(f"loss {float(loss)} at step {self.step}")
        most = self.config.optimizer.clip_gradient or torch.inf
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), most)
        optimizer.step()
        self.mean.update(self.model, self.step)
        self.step += 1
        return np.array(entries)

    @torch.no_grad()
    def judge(self) -> np.ndarray:
        """Return the errors of the mean weights on the development crystals."""
        run, rows = self.config.run, []
        with self.mean.applied_to(self.model):
            for k, members in enumerate(plan(self.development, run, 0)):
                batch = harmonic_batch(
                    [self.development[i] for i in members], run.points, np.random.default_rng(k)
                )
                values = harmonic_loss(
                    self.model,
                    batch,
                    modes=run.modes,
                    blend=run.blend,
                    generator=torch.Generator().manual_seed(k),
                )
                polarity = polarity_losses(self.model.polarity(batch.graph), batch)
                rows.append((len(members), [float(x) for x in (*values, *polarity)]))
        weights, values = zip(*rows, strict=True)
        return np.average(np.array(values), axis=0, weights=np.array(weights, dtype=float))

    def save(self) -> None:
        """Write a checkpoint, whole or not at all."""
        tensors = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"mean/{k}": v for k, v in self.mean.weights.items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{name}": value for name, value in slots.items()}
        state = {"epoch": self.epoch, "step": self.step, "seconds": self.seconds}
        with atomic_write(self.checkpoint) as path:
            tensors = {k: v.detach().clone().contiguous() for k, v in tensors.items()}
            save_file(tensors, path, metadata={"state": json.dumps(state)})

    def _load(self) -> None:
        with safe_open(self.checkpoint, framework="pt") as file:
            state = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        parts: dict[str, dict] = {"model": {}, "mean": {}, "optimizer": {}}
        for name, value in tensors.items():
            kind, rest = name.split("/", 1)
            parts[kind][rest] = value
        self.model.load_state_dict(parts["model"])
        self.mean.weights = parts["mean"]
        slots: dict[int, dict] = {}
        for name, value in parts["optimizer"].items():
            index, slot = name.split("/", 1)
            slots.setdefault(int(index), {})[slot] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": slots, "param_groups": groups})
        self.epoch, self.step, self.seconds = state["epoch"], state["step"], state["seconds"]


def plan(samples: Sequence[HarmonicSample], run: HarmonicRunConfig, epoch: int) -> list[list[int]]:
    """Sort crystals of like size into batches, in random order."""
    generator = np.random.default_rng((run.seed, epoch, 7))
    sizes = np.array([len(sample.numbers) for sample in samples])
    order = np.argsort(sizes * generator.uniform(0.85, 1.15, len(sizes)), kind="stable")
    batches = list(_filled(order, sizes, run.batch_atoms))
    return [batches[k] for k in generator.permutation(len(batches))]


def _filled(order: np.ndarray, sizes: np.ndarray, most: int) -> Iterator[list[int]]:
    members: list[int] = []
    largest = 0
    for index in order:
        larger = max(largest, sizes[index])
        if members and (larger * (len(members) + 1) > most or len(members) == _MOST):
            yield members
            members, larger = [], sizes[index]
        members.append(int(index))
        largest = larger
    if members:
        yield members
