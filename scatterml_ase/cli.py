"""The command ``scatterml``: the main job, training, and the models at hand.

Options are the fields of dataclasses, and their help is the docstring of the class: nothing is
written twice. Everything heavy is imported when a command runs, so that help is quick.
"""

from __future__ import annotations

import io
import logging
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    contextmanager,
    nullcontext,
    redirect_stdout,
    suppress,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional, arg, subcommand

from scatterml_ase import __version__
from scatterml_ase.errors import InputError, explain
from scatterml_ase.workflows.options import SpectrumOptions
from scatterml_ase.workflows.report_options import ReportOptions

_FAILED, _INTERRUPTED = 2, 130


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """What is shown while a command runs.

    Parameters
    ----------
    quiet
        Show nothing but errors.
    debug
        Show the traceback of an error.
    """

    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """From a structure to its phonons and to what a neutron spectrometer sees.

    Writes a picture, one NeXus file per result and a summary into a folder.

    Parameters
    ----------
    structure
        A structure file (CIF, POSCAR, extxyz, ...), an element ("Si"), a crystal written
        formula:prototype:a ("NaCl:rocksalt:5.64"), or force constants (phonopy_params.yaml).
    calculator
        The name of a shipped model, model:FOLDER, chgnet, mace, nequip:FILE, m3gnet, emt, or
        package.module:factory. By default the shipped potential that covers the structure with
        the fewest species.
    output
        The folder for the results; by default named after the structure.
    """

    structure: Annotated[Positional[str], arg(metavar="STRUCTURE")]
    calculator: Annotated[str | None, arg(aliases=["-c"])] = None
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    physics: OmitArgPrefixes[SpectrumOptions] = field(default_factory=SpectrumOptions)
    terminal: OmitArgPrefixes[Terminal] = field(default_factory=Terminal)

    def run(self) -> None:
        """Run the main job and tell what it found."""
        from scatterml_ase.atomic_write import writable_folder
        from scatterml_ase.workflows.spectrum import spectrum
        from scatterml_ase.workflows.table import summary_table

        folder = self.output or Path(f"{_stem(self.structure)}_spectrum")
        existed = folder.exists()
        writable_folder(folder, create=True)  # now, not after the work
        try:
            result = spectrum(
                self.structure, self.calculator, self.physics, progress=not self.terminal.quiet
            )
            logging.getLogger("scatterml_ase.cli").info("drawing and writing …")
            result.save(folder, progress=not self.terminal.quiet)
        except BaseException:
            if not existed:
                with suppress(OSError):
                    folder.rmdir()  # only if still empty
            raise
        if not self.terminal.quiet:
            print(f"\n{summary_table(result.summary)}\n")
            print(f"Results are in {folder}/ (spectrum.png, spectrum.pdf, summary.json, *.nxs)")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a potential says of an element, beside DFT and experiment.

    Lattice and elastic constants, E(V), phonons, vacancy and surface energies and, from molecular
    dynamics, thermal expansion and the melt. Writes a picture, a table (csv, md, json) and the
    results into a folder.

    Parameters
    ----------
    calculator
        The name of a shipped model, model:FOLDER, chgnet, mace, nequip:FILE, m3gnet, emt, or
        package.module:factory.
    element
        A symbol, needed where the calculator knows several.
    structure
        A structure of the element; by default its ground state as ASE knows it.
    output
        The folder for the results; by default named after model and element.
    """

    calculator: Annotated[Positional[str], arg(metavar="MODEL")]
    element: Annotated[str | None, arg(aliases=["-e"])] = None
    structure: str | None = None
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    physics: OmitArgPrefixes[ReportOptions] = field(default_factory=ReportOptions)
    terminal: OmitArgPrefixes[Terminal] = field(default_factory=Terminal)

    def run(self) -> None:
        """Make the report and print its table."""
        from scatterml_ase.atomic_write import writable_folder
        from scatterml_ase.workflows.report import report
        from scatterml_ase.workflows.structures import read_structure

        if self.output is not None:
            writable_folder(self.output, create=True)  # now, not after the work
        result = report(
            self.calculator,
            self.element,
            self.physics,
            structure=None if self.structure is None else read_structure(self.structure),
            progress=not self.terminal.quiet,
        )
        folder = self.output or Path(f"{_stem(self.calculator)}_{result.element}_report")
        result.save(folder)
        if not self.terminal.quiet:
            print(f"\n{result.table}\n")
            print(f"Results are in {folder}/ (report.png, report.md, report.csv, report.json, …)")


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
            _set_up_messages(quiet=True)
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
            print(f"The model is in {folder} (use it: --calculator model:{folder})")


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
        from scatterml_ase.training.reliability import plot_reliability
        from scatterml_ase.training.uncertainty import dataset_of, fit_committee

        dataset = dataset_of(self.folder, self.data, config=self.config)
        quiet = self.terminal.quiet
        judged = fit_committee(
            self.folder, dataset, members=self.members, seed=self.seed, progress=not quiet
        )
        if self.picture is not None:
            plot_reliability(judged, self.picture, title=self.folder.resolve().name)
        if not quiet:
            print(f"\nOn the validation structures:\n{judged}\n")
            print(f'The committee is in {self.folder}: CommitteeCalculator("{self.folder}")')


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
        from scatterml_ase.training.selection import select_structures, write_selection

        writable_folder(self.output.parent, create=False)  # now, not after the work
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


@dataclass(frozen=True, kw_only=True)
class Lammps:
    """Run a LAMMPS input script with a calculator as its potential.

    The script names everything but the potential, and has the line
    "fix scatterml all external pf/callback 1 1" between its atoms and its first run.

    Parameters
    ----------
    script
        The input script.
    species
        Chemical symbols of the atom types 1, 2, ….
    calculator
        As for spectrum; by default the shipped potential that covers the species.
    variables
        Variables of the script, NAME=VALUE; one that holds a list is written NAME=1,2,3.
    """

    script: Annotated[Positional[Path], arg(metavar="SCRIPT")]
    species: tuple[str, ...]
    calculator: Annotated[str | None, arg(aliases=["-c"])] = None
    variables: tuple[str, ...] = ()
    terminal: OmitArgPrefixes[Terminal] = field(default_factory=Terminal)

    def run(self) -> None:
        """Let LAMMPS run; what it prints is its own."""
        from scatterml_ase.workflows.lammps import run_lammps

        arguments = ["-screen", "none"] if self.terminal.quiet else []
        for variable in self.variables:
            name, equals, value = variable.partition("=")
            if not (name and equals and value):
                fix = "Write it NAME=VALUE, such as T=300"
                raise InputError(explain(f"{variable!r} is no variable", "it has no value", fix))
            arguments += ["-var", name, *value.split(",")]
        run_lammps(self.script, self.calculator, self.species, arguments=arguments)


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Serve forces over i-PI's socket protocol, to i-PI or ASE's SocketIOCalculator.

    Parameters
    ----------
    structure
        A structure file or a name such as "Si": the elements in the order of the other end.
    calculator
        As for spectrum; by default the shipped potential that covers the structure.
    host
        Where the other end listens.
    port
        The port it listens on.
    unix
        Name of a Unix socket on this machine instead of host and port.
    wait
        How long to wait for the other end, in s.
    """

    structure: Annotated[Positional[str], arg(metavar="STRUCTURE")]
    calculator: Annotated[str | None, arg(aliases=["-c"])] = None
    host: str = "localhost"
    port: int = 31415
    unix: str | None = None
    wait: float = 60.0
    terminal: OmitArgPrefixes[Terminal] = field(default_factory=Terminal)

    def run(self) -> None:
        """Compute until the other end hangs up, and say how much."""
        from scatterml_ase.workflows.serve import serve

        count = serve(
            self.structure,
            self.calculator,
            host=self.host,
            port=self.port,
            unix=self.unix,
            wait=self.wait,
        )
        if not self.terminal.quiet:
            print(f"{count} structures were computed")


@dataclass(frozen=True, kw_only=True)
class Models:
    """List the shipped models with what they know.

    Parameters
    ----------
    name
        Show the whole card of this model (a name or a folder).
    """

    name: Annotated[Positional[str | None], arg(metavar="[NAME]")] = None
    terminal: OmitArgPrefixes[Terminal] = field(default_factory=Terminal)

    def run(self) -> None:
        """Print the cards."""
        from scatterml_ase.errors import name_species
        from scatterml_ase.store import list_models

        if self.name is not None:
            print(_card(self.name).to_json(), end="")
            return
        cards = list_models()
        if not cards:
            print("No model is shipped with this installation.")
        for card in cards:
            print(f"{card.name:<12} {card.task:<12} {name_species(card.species)}")
            print(f"{'':<12} {card.training.get('description', '')}".rstrip())
            print(f"{'':<12} {card.training.get('level_of_theory', '')}".rstrip())


Command = (
    Annotated[Spectrum, subcommand("spectrum")]
    | Annotated[Report, subcommand("report")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Uncertainty, subcommand("uncertainty")]
    | Annotated[CheckData, subcommand("check-data")]
    | Annotated[Select, subcommand("select")]
    | Annotated[Lammps, subcommand("lammps")]
    | Annotated[Serve, subcommand("serve")]
    | Annotated[Models, subcommand("models")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status (0 done, 2 refused, 130 interrupted)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments == ["--version"]:
        print(f"scatterml {__version__}")
        return 0
    command: Any = tyro.cli(
        Command,
        prog="scatterml",
        description="Machine learning for neutron and x-ray scattering with ASE "
        f"(version {__version__}).",
        args=arguments or ["--help"],
        config=(tyro.conf.DisallowNone,),
    )
    _set_up_messages(quiet=command.terminal.quiet)
    try:
        with _sigterm_unwinds(), _silence(command):
            command.run()
    except InputError as error:
        if command.terminal.debug:
            raise
        print(f"scatterml: {error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        if command.terminal.debug:
            raise
        goes_on = isinstance(command, Train)
        after = "the same command goes on from here" if goes_on else "no half-written file was left"
        print(f"\nscatterml: interrupted; {after}.", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _silence(command: Any) -> AbstractContextManager[Any]:
    """Drop what foreign calculators print when quiet; the list of models is what was asked for."""
    quiet = command.terminal.quiet and not isinstance(command, Models)
    return redirect_stdout(io.StringIO()) if quiet else nullcontext()


@contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    """Let SIGTERM (kill, a batch system) unwind like Ctrl-C, so that temporary files go."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _card(name: str) -> Any:
    """Return the card of a shipped model or of a model folder, without loading the model."""
    from scatterml_ase.card import read_card
    from scatterml_ase.store import list_models

    for card in list_models():
        if card.name == name:
            return card
    if Path(name).is_dir():
        return read_card(name)
    known = ", ".join(card.name for card in list_models()) or "none"
    raise InputError(
        explain(f"There is no model {name!r}", f"shipped are {known}, and no folder is called so",
                "Run: scatterml models")
    )  # fmt: skip


def _set_up_messages(*, quiet: bool) -> None:
    """Send log lines and warnings to stderr, one plain line each; when quiet, none."""
    logger = logging.getLogger("scatterml_ase")
    for handler in list(logger.handlers):
        if handler.get_name() == "cli":
            logger.removeHandler(handler)
    handler = logging.StreamHandler(sys.stderr)
    handler.set_name("cli")
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR if quiet else logging.WARNING)
    for room in ("cli", "workflows", "training"):  # the stages; details stay out of the way
        logger.getChild(room).setLevel(logging.ERROR if quiet else logging.INFO)
    if quiet:
        warnings.simplefilter("ignore")
    warnings.showwarning = _show_warning


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    print(f"Warning: {message}", file=sys.stderr)


def _stem(structure: str) -> str:
    """Name the output folder: ``data/Si.cif.gz`` gives ``Si``, ``NaCl:rocksalt:5.64`` ``NaCl``."""
    name = Path(structure).name if Path(structure).exists() else structure.partition(":")[0]
    name = re.sub(r"\.(gz|bz2|xz)$", "", name)
    return re.sub(r"[^\w.+-]", "_", Path(name).stem) or "structure"
