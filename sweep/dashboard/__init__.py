"""The sweeps in a browser: optuna-dashboard behind a gate, and what its pages show of a sweep."""
