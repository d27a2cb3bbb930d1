"""Properties of a crystal that any ASE calculator can be asked for, one file each."""
