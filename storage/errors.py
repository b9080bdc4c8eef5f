"""The faults of a database or an artifact folder that a person can put right."""

from __future__ import annotations


class StorageError(Exception):
    """The database or the artifact folder cannot be used as asked; `str(error)` is one line."""


class UnknownSweepError(StorageError):
    """No sweep of that name is in the database."""


class ArtifactError(StorageError):
    """A file of a trial cannot be written: the disk is full, or the folder not writable."""


class LostClaimError(StorageError):
    """Another worker holds this trial now; whatever this one computes must not be stored."""


class RightsError(StorageError):
    """The database does not let this role or user do what was asked; waiting does not help."""
