"""One attempt at one trial."""
