"""The reference's walk along the bins of histograms, compiled: what adds bins up on a CPU.

It is in a module of its own, because numba compiles or loads on import, and most commands never
look for a peak. `sweep/training/walk.cu` is the same walk for a GPU.

Shapes: B event, L bin, K bin of a block, P region that is kept.
"""

from __future__ import annotations

import numpy as np

from sweep.machine.compiled import compiled

STRETCH, BLOCK = 64, 16
"""Bins that are passed together where all of them are low: a processor compares several at once."""

ZERO = np.float32(0)
LOWEST = np.float32(-np.inf)
HIGHEST = np.float32(np.inf)
INFINITE_BITS = np.uint32(0x7F800000)


# numba infers the types of what it compiles: these functions carry none
@compiled(error_model="numpy")
def walk(histogram_BL, threshold, least_integral, min_width):  # type: ignore[no-untyped-def]
    """Walk along each histogram bin by bin in float32, as the reference does.

    Bins of at least the threshold add to a region; a lower bin ends it, and so does the last one. A
    NaN bin does neither, so a region goes on beyond it. A region of enough bins and integral is
    kept. The reference's i * v is an integer times a float32, hence float64; so is its sum with the
    float32 total, which is then rounded to float32.

    Args:
        histogram_BL: float32, each event's bins side by side.
        threshold, least_integral: float32.

    Returns:
        Position, height, integral, all float32, and width of the regions that are kept, in order,
        shape (P,); how many each event has, shape (B,); how many bins are infinite; how many
        regions of enough bins have sums that are not finite, whether kept or not.
    """
    num_events, num_bins = histogram_BL.shape
    bits_BL = histogram_BL.view(np.uint32)
    limits = threshold, np.array([max(threshold, ZERO)]).view(np.uint32)[0]
    most = num_events * (num_bins // (min_width + 1) + 1)
    values_3P, width_P = np.empty((3, most), np.float32), np.empty(most, np.int64)
    count_B = np.empty(num_events, np.int64)
    num_kept = num_infinite = num_overflows = 0
    for event in range(num_events):
        num_before = num_kept
        index = 0
        while index < num_bins:
            stop = min(index + STRETCH, num_bins)
            if _is_low(histogram_BL[event, index:stop], bits_BL[event, index:stop], limits):
                index = stop
            while index < stop:
                end = min(index + BLOCK, num_bins)
                if _find_highest(bits_BL[event, index:end]) < limits[1]:
                    index = end
                while index < end:
                    value = histogram_BL[event, index]
                    if not value >= threshold:
                        num_infinite += value == LOWEST
                        index += 1
                        continue
                    index, width, num_highest, sums = _add_up(histogram_BL[event], index, threshold)
                    num_infinite += num_highest
                    if width >= min_width:
                        position, height, integral, is_finite = sums
                        num_overflows += not is_finite
                        if integral >= least_integral:
                            values_3P[0, num_kept] = position
                            values_3P[1, num_kept] = height
                            values_3P[2, num_kept] = integral
                            width_P[num_kept] = width
                            num_kept += 1
        count_B[event] = num_kept - num_before
    position_P, height_P, integral_P = values_3P[:, :num_kept].copy()
    kept = position_P, height_P, integral_P, width_P[:num_kept].copy()
    return kept, count_B, num_infinite, num_overflows


@compiled(inline="always")
def _add_up(histogram_L, index, threshold):  # type: ignore[no-untyped-def]
    """Add up the region that begins at a bin.

    Returns:
        Index of the lower bin that ends it, or the number of bins; its width; how many of its bins
        are infinite; and its position, height, integral, and whether the sums are finite.
    """
    width, num_highest, height, integral, weighted = 0, 0, ZERO, ZERO, ZERO
    while index < len(histogram_L):
        value = histogram_L[index]
        if value < threshold:
            break
        if value >= threshold:
            width += 1
            num_highest += value == HIGHEST
            height = value if value > height else height
            integral += value
            weighted = np.float32(np.float64(weighted) + index * np.float64(value))
        index += 1
    is_finite = np.isfinite(integral) and np.isfinite(weighted)
    return index, width, num_highest, (weighted / integral, height, integral, is_finite)


@compiled(inline="always")
def _is_low(block_K, bits_K, limits):  # type: ignore[no-untyped-def]
    """Say whether all bins are finite and below the threshold: they change nothing.

    The bits of floats that are not negative rise as these do; those of the others, of infinity and
    of NaN are higher. So one comparison a bin is enough, but where there are negative bins.
    """
    threshold, least_bits = limits
    highest = _find_highest(bits_K)
    if highest < INFINITE_BITS:
        return highest < least_bits
    num_others = 0
    for offset in range(len(block_K)):
        value = block_K[offset]
        num_others += not ((value < threshold) & (value > LOWEST))
    return num_others == 0


@compiled(inline="always")
def _find_highest(bits_K):  # type: ignore[no-untyped-def]
    highest = np.uint32(0)
    for offset in range(len(bits_K)):
        bits = bits_K[offset]
        highest = bits if bits > highest else highest
    return highest


@compiled()
def match(truth_BL, true_T, num_true_B, predicted_P, num_predicted_B, distance, um_per_bin):  # type: ignore[no-untyped-def]
    """Compare the peaks of each event pair by pair, as the reference does.

    Args:
        truth_BL: float32; NaN masks a bin.
        true_T, predicted_P: Positions in bins, float32, of one event after the other.
        num_true_B, num_predicted_B: How many of them each event has.
        distance: Of the farthest match, in bins, float32.

    Returns:
        Counts, shape (B, 9), int64, columns as in `sweep.metrics.score.EVENT_COUNTS`.
    """
    counts_BK = np.zeros((len(truth_BL), 9), np.int64)
    is_masked_P = _find_masked(truth_BL, predicted_P, num_predicted_B)
    first_true = first_predicted = 0
    for event in range(len(truth_BL)):
        true = true_T[first_true : first_true + num_true_B[event]]
        predicted = predicted_P[first_predicted : first_predicted + num_predicted_B[event]]
        first_true += len(true)
        first_predicted += len(predicted)
        for position in true:
            offset = _find_nearest(position, predicted, distance)
            if offset < HIGHEST:
                counts_BK[event, 0] += 1
                counts_BK[event, 4] += 1
                um = np.int64(np.rint(np.float64(offset) * um_per_bin))
                power = um
                for column in range(5, 9):
                    counts_BK[event, column] += power
                    power *= um
            else:
                counts_BK[event, 2] += 1
        for peak in range(first_predicted - len(predicted), first_predicted):
            if not is_masked_P[peak]:
                is_near = _find_nearest(predicted_P[peak], true, distance) < HIGHEST
                counts_BK[event, 1 if is_near else 3] += 1
    return counts_BK


@compiled()
def _find_masked(truth_BL, position_P, num_B):  # type: ignore[no-untyped-def]
    """Say of each peak whether its bin is masked: all at once, as each waits for the memory."""
    is_masked_P = np.empty(len(position_P), np.bool_)
    first = 0
    for event in range(len(num_B)):
        for peak in range(first, first + num_B[event]):
            index = min(max(np.int64(np.rint(position_P[peak])), 0), truth_BL.shape[1] - 1)
            is_masked_P[peak] = np.isnan(truth_BL[event, index])
        first += num_B[event]
    return is_masked_P


@compiled(inline="always")
def _find_nearest(position, others, distance):  # type: ignore[no-untyped-def]
    """Find how far beyond a position the nearest of others is; infinity where none is near.

    Of two equally near ones it is the first.
    """
    found, least = HIGHEST, HIGHEST
    for other in others:
        offset = other - position
        if abs(offset) <= distance and abs(offset) < least:
            found, least = offset, abs(offset)
    return found


def load_compiled() -> None:
    """Compile what is compiled here, or load it, for the types that it is called with."""
    histogram_BL = np.zeros((1, 1), np.float32)
    (position_P, *_), count_B, *_ = walk(histogram_BL, ZERO, ZERO, 1)
    match(histogram_BL, position_P, count_B, position_P, count_B, HIGHEST, 1.0)
