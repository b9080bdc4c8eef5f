"""Files that others wrote or may write to, and those that a person asks for."""
