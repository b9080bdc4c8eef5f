"""From what a person asks to a sweep that is ready to train."""
