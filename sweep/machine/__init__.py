"""The machine that a process is on: its devices and their driver, its processes and signals."""
