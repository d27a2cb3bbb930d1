"""The command ``scatterml``: the main job, training, and the models at hand.

Options are the fields of dataclasses, and their help is the docstring of the class: nothing is
written twice. Everything heavy is imported when a command runs, so that help is quick.
"""

from scatterml_ase.cli.command import main

__all__ = ["main"]
