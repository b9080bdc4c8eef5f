"""One step of a training: a batch in, changed weights out, and nothing for the host to wait for.

Everything that differs from step to step (the rate, the shares of the average, the sum of the loss)
is a tensor on the device that the step itself moves on. So the same function is called batch by
batch on a CPU, and recorded once and replayed on a GPU (`training.replay`).

Shapes: B event, C feature, L bin.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sweep.config import Recipe, Value
from sweep.training.augmentation import Reflections, reflect
from sweep.training.average import WeightAverage
from sweep.training.loss import compute_ratio_loss_B
from sweep.training.schedule import list_rates
from sweep.training.state import check_form, check_parts, check_slots


def _leave_compiler_out(optimizer: type[torch.optim.Adam]) -> type[torch.optim.Adam]:
    """Give a class of optimisers that does not load PyTorch's compiler to tell it to do nothing.

    To load that takes longer than all else a worker needs beside PyTorch.
    """
    names = ("add_param_group", "zero_grad", "state_dict", "load_state_dict", "step")
    bare = {name: inspect.unwrap(getattr(optimizer, name)) for name in names}
    bare["step"] = torch.no_grad()(bare["step"])
    return type(optimizer.__name__, (optimizer,), bare)


OPTIMIZERS: Mapping[str, type[torch.optim.Adam]] = {
    "adam": _leave_compiler_out(torch.optim.Adam),
    "adamw": _leave_compiler_out(torch.optim.AdamW),
}


class TrainingStep:
    """What a training does with each batch.

    Args:
        network: On its device; in training mode when the step is called.
        hyperparameters: As `training.trainer.Trainer` has them.
        num_batches: Steps of an epoch.
        reflections: Which reflection of each event is learned from; None for the events themselves.

    Attributes:
        rates: Learning rate of each step; the last one holds for all that follow.
        total_loss: Sum of the loss over the events since the epoch began; float64, on the device.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        hyperparameters: Mapping[str, Value],
        num_batches: int,
        device: torch.device,
        reflections: Reflections | None = None,
    ) -> None:
        self.network = network
        self.reflections = reflections
        self.clip_norm = recipe.clip_norm
        self.asymmetry = get_number(hyperparameters, "asymmetry", 0.0)
        # bfloat16 needs no loss scaling; GPUs without it (before Ampere) train in full precision.
        self.is_mixed = device.type == "cuda" and torch.cuda.is_bf16_supported(
            including_emulation=False
        )
        self.rates = list_rates(recipe, get_number(hyperparameters, "lr"), num_batches)
        num_steps = num_batches * recipe.epochs
        rest = [self.rates[-1]] * (num_steps - len(self.rates))
        # As PyTorch's kernels of Adam take it: a GPU's reads it where it is, in single precision.
        dtype = torch.float32 if device.type == "cuda" else torch.float64
        self._rates = torch.tensor([*self.rates, *rest], dtype=dtype, device=device)
        self._rate = self._rates[0].clone()
        self._num_steps = torch.zeros((), dtype=torch.int64, device=device)
        self.total_loss = torch.zeros((), dtype=torch.float64, device=device)
        self.optimizer = _build_optimizer(network, recipe, hyperparameters, self._rate)
        self.average = WeightAverage(network, recipe.average, num_steps) if recipe.average else None

    def __call__(self, x_BCL: Tensor, y_BL: Tensor) -> None:
        """Learn from one batch.

        Args:
            x_BCL: Features, shape (B, 4, 4000), float32.
            y_BL: Targets, shape (B, 4000), float32, NaN where masked.
        """
        if self.reflections:
            reflection_B = self.reflections.choose_B(self._num_steps, len(y_BL))
            x_BCL, y_BL = reflect(x_BCL, y_BL, reflection_B)
        loss_B = self._compute_loss_B(x_BCL, y_BL)
        self.optimizer.zero_grad(set_to_none=True)
        loss_B.mean().backward()  # type: ignore[no-untyped-call]
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        torch.take(self._rates, self._num_steps, out=self._rate)
        self.optimizer.step()
        if self.average:
            self.average.update()
        self._num_steps += 1
        self.total_loss += loss_B.detach().sum()

    def _compute_loss_B(self, x_BCL: Tensor, y_BL: Tensor) -> Tensor:
        # Without the cache: a recording must not find weights that were rounded outside of it.
        with torch.autocast("cuda", torch.bfloat16, enabled=self.is_mixed, cache_enabled=False):
            prediction_BL = self.network(x_BCL)
        return compute_ratio_loss_B(prediction_BL.float(), y_BL, asymmetry=self.asymmetry)

    def find_rate(self, num_steps: int) -> float:
        """Find the learning rate of the step that follows so many."""
        return self.rates[min(num_steps, len(self.rates) - 1)]

    def capture(self) -> dict[str, Any]:
        """Capture what the next steps depend on beside the network; tensors are the live ones."""
        return {
            "total_loss": self.total_loss,
            "optimizer": {"state": self.optimizer.state_dict()["state"]},
            "average": self.average.capture() if self.average else {},
        }

    def check(self, state: Mapping[str, Any]) -> None:
        """Make sure that a state has the form of what this step captures.

        Raises:
            StateError: when it has not.
        """
        if self.average:
            self.average.check(state.get("average"))
        else:
            check_form("checkpoint.average", {}, state.get("average"))
        optimizer = state.get("optimizer")
        check_parts("checkpoint.optimizer", ["state"], optimizer)
        assert isinstance(optimizer, Mapping)
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        check_slots(weights, optimizer["state"])

    def restore(self, state: Mapping[str, Any], num_steps: int) -> None:
        """Go back to a captured state after so many steps; its tensors may be on another device."""
        own = self.optimizer.state_dict()
        self.optimizer.load_state_dict({**own, "state": state["optimizer"]["state"]})
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate  # PyTorch has put a copy there
        if self.average:
            self.average.restore(state["average"])
        self.total_loss.copy_(state["total_loss"])
        self._num_steps.fill_(num_steps)


def get_number(
    hyperparameters: Mapping[str, Value], name: str, default: float | None = None
) -> float:
    """Give a hyperparameter of the training.

    Raises:
        ValueError: when it is missing or no number.
    """
    value = hyperparameters.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"training: {name} is no number, got {value!r}, expected one")
    return float(value)


def _build_optimizer(
    network: nn.Module, recipe: Recipe, hyperparameters: Mapping[str, Value], rate: Tensor
) -> torch.optim.Optimizer:
    weights = list(network.parameters())
    return OPTIMIZERS[recipe.optimizer](
        weights,
        lr=rate,
        betas=(get_number(hyperparameters, "beta1"), get_number(hyperparameters, "beta2")),
        weight_decay=get_number(hyperparameters, "weight_decay", recipe.weight_decay),
        capturable=rate.is_cuda,
        # PyTorch's fused kernel takes real numbers only; None leaves it the choice of another.
        fused=all(weight.is_floating_point() for weight in weights) or None,
    )
