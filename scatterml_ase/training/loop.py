"""One call trains: ``train("potential.toml")``."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from scatterml_ase.atomic_write import writable_folder
from scatterml_ase.training.checkpoint import load_checkpoint
from scatterml_ase.training.config import TrainingConfig, read_config
from scatterml_ase.training.machine import threads
from scatterml_ase.training.prepare import load_dataset
from scatterml_ase.training.ranges import check_ranges
from scatterml_ase.training.run import Run
from scatterml_ase.training.team import team

_log = logging.getLogger(__name__)


def train(
    config: TrainingConfig | str | Path,
    *,
    output: str | Path | None = None,
    data: str | Path | None = None,
    start: str | Path | None = None,
    fraction: float | None = None,
    resume: bool = True,
    progress: bool = True,
) -> Path:
    """Train a potential and return the folder of the finished model.

    Started by ``torchrun``, all processes train one model; the first one writes and talks.

    Parameters
    ----------
    config
        A training file (TOML) or the configuration it holds.
    output
        Folder of the run, ``runs/<name>`` by default. It receives ``checkpoint.safetensors``,
        ``log.csv`` (a row per epoch), ``training.log``, ``learning_curves.png`` (drawn anew as the
        run goes on), ``parity.png`` and ``model/``.
    data
        Data file to train on instead of the one the configuration names.
    start
        Model to go on from, the name of a shipped one or a folder, instead of the one the
        configuration names (``model.start``).
    fraction
        Part of the training structures to train on, instead of the configuration's
        (``data.fraction``).
    resume
        Go on from the checkpoint in ``output``, if there is one; the result is the same as
        that of a run which never stopped. Otherwise start anew.
    progress
        Show a progress bar.

    Raises
    ------
    InputError
        If the configuration or the data cannot be used, before anything is computed; or if
        the training diverges.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, when the checkpoint from which the run goes on is written.
    """
    if not isinstance(config, TrainingConfig):
        config = read_config(config, data=[data] if data else [])
    config = _with_choices(config, start=start, fraction=fraction)
    with team(config.run.device) as crew, threads(config.run.threads):
        folder = Path(output or Path("runs") / config.name)
        writable_folder(folder, create=True)
        dataset = load_dataset(config)
        crew.require_same("training set", int(dataset.hash[:8], 16))
        run = Run.prepare(config, dataset, folder, crew, progress=progress)
        if not resume and crew.leads:
            for old in (run.checkpoint, run.diary):
                old.unlink(missing_ok=True)
        crew.wait()
        if run.checkpoint.exists():
            load_checkpoint(run.checkpoint, run.moving, identity=run.identity)
            _log.info("resumed at epoch %d from %s", run.moving.state.epoch, run.checkpoint)
        crew.require_same("checkpoint", run.moving.state.steps)
        run.fit(progress=progress and crew.leads)
        return run.finish()


def _with_choices(
    config: TrainingConfig, *, start: str | Path | None, fraction: float | None
) -> TrainingConfig:
    """Put in what the caller chooses instead of the configuration."""
    if start is not None:
        model = dataclasses.replace(config.model, start=str(start))
        config = dataclasses.replace(config, model=model)
    if fraction is not None:
        data = dataclasses.replace(config.data, fraction=fraction)
        config = dataclasses.replace(config, data=data)
    check_ranges(config)
    return config
