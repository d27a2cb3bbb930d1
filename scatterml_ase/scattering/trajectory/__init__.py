"""What scatters from a molecular-dynamics trajectory: S(Q, E), F(Q, t), vibrations."""
