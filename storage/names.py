"""What studies and sweeps are called."""

COMPANION_SUFFIX = " (all metrics)"
"""What the study of a sweep's companion is called beyond the sweep; no sweep is called so."""
