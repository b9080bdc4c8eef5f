"""The events at which the best trial is looked: the first ones, and the worst of some."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sweep.data.events import EventSet
from sweep.data.progress import Progress
from sweep.metrics.inspected import InspectedEvent, find_worst
from sweep.results.evaluation import rebuild_network
from sweep.results.status import Status
from sweep.storage.epochs import TrialRow
from sweep.training.inspection import inspect_events

NUM_FIRST = 2
NUM_JUDGED = 50
"""Among so many validation events, the first ones, the worst is looked for."""


def choose_inspected(
    status: Status,
    trial: TrialRow,
    artifacts: Path,
    events: EventSet,
    progress: Progress | None = None,
) -> list[InspectedEvent]:
    """Run a trial's network on its first validation events, and find the worst of some more.

    Args:
        trial: Complete and feasible.

    Returns:
        The first NUM_FIRST, then the one with the most mistakes among the first NUM_JUDGED, where
        that is another.

    Raises:
        ModelError: when the network cannot be built again on this machine.
    """
    network = rebuild_network(status, trial, artifacts)
    inspected = inspect_events(network, events, NUM_JUDGED, progress)
    first = inspected[:NUM_FIRST]
    return first + [event for event in find_worst(inspected, 1) if event not in first]


def describe_inspected(inspected: Sequence[InspectedEvent]) -> str:
    """Say which events these are."""
    worst = f" and the one with the most mistakes of the first {NUM_JUDGED}"
    return f"first {NUM_FIRST} validation events" + worst * (len(inspected) > NUM_FIRST)
