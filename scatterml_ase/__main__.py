"""``python -m scatterml_ase`` is the command ``scatterml``."""

import sys

from scatterml_ase.cli import main

if __name__ == "__main__":
    sys.exit(main())
