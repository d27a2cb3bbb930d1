"""A folder of structures becomes a table of heat capacities."""

import tempfile
from pathlib import Path

from ase.build import bulk

from scatterml_ase import screen

folder = Path(tempfile.mkdtemp(prefix="screening-"))
for formula, prototype, a in (
    ("LiF", "rocksalt", 4.03),
    ("NaCl", "rocksalt", 5.64),
    ("MgO", "rocksalt", 4.22),
    ("ZnS", "zincblende", 5.41),
    ("GaAs", "zincblende", 5.65),
    ("CsCl", "cesiumchloride", 4.12),
):
    bulk(formula, prototype, a=a).write(folder / f"{formula}.cif")

table = screen(folder, temperature=300, progress=True)
table.save(folder / "table.csv")
for row in table.rows:
    print(
        f"{row.formula:6s} C_V {row.heat_capacity:6.2f} ± {row.heat_capacity_error:.2f} J/(K mol)"
    )
print(f"the table is {folder / 'table.csv'}; scatterml screen {folder} writes it too")
