"""Threads that take turns: one computes at a time, each with random numbers of its own."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from workers import wait_until

from sweep.machine.signals import Signals
from sweep.machine.turns import Turns, my_turn, others_turn
from sweep.worker.together import run_together

CPU = torch.device("cpu")
TIMEOUT_S = 60.0


def draw(seed: int) -> list[tuple[float, float, float]]:
    """Draw from all generators that a process shares, and let others draw in between."""
    drawn = []
    with my_turn():
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        for _ in range(20):
            drawn.append((float(torch.rand(())), float(np.random.rand()), random.random()))
            with others_turn():
                pass
    return drawn


def test_each_draws_as_if_it_were_alone() -> None:
    """Whatever others draw while they have the turn."""
    drawn: dict[int, list[tuple[float, float, float]]] = {}

    def act(seed: int) -> Callable[[], None]:
        return lambda: drawn.update({seed: draw(seed)})

    run_together([act(seed) for seed in range(4)], CPU, Signals())
    assert drawn == {seed: draw(seed) for seed in range(4)}


def test_who_waits_longest_is_next() -> None:
    """In the order in which they came."""
    turns, order = Turns(), list[int]()

    def wait(number: int) -> None:
        turns.take()
        order.append(number)
        turns.give()

    turns.take()
    threads = [threading.Thread(target=wait, args=(number,)) for number in range(3)]
    for number, thread in enumerate(threads):
        thread.start()
        wait_until(lambda number=number: len(turns) > number)
    turns.give()
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert order == [0, 1, 2]


def test_one_computes_at_a_time() -> None:
    """Who has the turn does not wait for itself; all come to their end."""
    computing, most = list[int](), list[int]()

    def act() -> None:
        with my_turn(), my_turn():
            for number in range(50):
                computing.append(number)
                most.append(len(computing))
                computing.pop()
                with others_turn():
                    pass

    run_together([act, act, act], CPU, Signals())
    assert most == [1] * 150


def test_turn_is_given_by_who_fails() -> None:
    """Nobody waits for one that is gone."""
    done: list[bool] = []

    def fail() -> None:
        with my_turn():
            raise ValueError("its own")

    def wait() -> None:
        with my_turn():
            done.append(True)

    with pytest.raises(ValueError, match="its own"):
        run_together([fail, wait, wait], CPU, Signals())
    assert done == [True, True]
