"""A network's state as plain tensors, as a file of weights can hold it, and the way back.

PyTorch lets a state hold more than such a file: what `get_extra_state` returns, tensors of another
layout or type, buffers that are other ones after the first batch. All of it has to come back in
another process, so whatever cannot is found before a training is spent on it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from sweep.machine.device import is_out_of_memory

Weights = dict[str, Tensor]
ENCODED = " (torch.save)"
"""Ends the name of what is no plain tensor: its bytes are kept as `torch.save` writes them."""
PLAIN_TYPES = {
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
}


class StateError(Exception):
    """A state cannot be kept, or is none of this network or training."""


def capture_state(network: nn.Module) -> Weights:
    """Copy a network's state to the CPU, every part of it a tensor with memory of its own.

    Raises:
        Whatever the network's own hooks do, or PyTorch where it cannot write a part.
    """
    return dict(_encode(name, part) for name, part in network.state_dict().items())


def restore_state(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give a network a captured state; buffers may be of another shape than its own.

    Raises:
        StateError: when it is of another network, or the network does not take it back.
    """
    try:
        state = dict(_decode(name, part) for name, part in weights.items())
        _fit_buffers(network, state)
        network.load_state_dict(state)
    except Exception as exc:  # a network's own hooks may raise anything
        if is_out_of_memory(exc):
            raise
        reason = " ".join(str(exc).split()) or repr(exc)
        raise StateError(f"the state does not fit the network: {reason}") from exc


def check_form(where: str, expected: object, found: object) -> None:
    """Make sure that a part of a stored state has the form of the live one.

    Raises:
        StateError: when kinds, names, lengths or shapes differ, or a number is not finite.
    """
    own, kept = (dict(_list_forms(where, state)) for state in (expected, found))
    for place in sorted(own.keys() | kept.keys()):
        got, wanted = kept.get(place, "nothing"), own.get(place, "nothing")
        if got != wanted:
            raise StateError(f"{place}: got {got}, expected {wanted}")


def _list_forms(where: str, part: object) -> Iterator[tuple[str, str]]:
    """List of what form each part of a state is, by its place."""
    if isinstance(part, Mapping | list | tuple):
        yield where, "parts by name" if isinstance(part, Mapping) else "parts in a row"
        for name, inner in part.items() if isinstance(part, Mapping) else enumerate(part):
            yield from _list_forms(f"{where}.{name}", inner)
    elif isinstance(part, Tensor):
        yield where, describe(part)
    else:
        yield where, "a number" if _is_number(part) else type(part).__name__


def check_parts(where: str, names: Iterable[str], found: object) -> None:
    """Make sure that a part of a stored state is a mapping of these names, whatever they hold.

    Raises:
        StateError: when it is not.
    """
    blank = dict.fromkeys(found) if isinstance(found, Mapping) else found
    check_form(where, dict.fromkeys(names), blank)


def check_slots(parameters: Sequence[Tensor], slots: object) -> None:
    """Make sure that what an Adam keeps of each parameter fits it.

    Raises:
        StateError: when it does not.
    """
    if not isinstance(slots, Mapping):
        raise StateError(f"optimizer: got {describe(slots)}, expected what it keeps by parameter")
    for index, kept in slots.items():
        if not isinstance(index, int) or not 0 <= index < len(parameters):
            raise StateError(f"optimizer: got parameter {index!r}, expected {len(parameters)}")
        moment = torch.zeros_like(parameters[index], device="cpu")
        step = torch.zeros((), dtype=torch.float32)
        check_form(
            f"optimizer.{index}", {"step": step, "exp_avg": moment, "exp_avg_sq": moment}, kept
        )


def describe(part: object) -> str:
    """Describe a part of a state by its form."""
    if isinstance(part, Tensor):
        return f"{tuple(part.shape)} of {part.dtype}"
    return ascii(part)[:80]


def _encode(name: str, part: object) -> tuple[str, Tensor]:
    if _is_plain(part):
        assert isinstance(part, Tensor)
        return name, part.detach().cpu().clone(memory_format=torch.contiguous_format)
    buffer = io.BytesIO()
    torch.save(part, buffer)
    return f"{name}{ENCODED}", torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)


def _decode(name: str, part: Tensor) -> tuple[str, object]:
    if not name.endswith(ENCODED):
        return name, part
    buffer = io.BytesIO(part.numpy().tobytes())
    return name.removesuffix(ENCODED), torch.load(buffer, map_location="cpu", weights_only=True)


def _is_plain(part: object) -> bool:
    """Tell whether a file of weights holds such a tensor as it is."""
    return (
        type(part) in (Tensor, nn.Parameter)
        and isinstance(part, Tensor)
        and part.layout == torch.strided
        and part.dtype in PLAIN_TYPES
    )


def _fit_buffers(network: nn.Module, state: Mapping[str, object]) -> None:
    """Make room for buffers that a new network has not yet, or cannot be written into."""
    for name, part in state.items():
        path, _, leaf = name.rpartition(".")
        if not isinstance(part, Tensor):
            continue
        try:
            owner = network.get_submodule(path)
        except AttributeError:  # of another network, which loading will say
            continue
        own = getattr(owner, leaf, part)
        is_buffer = leaf in dict(owner.named_buffers(recurse=False))
        if own is None or (is_buffer and (own.shape != part.shape or _is_expanded(own))):
            near = next(network.parameters(), part) if own is None else own
            setattr(owner, leaf, part.clone().to(near.device))


def _is_expanded(buffer: Tensor) -> bool:
    """Tell whether elements share memory, so that nothing can be written into them."""
    return buffer.layout == torch.strided and buffer.numel() > 1 and 0 in buffer.stride()


def _is_number(part: object) -> bool:
    is_number = isinstance(part, int | float) and not isinstance(part, bool)
    return is_number and math.isfinite(part)  # type: ignore[arg-type]  # a number by now
