"""Room: what an instrument sees of a crystal's vibrations."""
