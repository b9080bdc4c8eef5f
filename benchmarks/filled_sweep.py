"""A sweep of the default search in which many trials have begun, for what the service costs then.

Three quarters of them are paused at a rung; as many again wait.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from optuna.distributions import distribution_to_json
from optuna.pruners import NopPruner
from optuna.trial import TrialState, create_trial

from sweep.config import PrunerConfig, SamplerConfig, SearchConfig
from sweep.models.space import Float
from sweep.search.draw import Outlook
from sweep.search.strategy import build_sampler
from sweep.search.suggestion import suggest
from sweep.storage import studies
from sweep.storage.engine import parse_url
from sweep.storage.migrations import create_tables
from sweep.storage.sweeps import COMPLETE, PAUSED, create_sweep
from sweep.storage.tables import Epoch
from sweep.storage.tables import epochs as epoch_table
from sweep.storage.tables import trials as trial_table

SPACE = {name: Float(1e-4, 1e-1, "log") for name in ("lr", "weight_decay", "clip_norm", "a", "b")}
RUNGS = (3, 6, 12)
SEARCH = SearchConfig(sampler=SamplerConfig(name="mixed"), pruner=PrunerConfig(name="rungs"))
OUTLOOK = Outlook(num_epochs=RUNGS[-1], null_loss=1.0)


def make_epoch(number: int, quality: float) -> Epoch:
    loss = 0.03 + 0.3 * quality / number
    return Epoch(number, 1000 * number, loss, loss, 400, 1800, 200, 1800, 30, 1e-3, 0.1)


@dataclass(frozen=True)
class Past:
    """A trial that has begun: how far it came, and what became of it.

    Attributes:
        slot: Its slot, and its number in the study.
        study_key, key: Its row among Optuna's trials, and among ours.
        last: Its last epoch, one of `RUNGS`.
        quality: From 0, the best.
    """

    slot: int
    study_key: int
    key: int
    last: int
    quality: float

    @property
    def is_done(self) -> bool:
        """Whether it was trained to the end; it is paused otherwise."""
        return self.last == RUNGS[2]

    def list_epochs(self) -> list[Epoch]:
        """List what it trained."""
        return [make_epoch(number, self.quality) for number in range(1, self.last + 1)]


def fill(engine: sa.Engine, url: str, num_begun: int) -> int:
    """Make a sweep of twice as many trials, so many of which have begun; give its id."""
    create_tables(engine)
    study_storage: Any = studies.open_study_storage(parse_url(url))
    study = studies.create_study(study_storage, "net", direction="minimize", metric_name="loss")
    sweep = create_sweep(engine, "net", {}, {}, 2 * num_begun)
    distributions = begin_first(study_storage, study._study_id)
    past = draw_past(engine, sweep.id, num_begun)
    metadata = sa.MetaData()
    metadata.reflect(engine)
    with engine.begin() as connection:
        for name, rows in list_study_rows(past, study._study_id, distributions).items():
            connection.execute(metadata.tables[name].insert(), rows)
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('trials', 'trial_id'), {num_begun})"
            )
        write_own_rows(connection, past)
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE")
    study_storage.remove_session()
    return sweep.id


def begin_first(study_storage: Any, study_id: int) -> dict[str, Any]:
    """Begin the first trial by the product's own functions; give what its values are drawn from."""
    frozen = create_trial(state=TrialState.RUNNING, system_attrs={studies.SLOT_KEY: 0})
    study_storage.create_new_trial(study_id, template_trial=frozen)
    sampler = build_sampler(SEARCH, SPACE, 0, OUTLOOK)
    study = studies.load_study(study_storage, "net", sampler, NopPruner())
    first = studies.begin_trial(study, 0, {}, number=0)
    suggest(first, SPACE, {})
    return dict(first.distributions)


def draw_past(engine: sa.Engine, sweep_id: int, num_begun: int) -> list[Past]:
    """Draw how good trials are: the best quarter came to the end, the next to the second rung."""
    with engine.connect() as connection:
        query = sa.select(trial_table.c.slot, trial_table.c.id)
        found = connection.execute(query.where(trial_table.c.sweep_id == sweep_id)).all()
    ids = {row.slot: row.id for row in found}
    quality_N = np.random.default_rng(1).random(num_begun)
    place_N = quality_N.argsort().argsort() / num_begun
    lasts = [RUNGS[2] if p < 0.25 else RUNGS[1] if p < 0.5 else RUNGS[0] for p in place_N]
    return [  # the study's trials are the database's first
        Past(slot, slot + 1, ids[slot], lasts[slot], quality_N[slot]) for slot in range(num_begun)
    ]


def list_study_rows(
    past: Sequence[Past], study_id: int, distributions: Mapping[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """List what Optuna's tables hold of all trials but the first, by table."""
    rng = np.random.default_rng(2)
    texts = {name: distribution_to_json(one) for name, one in distributions.items()}
    proposal = {"arm": "model", "point": dict.fromkeys(SPACE, 0.5)}
    told = ("efficiency", "fp_rate", "validation_loss", "best_epoch")
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for trial in past[1:]:
        mine = {"trial_id": trial.study_key}
        state = "COMPLETE" if trial.is_done else "WAITING"
        rows["trials"].append({**mine, "number": trial.slot, "study_id": study_id, "state": state})
        for (name, text), value in zip(
            texts.items(), 10.0 ** rng.uniform(-4, -1, len(texts)), strict=True
        ):
            content = {"param_name": name, "param_value": float(value), "distribution_json": text}
            rows["trial_params"].append({**mine, **content})
        for name, kept in (
            ("sweep:slot", trial.slot),
            ("fixed_params", {}),
            ("sweep:proposal", proposal),
        ):
            content = {"key": name, "value_json": json.dumps(kept)}
            rows["trial_system_attributes"].append({**mine, **content})
        for name in told:
            rows["trial_user_attributes"].append({**mine, "key": name, "value_json": "0.5"})
        if trial.is_done:
            value_row = {"objective": 0, "value": 0.1, "value_type": "FINITE"}
            rows["trial_values"].append({**mine, **value_row})
        for epoch in trial.list_epochs():
            step = {"step": epoch.epoch, "intermediate_value": epoch.validation_loss}
            rows["trial_intermediate_values"].append(
                {**mine, **step, "intermediate_value_type": "FINITE"}
            )
    return rows


def write_own_rows(connection: sa.Connection, past: Sequence[Past]) -> None:
    """Write what the product's own tables hold of the trials."""
    shared = {"attempt": 1, "recorded_s": 0.0}
    curves = [{"trial_id": t.key, **shared, **vars(e)} for t in past for e in t.list_epochs()]
    connection.execute(epoch_table.insert(), curves)
    names = ("state", "number", "params", "best_epoch", "feasible", "until_epoch")
    statement = (
        trial_table.update()
        .where(trial_table.c.id == sa.bindparam("key"))
        .values(
            {name: sa.bindparam(f"new_{name}") for name in names}
            | {"attempts": 1, "outcome": "complete", "started_s": 0.0}
        )
    )
    rows = [
        {
            "key": trial.key,
            "new_state": COMPLETE if trial.is_done else PAUSED,
            "new_number": trial.slot,
            "new_params": json.dumps(dict.fromkeys(SPACE, 1e-3)),
            "new_best_epoch": trial.last,
            "new_feasible": trial.is_done,
            "new_until_epoch": trial.last,
        }
        for trial in past
    ]
    connection.execute(statement, rows)
