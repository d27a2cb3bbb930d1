"""Room: the E3NN interatomic potential."""
