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
from torch import Tensor
from tqdm import tqdm

from scatterml_ase.atomic_write import atomic_write
from scatterml_ase.errors import InputError, explain
from scatterml_ase.phonons.force_constants_model import ForceConstantsModel
from scatterml_ase.training.config import OptimizerConfig
from scatterml_ase.training.optimize import RunningMean, learning_rate, make_optimizer, put_weights
from scatterml_ase.training.phonons.config import HarmonicRunConfig
from scatterml_ase.training.phonons.harmonic_loss import harmonic_loss, polarity_losses
from scatterml_ase.training.phonons.labelled import labelled_batch, spectrum_loss
from scatterml_ase.training.phonons.samples import HarmonicBatch, HarmonicSample, harmonic_batch

_log = logging.getLogger(__name__)
_MOST = 24  # crystals of a batch, however small they are
_LABELLED = 12  # crystals with labels in a batch
_POLARITY = 0.2  # weight of errors of Born charges and of ε∞


@dataclass
class HarmonicRun:
    """A run in progress; it goes on from its checkpoint if there is one."""

    model: ForceConstantsModel
    config: HarmonicRunConfig
    optimizer_config: OptimizerConfig
    checkpoint: Path
    train: Sequence[HarmonicSample]
    development: Sequence[HarmonicSample]
    labelled: Sequence[HarmonicSample] = ()

    def __post_init__(self) -> None:
        """Take up the state of the checkpoint."""
        self.optimizer = make_optimizer(self.model, self.optimizer_config)
        self.mean = RunningMean(self.model, self.optimizer_config.ema_decay)
        self.step = self.epoch = 0
        self.seconds = 0.0
        if self.checkpoint.is_file():
            self._load()

    def fit(self, *, progress: bool = True) -> None:
        """Run what is left of the epochs; the model then has the mean weights."""
        self.model.train()
        while self.epoch < self.config.last:
            batches = plan(self.train, self.config, self.epoch)
            sums = np.zeros(4)
            began = time.monotonic()
            bar = tqdm(batches, desc=f"epoch {self.epoch + 1}", disable=not progress)
            for k, members in enumerate(bar):
                done = (self.epoch + k / len(batches)) / self.config.epochs
                sums += self._learn([self.train[i] for i in members], done)
                bar.set_postfix_str(f"error {sums[1] / (k + 1):.4f}")
            self.epoch += 1
            self.seconds += time.monotonic() - began
            means, judged = (np.round(x, 4) for x in (sums / len(batches), self.judge()))
            _log.info("epoch %d: %s | development %s, %.0f s",
                      self.epoch, means, judged, self.seconds)  # fmt: skip
            self.save()
        put_weights(self.model, self.mean.weights)
        self.model.eval()

    def _learn(self, samples: Sequence[HarmonicSample], done: float) -> np.ndarray:
        """Take one step; return errors of D, of frequencies, of Born charges and of ε∞."""
        run = self.config
        batch = harmonic_batch(samples, run.points, np.random.default_rng((run.seed, self.step)))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(
                self.optimizer_config, step=self.step, progress=done, plateau_factor=1.0
            )
        self.optimizer.zero_grad(set_to_none=True)
        blend = run.first_blend + (run.blend - run.first_blend) * min(1.0, 2 * done)
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
            loss = loss + _POLARITY * (found[0] + found[1])
            entries[2:] = [x.item() * run.polarity_every for x in found]
        if self.labelled and self.step % run.labelled_every == 0:
            loss = loss + run.labelled_weight * spectrum_loss(self.model, self._labelled_batch())
        if not torch.isfinite(loss):
            what = f"The loss is {loss.item()} at step {self.step}"
            why = "the training has diverged; the last checkpoint is untouched"
            raise InputError(explain(what, why, "Lower optimizer.learning_rate"))
        loss.backward()
        most = self.optimizer_config.clip_gradient or torch.inf
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), most)
        self.optimizer.step()
        self.mean.update(self.model, self.step)
        self.step += 1
        return np.array(entries)

    def _labelled_batch(self) -> HarmonicBatch:
        """Return the next crystals with labels, in an order that changes with every pass."""
        turn = self.step // self.config.labelled_every * _LABELLED
        rounds, start = divmod(turn, len(self.labelled))
        order = np.random.default_rng((self.config.seed, rounds, 11)).permutation(
            len(self.labelled)
        )
        return labelled_batch([self.labelled[k] for k in order[start : start + _LABELLED]])

    @torch.no_grad()
    def judge(self) -> np.ndarray:
        """Return the errors of the mean weights on the development crystals."""
        run, rows = self.config, []
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
                rows.append((len(members), [x.item() for x in (*values, *polarity)]))
        weights, errors = zip(*rows, strict=True)
        return np.average(np.array(errors), axis=0, weights=np.array(weights, dtype=float))

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
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "mean": {}, "optimizer": {}}
        for name, value in tensors.items():
            kind, rest = name.split("/", 1)
            parts[kind][rest] = value
        self.model.load_state_dict(parts["model"])
        self.mean.weights = parts["mean"]
        slots: dict[int, dict[str, Tensor]] = {}
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
