"""Everything that is kept: the database (our tables beside Optuna's) and the files of artifacts.

Imports neither `sweep` nor `models`, and no torch. Above this package nobody sees SQL; below it
nobody knows what a network is.
"""
