"""What a network is worth: its counts, its metrics, their intervals."""
