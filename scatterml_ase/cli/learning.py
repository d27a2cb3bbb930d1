"""From data to potentials: ``train``, ``uncertainty``, ``check-data`` and ``select``."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional, arg

from scatterml_ase.cli.terminal import Terminal, set_up_messages
from scatterml_ase.errors import InputError, explain


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a potential as a TOML file says; a stopped run goes on where it was.

    Several processes train one model: torchrun --nproc-per-node 2 --no-python scatterml train ...

    Parameters
    ----------
    config
        The training file.
    output
        The folder of the run; by default runs/NAME.
    data
        A data file to train on instead of the one the training file names.
    start
        Go on from this model (a name or a folder) instead of random weights: fine-tuning.
    fraction
        Train on this part of the training structures only, 0 to 1: a point of a learning curve.
    fresh
        Start anew even if the folder holds a checkpoint.
    """

    config: Annotated[Positional[Path], arg(metavar="CONFIG")]
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    data: Path | None = None
    start: Annotated[str | None, arg(name="from", metavar="MODEL")] = None
    fraction: float | None = None
    fresh: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    terminal: OmitArgPrefixes[Terminal] = field(default_factory=Terminal)

    def run(self) -> None:
        """Train and say where the model is."""
        from scatterml_ase.training import train

        quiet = self.terminal.quiet or os.environ.get("RANK", "0") != "0"
        if quiet:  # of several processes the first one talks
            set_up_messages(quiet=True)
        folder = train(
            self.config,
            output=self.output,
            data=self.data,
            start=self.start,
            fraction=self.fraction,
            resume=not self.fresh,
            progress=not quiet,
        )
        if not quiet:
            model = shlex.quote(f"model:{folder}")
            print(f"The model is in {folder} (use it: --calculator {model})")


@dataclass(frozen=True, kw_only=True)
class Uncertainty:
    """Give a trained model its uncertainty, calibrated on the structures it was not trained on.

    Writes committee.safetensors into the folder of the model, its facts into card.json, and a
    picture, if asked for, of how well it foretells the errors. Takes a minute or two.

    Parameters
    ----------
    folder
        The folder of the model.
    data
        The data files it was trained on, if not where its training file says.
    config
        Its training file; by default training.toml in its folder.
    members
        How many members the committee has.
    seed
        Of the random numbers.
    picture
        Where to draw the picture; by default nowhere.
    """

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    data: tuple[Path, ...] = ()
    config: Path | None = None
    members: int = 8
    seed: int = 0
    picture: Path | None = None
    terminal: OmitArgPrefixes[Terminal] = field(default_factory=Terminal)

    def run(self) -> None:
        """Fit, store, and show how good it is."""
        from scatterml_ase.atomic_write import writable_folder
        from scatterml_ase.training.reliability import plot_reliability, require_picture
        from scatterml_ase.training.uncertainty import dataset_of, fit_committee

        if self.picture is not None:
            require_picture(self.picture)  # now, not after the work
        writable_folder(self.folder, create=False)
        dataset = dataset_of(self.folder, self.data, config=self.config)
        quiet = self.terminal.quiet
        judged = fit_committee(
            self.folder, dataset, members=self.members, seed=self.seed, progress=not quiet
        )
        if self.picture is not None:
            plot_reliability(judged, self.picture, title=self.folder.resolve().name)
        if not quiet:
            print(f"\nOn the validation structures:\n{judged}\n")
            folder = self.folder.resolve()
            print(f'The committee is in {self.folder}: CommitteeCalculator("{folder}")')


@dataclass(frozen=True, kw_only=True)
class CheckData:
    """Check training data: labels, units and signs, lengths, levels of theory, copies.

    The status is 2 if something forbids training, 0 otherwise.

    Parameters
    ----------
    files
        Files of labelled structures (extxyz, ASE database, trajectory, vasprun.xml, OUTCAR), or
        one training file (TOML), whose data are checked.
    energy
        How the energy is called in the files.
    forces
        How the forces are called.
    stress
        How the stress is called.
    """

    files: Annotated[Positional[tuple[str, ...]], arg(metavar="FILE")]
    energy: str = "energy"
    forces: str = "forces"
    stress: str = "stress"
    terminal: OmitArgPrefixes[Terminal] = field(default_factory=Terminal)

    def run(self) -> None:
        """Print the report."""
        from scatterml_ase.training.checks import check_data
        from scatterml_ase.training.config import DataConfig, read_config

        config = DataConfig((), energy=self.energy, forces=self.forces, stress=self.stress)
        files = self.files
        if len(files) == 1 and Path(files[0]).suffix == ".toml":
            config = read_config(files[0]).data
            files = (*config.train, *config.validation)
        report = check_data(files, config)
        print(report)
        if report.errors:
            raise InputError(
                explain("These data cannot be trained on", report.errors[0], "Mend them first")
            )


@dataclass(frozen=True, kw_only=True)
class Select:
    """Choose the structures of a pool whose labels would teach most.

    Parameters
    ----------
    pool
        Files of structures, with or without labels.
    count
        How many to choose.
    output
        The file for the chosen structures, the most wanted first.
    model
        The potential whose invariants tell structures apart: the name of a shipped model or a
        folder. By default an untrained network.
    known
        Files of structures that are labelled already.
    method
        farthest: what is newest. leverage: what tells most in all.
    min_distance
        Structures all of whose atoms are nearer than this to what is known are near copies.
    """

    pool: Annotated[Positional[tuple[str, ...]], arg(metavar="FILE")]
    count: Annotated[int, arg(aliases=["-n"])]
    output: Annotated[Path, arg(aliases=["-o"])] = Path("chosen.extxyz")
    model: Annotated[str | None, arg(aliases=["-m"])] = None
    known: tuple[str, ...] = ()
    method: Literal["farthest", "leverage"] = "farthest"
    min_distance: float = 0.02
    terminal: OmitArgPrefixes[Terminal] = field(default_factory=Terminal)

    def run(self) -> None:
        """Choose, write, and say why."""
        from scatterml_ase.atomic_write import writable_folder
        from scatterml_ase.training.data import read_structures
        from scatterml_ase.training.selection import (
            require_format,
            select_structures,
            write_selection,
        )

        writable_folder(self.output.parent, create=False)  # now, not after the work
        require_format(self.output)
        pool = [atoms for name in self.pool for atoms in read_structures(name)]
        selection = select_structures(
            pool,
            self.count,
            model=self.model,
            known=[atoms for name in self.known for atoms in read_structures(name)],
            method=self.method,
            min_distance=self.min_distance,
        )
        write_selection(selection, pool, self.output)
        print(selection)
        print(f"{len(selection.indices)} of {len(pool)} structures are in {self.output}")
