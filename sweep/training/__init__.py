"""Training one trial, and the metrics that say what it is worth."""
