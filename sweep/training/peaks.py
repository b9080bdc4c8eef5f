"""The peak finder of `sweep.metrics.peaks` for tensors on any device, in tables of fixed shape.

A table has as many columns as an event can have regions, so that a GPU finds peaks and matches them
with nobody waiting for it: how many there are shows in the counts at the end. A CPU's table ends
with its fullest event.

Shapes: B event, L bin, R column, P peak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweep.metrics.decode import REFERENCE, Decode
from sweep.metrics.peaks import Regions, check_finite, check_shape, gather_regions
from sweep.training.walk import find_walk


@dataclass(frozen=True)
class RegionTable:
    """Regions of a batch, a row for each event, in order along the histogram.

    The columns after an event's last region have position inf, height, integral and width 0. There
    is one column at least.

    Attributes:
        position_BR: sum(i * v) / sum(v) in bins, float32: the centre of bin i is at i.
        height_BR: Highest bin, float32.
        integral_BR: sum(v), float32, as the reference adds it up.
        width_BR: Number of bins, int32; NaN bins between them are none.
        faults_2: int64: how many bins of the batch are infinite, and how many regions of enough
            bins have sums that are not finite. Where one is not 0 the table says nothing.
    """

    position_BR: Tensor
    height_BR: Tensor
    integral_BR: Tensor
    width_BR: Tensor
    faults_2: Tensor


def tabulate_regions(histogram_BL: Tensor, decode: Decode = REFERENCE) -> RegionTable:
    """Find the regions of each histogram that the settings take for a peak.

    Nothing is read back from a GPU. Who wants to compare settings asks once for each threshold,
    with integral 0 and the smallest width, and applies the others to the table: a region's sums do
    not depend on them.

    Args:
        histogram_BL: Truth or prediction, shape (B, L), compared as float32. NaN is allowed.

    Raises:
        ValueError: When the shape is not (B, L).
    """
    check_shape(tuple(histogram_BL.shape))
    histogram_BL = histogram_BL.detach().to(torch.float32).contiguous()
    walk = find_walk(histogram_BL.device)
    if walk is None:
        return _fill_table(list_regions(histogram_BL.cpu(), decode), histogram_BL.device)
    num_events, num_bins = histogram_BL.shape
    table = _make_table(num_events, 1 + num_bins // (decode.min_width + 1), histogram_BL.device)
    faults_B2 = torch.zeros((num_events, 2), dtype=torch.int32, device=histogram_BL.device)
    walk(
        histogram_BL,
        decode,
        (table.position_BR, table.height_BR, table.integral_BR, table.width_BR, faults_B2),
    )
    table.faults_2.copy_(faults_B2.sum(0))
    return table


def list_regions(histogram_BL: Tensor, decode: Decode = REFERENCE) -> Regions:
    """Find the same on a CPU, as lists.

    Raises:
        ValueError: When the shape is not (B, L).
    """
    return gather_regions(histogram_BL.detach().float().numpy(), decode, torch.get_num_threads())


def check_table(*tables: RegionTable) -> None:
    """Refuse tables of histograms that are not finite. It waits for a GPU.

    Raises:
        NotFiniteError: When a bin is inf or -inf, or a sum of bins overflows float32.
    """
    check_faults(torch.stack([table.faults_2 for table in tables]).sum(0))


def check_faults(faults_2: Tensor) -> None:
    """Refuse what sums of `RegionTable.faults_2` show; as `check_table`."""
    check_finite(*faults_2.tolist())


def _make_table(num_events: int, num_columns: int, device: torch.device) -> RegionTable:
    shape = num_events, num_columns
    return RegionTable(
        position_BR=torch.full(shape, math.inf, device=device),
        height_BR=torch.zeros(shape, device=device),
        integral_BR=torch.zeros(shape, device=device),
        width_BR=torch.zeros(shape, dtype=torch.int32, device=device),
        faults_2=torch.zeros(2, dtype=torch.int64, device=device),
    )


def _fill_table(regions: Regions, device: torch.device) -> RegionTable:
    """Set regions of a CPU's walk out in rows."""
    num_columns = max(1, int(regions.count_B.max(initial=0)))
    has_region_BR = np.arange(num_columns) < regions.count_B[:, None]

    def lay_out(value_R: NDArray[np.generic], rest: float, dtype: str) -> Tensor:
        table_BR = np.full(has_region_BR.shape, rest, dtype)
        table_BR[has_region_BR] = value_R
        return torch.from_numpy(table_BR).to(device)

    faults_2 = torch.tensor([regions.num_infinite, regions.num_overflows])
    return RegionTable(
        position_BR=lay_out(regions.position_R, math.inf, "float32"),
        height_BR=lay_out(regions.height_R, 0.0, "float32"),
        integral_BR=lay_out(regions.integral_R, 0.0, "float32"),
        width_BR=lay_out(regions.width_R, 0, "int32"),
        faults_2=faults_2.to(device),
    )
