"""The colours of all pictures: what means one thing has one colour everywhere."""

from __future__ import annotations

COLORS = ("#4477aa", "#cc3311", "#228833", "#aa7700", "#882299", "#117788", "#775533", "#555555")
"""Of what is told apart by number, as architectures and metrics are."""

GRID_COLOR, AXIS_COLOR, NULL_COLOR = "#e4e4e4", "#888888", "#666666"

DENSITY_COLOR, TARGET_COLOR, PREDICTION_COLOR, X_COLOR, Y_COLOR = COLORS[:5]
MASK_COLOR = "#bbbbbb"
FALSE_COLOR, FOUND_COLOR = "#ee7733", "#0077bb"
"""Of an event: its curves, bins without a truth, and false peaks and found ones."""

BEST_COLOR = "#ff7f0e"
COMPLETE_COLOR, PRUNED_COLOR, DEAD_COLOR, LIMITED_COLOR = "#1f77b4", "#bbbbbb", "#d62728", "#9467bd"
FRONT_COLOR, HAND_TUNED_COLOR = "#4477aa", "#117733"
"""Of trials."""
