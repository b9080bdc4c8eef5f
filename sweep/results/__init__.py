"""What a sweep has found, drawn from the database: status, best, export, scores."""
