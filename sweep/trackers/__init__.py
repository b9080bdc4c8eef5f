"""Sweeps written for the trackers of experiments that people use, through their own libraries."""
