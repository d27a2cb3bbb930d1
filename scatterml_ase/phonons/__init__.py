"""Room: force constants from any calculator."""
