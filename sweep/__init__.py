"""sweep: hyperparameter sweeps for networks that find proton-proton collision points."""
