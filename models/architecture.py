"""What a sweep has to know of a family of networks: how to build one and what to search."""

from __future__ import annotations

import copy
import importlib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from sweep.models.space import Dimension

if TYPE_CHECKING:
    from torch import nn
from sweep.models.value import Value

PROBE_SHAPE = (2, 4, 4000)
"""Of two events, which show whether a network takes a batch."""
TRAINING_HYPERPARAMETERS = (
    "lr",
    "beta1",
    "beta2",
    "batch_size",
    "weight_decay",
    "asymmetry",
    "reflected_share",
)
"""Hyperparameters that the training takes; every other one goes to the network."""


@dataclass(frozen=True)
class Architecture:
    """A family of networks with the space it is searched in.

    Attributes:
        name: Name a person types, as `cnn`.
        network: The class, or where it is, as `sweep.models.cnn:CNN`: that file is loaded, and
            torch with it, when the network is asked for. Its `__init__` takes every structural
            hyperparameter by keyword.
        rationale: One or two sentences on why this family may suit the task.
        defaults: A value for every hyperparameter of the space; the report's where it has one.
        cpu_recommended: Settings in the place of `recommended` where a sweep runs on a CPU; empty
            where that holds there, too.
        num_parameters: Of the network at the defaults, which are told without building it; None
            where they have to be counted.
        report: Values that hold where a trial is trained as in the report, and that leave the null
            loss only so late that nothing else searches them.
        space: What is searched on a GPU, around the report's sizes.
        cpu_space: Dimensions that replace those of `space` where a sweep runs on a CPU.
        starting_points: Settings tuned by hand in the report, tried before anything else, also
            where they lie outside the space. A hyperparameter that the report did not set is left
            out.
        recommended: Settings that were measured to leave the null loss soon, tried next; empty
            where none are known.
    """

    name: str
    network: type[nn.Module] | str
    rationale: str
    defaults: Mapping[str, Value]
    space: Mapping[str, Dimension]
    cpu_space: Mapping[str, Dimension] = field(default_factory=dict)
    starting_points: tuple[Mapping[str, Value], ...] = ()
    recommended: Mapping[str, Value] = field(default_factory=dict)
    cpu_recommended: Mapping[str, Value] = field(default_factory=dict)
    report: Mapping[str, Value] = field(default_factory=dict)
    num_parameters: int | None = None

    def __post_init__(self) -> None:
        """Check that the parts speak of the same hyperparameters.

        Raises:
            ValueError: When a default is missing, lies outside the space, or a part names a
                hyperparameter that another does not, or, where it is loaded, the network.
        """
        if not isinstance(self.network, str):
            self.load_network()
        _refuse_unknown(f"{self.name}.cpu_space", self.cpu_space, self.space)
        for point in (*self.starting_points, self.recommended, self.cpu_recommended):
            _refuse_unknown(f"{self.name}.starting_points", point, self.space)
        _refuse_unknown(f"{self.name}.report", self.report, self.space)
        _refuse_unknown(f"{self.name}.defaults", self.defaults, self.space)
        for name, dimension in self.space.items():
            if name not in self.defaults or not dimension.contains(self.defaults[name]):
                raise ValueError(
                    f"{self.name}.defaults.{name}: not in the space, got "
                    f"{self.defaults.get(name)!r}, expected {dimension}; change the default"
                )

    def load_network(self) -> type[nn.Module]:
        """Load the network's class.

        Raises:
            ValueError: When neither it nor the training takes a hyperparameter of the space.
        """
        network = self.network
        if isinstance(network, str):
            module, _colon, name = network.partition(":")
            network = cast("type[nn.Module]", getattr(importlib.import_module(module), name))
        taken = {*_list_keywords(network), *TRAINING_HYPERPARAMETERS}
        _refuse_unknown(f"{self.name}.space", self.space, taken)
        return network

    @property
    def network_hyperparameters(self) -> tuple[str, ...]:
        """Names of the hyperparameters that go to the network, in the order it takes them."""
        return tuple(_list_keywords(self.load_network()))

    def select_space(self, on_cpu: bool) -> dict[str, Dimension]:
        """Select the search space for the kind of device."""
        return {**self.space, **(self.cpu_space if on_cpu else {})}

    def select_recommended(self, on_cpu: bool) -> Mapping[str, Value]:
        """Select the recommended settings for the kind of device; empty where none are known."""
        return (self.cpu_recommended if on_cpu else {}) or self.recommended

    def build(self, hyperparameters: Mapping[str, Value]) -> nn.Module:
        """Build one network with freshly drawn weights (torch's seed decides them).

        Args:
            hyperparameters: Every structural hyperparameter by name. Those of the training may be
                there too and are not looked at.

        Returns:
            The network on the CPU, in training mode; it maps x_BCL (B, 4, 4000) to (B, 4000).

        Raises:
            ValueError: When a name is unknown or missing, or the network refuses a value.
        """
        network = self.load_network()
        keywords = _list_keywords(network)
        _refuse_unknown(self.name, hyperparameters, {*keywords, *TRAINING_HYPERPARAMETERS})
        missing = [
            name
            for name, is_needed in keywords.items()
            if name not in hyperparameters and (is_needed or name in self.space)
        ]
        if missing:
            raise ValueError(
                f"{self.name}: a hyperparameter is missing, got {sorted(hyperparameters)}, "
                f"expected also {missing}; start from the defaults"
            )
        # A copy: a network may change a list that it is given, which others hold as well.
        chosen = {n: copy.deepcopy(hyperparameters[n]) for n in keywords if n in hyperparameters}
        import torch
        from torch.nn.parameter import UninitializedParameter

        built = network(**chosen)
        if any(isinstance(weight, UninitializedParameter) for weight in built.parameters()):
            with torch.no_grad():  # lazy layers take their sizes from the first batch they see
                built.eval()(torch.zeros(PROBE_SHAPE))
            built.train()
        return built

    def build_trial(self, params: Mapping[str, Value]) -> nn.Module:
        """Build the network of a trial, of whose hyperparameters it takes those that it knows."""
        names = self.network_hyperparameters
        return self.build({name: value for name, value in params.items() if name in names})


def count_parameters(network: nn.Module) -> int:
    """Count the numbers a training can change."""
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)


def _list_keywords(network: type[nn.Module]) -> dict[str, bool]:
    """List what `__init__` takes by keyword, and whether each has to be given."""
    keyword_kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = list(inspect.signature(network.__init__).parameters.values())[1:]
    return {
        parameter.name: parameter.default is inspect.Parameter.empty
        for parameter in parameters
        if parameter.kind in keyword_kinds
    }


def _refuse_unknown(where: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a name that nothing takes."""
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(
            f"{where}: unknown hyperparameter, got {', '.join(unknown)}, expected names out of "
            f"{', '.join(sorted(known))}"
        )
