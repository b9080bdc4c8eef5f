"""What defines a sweep: frozen, validated, kept in the database, and compared before it goes on.

Whatever could change a trial's numbers is here; what only says how far to go or where to run
(budget, workers, time limits) is not, so that it may change while a sweep lives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from sweep.config.parts import (
    MODEL,
    OF_SEVERAL,
    ArchitectureConfig,
    ChangeConfig,
    Frozen,
    LimitsConfig,
)
from sweep.errors import ConfigError, list_allowed
from sweep.metrics.table import DEFAULT_OBJECTIVE, FRONT, OBJECTIVES

Value = bool | int | float | str | list[Any] | None
"""As `sweep.models.value` has it."""


Variant = Literal["kernel", "poca"]
"""Which estimate of the track density an HDF5 file's features are taken from."""


class Whereabouts(Frozen):
    """Where events are found, and how those to judge by are split off.

    Attributes:
        files: Training files; empty for the toy events made by this project.
        validation_files: Files to judge by; empty when validation events are split off `files`.
        x_key, y_key: Names of the arrays in the files, where they are not found by shape.
        test_files: Files of the third part; empty when it is split off `files`.
        variant: Which features of a PV-Finder HDF5 file, where it has both kinds.
        toy_seed: Seed of the toy events.
        toy_version: Theirs; a sweep keeps that which it began with.
        split_seed: Seed of the permutation that splits.
    """

    files: tuple[str, ...] = ()
    validation_files: tuple[str, ...] = ()
    test_files: tuple[str, ...] = ()
    x_key: str | None = None
    y_key: str | None = None
    variant: Variant | None = None
    toy_seed: int = Field(default=1, ge=0)
    toy_version: int = Field(default=1, ge=1)  # of sweeps that did not note it
    split_seed: int = Field(default=0, ge=0)


class DataConfig(Whereabouts):
    """Which events train and judge the networks.

    The fingerprints say which; the source says where they were found last, which may change
    while a sweep lives.

    Attributes:
        num_train, num_validation: Numbers of events.
        num_test: Of the third part, which is opened once, for the winner; None without one.
        train_fingerprint, validation_fingerprint: Hashes of the events themselves.
        test_fingerprint: The third part's; None without one.
        null_loss: Loss of predicting zero on the validation events.
    """

    num_train: int = Field(gt=0)
    num_validation: int = Field(gt=0)
    num_test: int | None = Field(default=None, gt=0)
    train_fingerprint: str
    validation_fingerprint: str
    test_fingerprint: str | None = None
    null_loss: float

    def is_same(self, other: DataConfig) -> bool:
        """Say whether both are the same events, wherever they lie."""
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ("train_fingerprint", "validation_fingerprint", "test_fingerprint")
        )

    def move(self, other: DataConfig) -> DataConfig:
        """Give the same events where `other` found them."""
        return self.model_copy(update={name: getattr(other, name) for name in WHEREABOUTS})


WHEREABOUTS = tuple(
    name for name in Whereabouts.model_fields if name not in ("split_seed", "toy_version")
)
"""What of a DataConfig says where events lie and not which they are."""


class Recipe(Frozen):
    """How one trial is trained.

    Attributes:
        name: One of `sweep.plan.recipes.RECIPES`.
        epochs: Passes over the training events.
        optimizer: The PyTorch optimiser.
        schedule: Learning rate over the steps; `one_cycle` rises to the trial's `lr` and falls,
            `constant` rises to it within `warmup_epochs` and stays.
        warmup_fraction: Share of the steps on which a one-cycle schedule rises.
        warmup_epochs: Passes on which a constant schedule rises; a part of one, or none.
        average: Exponent of the average of the weights that is judged (`training.average`), or
            None where the weights themselves are.
        clip_norm: Largest norm of the gradient, or None.
        weight_decay: Of trials whose space does not name it.
        grace_events: Training events a trial may see before it can be pruned, because networks
            leave the null loss late (docs/PHYSICS.md, "Learning").
    """

    name: str
    epochs: int = Field(gt=0)
    optimizer: Literal["adam", "adamw"]
    schedule: Literal["one_cycle", "constant"]
    warmup_fraction: float = Field(default=0.3, gt=0, lt=1)
    warmup_epochs: float = Field(default=0.0, ge=0)
    average: float | None = Field(default=None, gt=0)
    clip_norm: float | None = Field(default=None, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    grace_events: int = Field(ge=0)


class SamplerConfig(Frozen):
    """The search algorithm, one of `sweep.search.samplers`; what does not concern it is None."""

    name: str
    num_startup_trials: int | None = None
    multivariate: bool | None = None
    constant_liar: bool | None = None
    num_ei_candidates: int | None = None


class PrunerConfig(Frozen):
    """The rule that stops a trial early; what does not concern it is None.

    Attributes:
        name: One of `sweep.search.pruners`.
        percentile: Share of trials, in percent, that may go on.
        num_startup_trials: Complete trials before any comparison.
        reduction_factor: Of successive halving, and from one rung to the one before.
    """

    name: str
    percentile: float | None = Field(default=None, gt=0, lt=100)
    num_startup_trials: int | None = None
    reduction_factor: int | None = Field(default=None, ge=2)


class SearchConfig(Frozen):
    """How configurations are chosen and judged."""

    objective: str = DEFAULT_OBJECTIVE
    limits: LimitsConfig = LimitsConfig()
    sampler: SamplerConfig
    pruner: PrunerConfig
    seed: int = Field(default=1, ge=0)

    @field_validator("objective")
    @classmethod
    def _check_objective(cls, name: str) -> str:
        if name not in OBJECTIVES:
            raise ValueError(f"expected {list_allowed(OBJECTIVES)}")
        return name

    @property
    def is_front(self) -> bool:
        """Whether trials are compared by several metrics, none of which comes first."""
        return self.objective == FRONT

    @property
    def fixed_fp(self) -> float | None:
        """The rate of false positives that the objective is measured at; None where at none."""
        return self.limits.max_fp if OBJECTIVES[self.objective].is_at_fp else None


class OriginConfig(Frozen):
    """The trial of another sweep whose hyperparameters a sample-size curve trains with.

    Attributes:
        sweep, trial: Name of its sweep, and its number there.
        num_train: Training events it was found best with.
        num_shared_validation: How many of the study's validation events are among those that
            chose it: on these its numbers are flattered.
    """

    sweep: str
    trial: int
    num_train: int = Field(gt=0)
    num_shared_validation: int = Field(ge=0)


class CurveConfig(Frozen):
    """A sample-size curve: one trial for each number of training events in each repeat.

    Attributes:
        sizes: Numbers of training events, rising; the sweep's `data.num_train` are those that
            every repeat draws its own out of.
        repeats: Times that each is trained, with other events, weights and order.
        equal: What all sizes have alike: `passes`, the events seen in training (so many optimiser
            steps), or `epochs`. The recipe's epochs are those of the largest size.
        origin: Whose hyperparameters they are; None for the architecture's own.
    """

    sizes: tuple[int, ...] = Field(min_length=1)
    repeats: int = Field(gt=0)
    equal: Literal["passes", "epochs"]
    origin: OriginConfig | None = None


class CandidateConfig(Frozen):
    """A configuration that a confirmation trains again.

    Attributes:
        trial: Its number in the search; None for a recommended point that was not tried there.
        params: Value of every hyperparameter.
        claimed: What the search found of the objective; None where it has no such value.
        is_recommended: Whether it is the one that the others have to beat.
    """

    trial: int | None
    params: dict[str, Value]
    claimed: float | None
    is_recommended: bool


class OpenedConfig(Frozen):
    """What the third part of the events showed of the winner.

    Attributes:
        slot: The trial of the confirmation whose network was judged.
        score: As `sweep.metrics.writing.describe_score` writes it.
        times: For how many winners it was opened so far; more than one where the search went on.
    """

    slot: int = Field(ge=0)
    score: dict[str, Any]
    times: int = Field(default=1, ge=1)


class ConfirmationConfig(Frozen):
    """Candidates of a search, trained again with fresh seeds that they have in common.

    Attributes:
        sweep: Name of the search.
        candidates: Best first by what the search claims, one of them the recommended one where the
            search has one; those of later trials follow.
        seeds: The most trainings of each.
        pairs: Candidate (from 0) and seed (from 1) of each trial so far, by slot; later rounds add
            theirs at the end.
        finished: How many trials of the search had finished when its best were last looked for.
        opened: What the third part showed; None before, or without one.
        is_audit: Whether its candidates are pruned trials, to see if that was right; nobody wins.
    """

    sweep: str
    candidates: tuple[CandidateConfig, ...] = Field(min_length=1)
    seeds: int = Field(gt=0)
    pairs: tuple[tuple[int, int], ...] = ()
    finished: int = Field(default=0, ge=0)
    opened: OpenedConfig | None = None
    is_audit: bool = False


class SweepConfig(ArchitectureConfig):
    """Everything that defines a sweep.

    Of several architectures its own model names them all, with commas between, and its own space is
    empty.

    Attributes:
        profile: Which defaults the sweep started from.
        starting_points: Settings that are tried before the sampler chooses any; in a sweep of
            several with the architecture's label as MODEL.
        num_hand_tuned: How many of them, the first ones, are those of the report.
        curve: Of a sample-size curve, which searches nothing; None for a search.
        confirmation: Of a confirmation, which searches nothing either; None for a search.
        cost: What architectures have alike at a rung: events seen, or seconds of training.
        architectures: Of a sweep of several; empty where it has the one that it is itself.
        changes: What `sweep change` did to it, one a version after the first.
    """

    profile: Literal["cpu", "gpu"]
    starting_points: tuple[dict[str, Value], ...] = ()
    num_hand_tuned: int = 0
    data: DataConfig
    recipe: Recipe
    search: SearchConfig
    curve: CurveConfig | None = None
    confirmation: ConfirmationConfig | None = None
    cost: Literal["events", "seconds"] = "events"
    architectures: tuple[ArchitectureConfig, ...] = ()
    changes: tuple[ChangeConfig, ...] = ()

    @property
    def kind(self) -> str:
        """What the sweep is, in one word for people."""
        if self.confirmation is not None:
            return "audit" if self.confirmation.is_audit else "confirmation"
        return "search" if self.curve is None else "curve"

    @property
    def recommended_slot(self) -> int | None:
        """Slot of the recommended point, where there is one: after those tuned by hand.

        In a sweep of several architectures each has its own, as `narrow` gives it.
        """
        is_search = self.curve is None and self.confirmation is None
        num_own = 0 if self.architectures else len(self.starting_points)
        if not is_search or num_own <= self.num_hand_tuned:
            return None
        return self.num_hand_tuned if self.recommended is None else self.recommended

    @property
    def label(self) -> str:
        """Name of the architecture for people; of several those of all."""
        return ",".join(one.label for one in self.architectures) or super().label

    @property
    def shown_model(self) -> str:
        """What is searched, as people are told: the model; of several their labels."""
        return self.label if self.architectures else self.model

    def narrow(self, label: str) -> SweepConfig:
        """Give the config as the trials of one of its architectures see it."""
        own = next((one for one in self.architectures if one.label == label), None)
        if own is None:
            return self
        points = [
            {name: value for name, value in point.items() if name != MODEL}
            for point in self.starting_points
            if point[MODEL] == label
        ]
        update = {**dict(own), "starting_points": tuple(filter(None, points)), "architectures": ()}
        changes = tuple(change.narrow(label) for change in self.changes)
        return self.model_copy(update={**update, "changes": changes})

    def narrow_to(self, params: Mapping[str, Value]) -> SweepConfig:
        """Give the config as a trial of these hyperparameters sees it."""
        return self.narrow(str(params.get(MODEL))) if self.architectures else self

    def narrow_all(self) -> tuple[SweepConfig, ...]:
        """Give the config as each of its architectures sees it."""
        return tuple(self.narrow(one.label) for one in self.architectures) or (self,)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> SweepConfig:
        """Read a config from the database.

        Raises:
            ConfigError: when another version of this project wrote it in another form.
        """
        earlier = {"sample_size": "curve"}
        renamed = {earlier.get(name, name): value for name, value in stored.items()}
        try:
            return cls.model_validate_json(json.dumps(renamed))
        except ValidationError as exc:
            raise ConfigError(
                f"stored sweep: its config is not readable, got {describe_fault(exc)}, expected "
                "one of this version; use the version of sweep that made it"
            ) from exc

    def to_json(self) -> dict[str, Any]:
        """Give the config as a JSON object."""
        return self.model_dump(mode="json", exclude=set() if self.architectures else {*OF_SEVERAL})


def describe_fault(exc: ValidationError) -> str:
    """Put the first fault that pydantic found into one line: `place: what (got VALUE)`."""
    fault = exc.errors()[0]
    where = ".".join(str(part) for part in fault["loc"]) or "config"
    return f"{where}: {fault['msg']} (got {fault.get('input')!r})"
