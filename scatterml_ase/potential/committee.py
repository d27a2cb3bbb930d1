"""The calculator that knows how sure it is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import compare_atoms

from scatterml_ase.card import damaged
from scatterml_ase.companions import load_companion
from scatterml_ase.errors import InputError, ModelError, explain
from scatterml_ase.potential.calculator import PotentialCalculator
from scatterml_ase.potential.extrapolation import ExtrapolationMeasure
from scatterml_ase.potential.members import (
    Committee,
    IndependentCommittee,
    LastLayerCommittee,
    MeanPotential,
    disagreement,
    grades,
)

COMMITTEE = "committee"
"""Name of the companion file of a model that holds its committee."""

_REMEDY = "Fit one to the data it was trained on: scatterml uncertainty FOLDER --data FILE"
_SPREADS = ("energy_spread", "force_spread")

Model = str | Path | torch.nn.Module


class CommitteeCalculator(PotentialCalculator):
    """A potential with an uncertainty for its energy and forces, and a flag on each atom.

    Energy, forces and stress are those of :class:`PotentialCalculator` for one model, and the
    mean of several. What is uncertain about them is computed when it is asked for and at no other
    time: :meth:`get_energy_spread` and :meth:`get_force_spread` take one forward pass and one
    backward pass for each member, :meth:`get_extrapolation` one forward pass.

    Parameters
    ----------
    model
        The name or the folder of a model that has a committee (members differ in the last layer,
        and all before it is shared), or two or more models trained apart; these share the
        neighbour list, that of the largest cutoff.
    dtype, device, skin
        As of :class:`PotentialCalculator`.

    Examples
    --------
    >>> atoms.calc = CommitteeCalculator("si")  # doctest: +SKIP
    >>> atoms.get_forces(), atoms.calc.get_force_spread(atoms)  # doctest: +SKIP
    >>> dynamics.attach(StopOnExtrapolation(atoms), interval=10)  # doctest: +SKIP
    """

    def __init__(
        self,
        model: Model | Sequence[Model] = "si",
        *,
        dtype: str | None = "float64",
        device: str = "cpu",
        skin: float = 0.5,
    ) -> None:
        self._committee: Committee
        self._known: tuple[Atoms, dict[str, Any]] | None = None
        options: dict[str, Any] = {"dtype": dtype, "device": device, "skin": skin}
        if isinstance(model, str | Path | torch.nn.Module):
            super().__init__(model, **options)
            self._committee, self._energy_factor = load_committee(self.model)
            self.parameters[COMMITTEE] = len(self._committee.members)
            return
        calculators = [PotentialCalculator(one, **options) for one in model]
        super().__init__(MeanPotential([one.model for one in calculators]), **options)
        self._committee = IndependentCommittee(cast(MeanPotential, self.model))
        self._energy_factor = 1.0
        self.parameters[COMMITTEE] = [_identity(one) for one in calculators]

    @property
    def members(self) -> tuple[PotentialCalculator, ...]:
        """The members as calculators of their own, e.g. to carry the spread to phonons.

        Members of one model are scaled so that their forces spread as the forces err;
        :meth:`get_energy_spread` multiplies their energies' spread with a factor of its own.
        """
        options = {key: self.parameters[key] for key in ("dtype", "device", "skin")}
        found = []
        for number, potential in enumerate(self._committee.potentials()):
            member = PotentialCalculator(potential, **options)
            if isinstance(self._committee, LastLayerCommittee):  # else its card says what it is
                member.parameters.update(_identity(self), member=number)
            found.append(member)
        return tuple(found)

    @property
    def knows_extrapolation(self) -> bool:
        """Whether there is a grade: for members of one model, not for independent models."""
        return isinstance(self._committee, LastLayerCommittee)

    # -- what is uncertain ----------------------------------------------------------------------

    def get_energy_spread(self, atoms: Atoms | None = None) -> float:
        """Return the standard deviation to expect of the energy, in eV, for the whole structure.

        Without ``atoms`` that of the structure computed last.
        """
        return float(self._uncertain(atoms, "energy_spread"))

    def get_force_spread(self, atoms: Atoms | None = None) -> np.ndarray:
        """Return the standard deviation to expect of a force component of each atom.

        Shape (atoms,), in eV/Å: the root mean square over x, y, z.
        """
        return self._uncertain(atoms, "force_spread").copy()

    def get_extrapolation(self, atoms: Atoms | None = None) -> np.ndarray:
        """Return the extrapolation grade of each atom, (atoms,), without unit.

        Above 1 the surroundings of the atom are outside of what the model was trained on: no more
        than 1 % of held-out atoms are. See
        :class:`~scatterml_ase.potential.extrapolation.ExtrapolationMeasure`.

        Raises
        ------
        ModelError
            If the committee is made of independent models: their training sets are not known.
        """
        return self._uncertain(atoms, "extrapolation").copy()

    def evaluate(
        self, images: Sequence[Atoms], properties: Collection[str] | None = None
    ) -> list[dict[str, Any]]:
        """Compute many structures in batches, as :meth:`TorchCalculator.evaluate` does.

        Parameters
        ----------
        images
            Structures; they are not changed and get no calculator.
        properties
            Besides ASE's names also ``"energy_spread"`` (eV), ``"force_spread"`` (atoms,) eV/Å
            and ``"extrapolation"`` (atoms,). They cost extra and come only if named; where nothing
            else is named, energies alone come with them.

        Returns
        -------
        list of dict
            Per structure.
        """
        images = [images] if isinstance(images, Atoms) else list(images)
        names = tuple(properties or ())
        extra = [name for name in names if name in (*_SPREADS, "extrapolation")]
        self._check_known(extra)
        plain = [name for name in names if name not in extra] or (["energy"] if extra else None)
        results = super().evaluate(images, plain)
        if extra:
            for result, more in zip(results, self._uncertainties(images, extra), strict=True):
                result |= {name: more[name] for name in extra}
        return results

    # -- how ------------------------------------------------------------------------------------

    def _uncertain(self, atoms: Atoms | None, name: str) -> Any:
        """Return one quantity of a structure; it is kept until another one is asked about."""
        with self._lock:
            structure = self.atoms if atoms is None else atoms
            if structure is None:
                raise InputError(
                    explain(
                        "There is no structure to be uncertain about",
                        "nothing was computed yet",
                        "Pass atoms, or compute an energy first",
                    )
                )
            self._check_known([name])
            self._check(structure, ())
            if self._known is None or compare_atoms(self._known[0], structure, tol=0.0):
                self._known = (structure.copy(), {})
            known = self._known[1]
            if name not in known:
                known |= self._uncertainties([structure], [name])[0]
            return known[name]

    def _check_known(self, names: Collection[str]) -> None:
        """Refuse to tell grades that nobody can know."""
        if "extrapolation" in names and not self.knows_extrapolation:
            raise ModelError(
                explain(
                    "The committee of independent models has no extrapolation grade",
                    "what each of them was trained on is not known here",
                    "Use CommitteeCalculator with one model that has a committee, or look at "
                    "get_force_spread",
                )
            )

    def _uncertainties(self, images: Sequence[Atoms], names: Collection[str]) -> list[dict]:
        """Return what is asked for of each structure, and what comes with it."""
        found: list[dict[str, Any]] = []
        # The reader listens on its modules while they compute: one thread at a time.
        with self._lock, torch.inference_mode(mode=False):
            for batch, structures in self._batches(images):
                energy = forces = None
                if set(names) & set(_SPREADS):
                    apart = disagreement(self._committee, batch)
                    energy, forces, grade = apart.energy, apart.forces, apart.grades
                else:
                    grade = grades(self._committee, batch)
                end = 0
                for k, atoms in enumerate(structures):
                    own = slice(end, end := end + len(atoms))
                    one: dict[str, Any] = {}
                    if energy is not None and forces is not None:
                        one["energy_spread"] = self._energy_factor * float(energy[k])
                        one["force_spread"] = forces[own].numpy(force=True).copy()
                    if grade is not None:
                        one["extrapolation"] = grade[own].numpy(force=True).copy()
                    found.append(one)
        return found


def _identity(calculator: PotentialCalculator) -> dict[str, Any]:
    """Return what ``todict()`` says of a calculator's model."""
    said = calculator.parameters
    return {key: said[key] for key in ("model", "sha256") if key in said}


def load_committee(model: torch.nn.Module) -> tuple[LastLayerCommittee, float]:
    """Return the committee of a loaded model, and the factor on its spread of energies.

    Raises
    ------
    ModelError
        If the model has none, or it is damaged or belongs to other weights.
    """
    card = getattr(model, "card", None)
    if card is None:
        raise ModelError(
            explain(
                f"{type(model).__name__} has no committee",
                "it was not loaded from a folder, where a committee would be kept",
                "Pass the name or folder of a model, or two or more models",
            )
        )
    tensors = load_companion(card, COMMITTEE, remedy=_REMEDY)
    try:
        return committee_from_tensors(model, tensors)
    except (KeyError, ValueError) as error:
        raise damaged(card.directory, f"its {COMMITTEE} does not fit: {error.args[0]}") from error


def committee_from_tensors(
    model: torch.nn.Module, tensors: dict[str, torch.Tensor]
) -> tuple[LastLayerCommittee, float]:
    """Make a committee of ``members`` (k, p), ``energy_factor`` () and a measure.

    Raises
    ------
    ValueError, KeyError
        If a tensor is missing or does not fit the model.
    """
    members, factors = tensors["members"], tensors["energy_factor"]
    if len(members) == 0 or factors.numel() != 1:
        raise ValueError("it holds no members, or not one energy_factor")
    factor = float(factors)
    if not (bool(torch.isfinite(members).all()) and 0 < factor < float("inf")):
        raise ValueError("members or energy_factor are not finite")
    committee = LastLayerCommittee(model, members)
    size = sum(readout.linear.in_features for readout in committee.reader.readouts)
    measure = ExtrapolationMeasure.from_tensors(tensors, size)
    committee.measure = measure.to(committee.members.device)
    return committee, factor
