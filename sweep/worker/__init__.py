"""A process that claims trials and trains them."""
