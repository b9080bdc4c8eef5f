"""Makes sixteen events of one: the reflections under which an event of tracks stays one.

The kernel density of reflected tracks is the reflected density; that of `sweep.data.kernel` in 98
of 100 bins, since its search, turned around in z, may end at another maximum. Reflection in z at
the middle of the beam line turns the bins around; in x or y it changes the sign of that
feature; exchange of x and y exchanges the two. Targets know of z alone, and of it not everything:
the window of bins that a vertex fills lies up to one bin low (`sweep.data.targets`), so that a
turned window has one bin too many above and misses one below. Both are masked.

Shapes: B event, C feature, L bin.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

TURN_Z, MIRROR_X, MIRROR_Y, EXCHANGE_XY = 1, 2, 4, 8
NUM_REFLECTIONS = 16
"""Numbers below it are sets of these four, the last one applied last."""
NUM_DRAWS = 1 << 16


class Reflections:
    """Which reflection each event of each step gets, known by the step's number alone.

    So a training that was interrupted goes on with those it would have had, and a recorded step
    draws new ones each time it is replayed.

    Args:
        share: Of the events that are reflected at all, from 0 to 1; each reflection, the one that
            changes nothing included, is then as probable.
        seed: Of the draws, at least 0.
        device: Where the events are.
    """

    def __init__(self, share: float, seed: int, device: torch.device) -> None:
        rng = np.random.default_rng([seed, NUM_REFLECTIONS])
        drawn = rng.integers(NUM_REFLECTIONS, size=NUM_DRAWS)
        drawn[rng.uniform(size=NUM_DRAWS) >= share] = 0
        self._drawn = torch.from_numpy(drawn).to(device)

    def choose_B(self, num_steps: Tensor, num_events: int) -> Tensor:
        """Choose the reflections of the step that follows so many, shape (B,)."""
        places = torch.arange(num_events, device=self._drawn.device) + num_steps * num_events
        return self._drawn[places % NUM_DRAWS]


def reflect(x_BCL: Tensor, y_BL: Tensor, reflection_B: Tensor) -> tuple[Tensor, Tensor]:
    """Reflect each event in its own way.

    Args:
        x_BCL: Features, shape (B, 4, L).
        y_BL: Targets, shape (B, L), NaN where masked.
        reflection_B: Whole numbers below `NUM_REFLECTIONS`, shape (B,).

    Returns:
        Features and targets of the same shapes. Where a target is not NaN it is that of the
        reflected vertices, but for the ends of a window within another one's (up to 0.02).
    """
    turned_B, mirrored_x_B, mirrored_y_B, exchanged_B = (
        (reflection_B & bit) != 0 for bit in (TURN_Z, MIRROR_X, MIRROR_Y, EXCHANGE_XY)
    )
    x_BCL = torch.where(turned_B[:, None, None], x_BCL.flip(-1), x_BCL)
    y_BL = torch.where(turned_B[:, None], _mask_window_ends(y_BL.flip(-1)), y_BL)
    density_BCL, place_BCL = x_BCL[:, :2], x_BCL[:, 2:]
    sign_BC = torch.stack((mirrored_x_B, mirrored_y_B), dim=1).to(x_BCL.dtype) * -2.0 + 1.0
    place_BCL = place_BCL * sign_BC[:, :, None]
    place_BCL = torch.where(exchanged_B[:, None, None], place_BCL.flip(1), place_BCL)
    return torch.cat((density_BCL, place_BCL), dim=1), y_BL


def _mask_window_ends(y_BL: Tensor) -> Tensor:
    """Mask the last bin of each turned window and the one below its first."""
    is_filled_BL = y_BL != 0  # NaN included
    is_end_BL = is_filled_BL != is_filled_BL.roll(-1, dims=1)
    is_end_BL[:, -1] = False
    return torch.where(is_end_BL, torch.nan, y_BL)
