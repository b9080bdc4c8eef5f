"""What holds where nothing is typed."""
