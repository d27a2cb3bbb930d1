"""``scatterml train-phonons``: from reference phonons to models that need structures only."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from scatterml_ase.cli.terminal import Terminal


@dataclass(frozen=True, kw_only=True)
class TrainPhonons:
    """Train the models that predict force constants and densities of states from structure.

    A stopped run goes on where it was. Takes hours on one core.

    Parameters
    ----------
    config
        The training file.
    output
        The folder of the run; by default runs/NAME.
    """

    config: Annotated[Positional[Path], arg(metavar="CONFIG")]
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    terminal: OmitArgPrefixes[Terminal] = field(default_factory=Terminal)

    def run(self) -> None:
        """Train and say where the models are."""
        from scatterml_ase.training.phonons.config import read_phonon_config
        from scatterml_ase.training.phonons.pipeline import train_phonons

        config = read_phonon_config(self.config)
        folder = self.output or Path("runs") / config.name
        models = train_phonons(config, folder, progress=not self.terminal.quiet)
        if not self.terminal.quiet:
            print("The models are in " + " and ".join(str(path) for path in models))
