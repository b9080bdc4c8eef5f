"""The report: one HTML page of sweeps, drawn from the database, that needs nothing but itself."""
