"""The model card of an export: what the network is, how good, and how to use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sweep.metrics.decode import REFERENCE
from sweep.metrics.score import Score
from sweep.metrics.writing import list_known, write_ends, write_plain
from sweep.models.source import Source
from sweep.models.value import write_value
from sweep.plan.curve_trials import fit_config
from sweep.results.confirmation import Confirmation
from sweep.results.status import Status, name_events
from sweep.storage.epochs import TrialRow


def write_model_card(
    path: Path,
    status: Status,
    trial: TrialRow,
    score: Score,
    onnx_fault: str | None,
    source: Source | None,
    confirmation: Confirmation | None = None,
) -> None:
    """Write a model card in Markdown.

    Args:
        source: The files of a person's own network.
        confirmation: Of which the trial is the winner's; None where the search alone chose it.
    """
    path.write_text(
        _describe_network(status, trial, score, confirmation) + _describe_use(onnx_fault, source),
        encoding="utf-8",
    )


def _describe_network(
    status: Status, trial: TrialRow, score: Score, confirmation: Confirmation | None
) -> str:
    """Say what the network is, how good, and how it was trained."""
    config = fit_config(status.config, trial.slot)
    params = "\n".join(f"| {name} | {write_value(value)} |" for name, value in trial.params.items())
    metrics = "\n".join(_list_metrics(score))
    best_epoch = trial.best.epoch if trial.best else "-"
    return f"""# {config.model}: sweep {status.sweep.name}, trial {trial.number}

Finds proton-proton collision points: from 4 features x 4000 bins along the beam line (0.1 mm each,
from -100 mm to 300 mm) to a histogram with a peak at each vertex.

{_tabulate_test(confirmation)}| metric on {score.counts.events} validation events \
| value | 68 % interval |
|---|---|---|
{metrics}
| loss of predicting zero everywhere | {config.data.null_loss:.4g} | |

{_say_choice(status, trial, confirmation)}

Features, in this order: KDE / 2500, its square, 2 x and 2 y (mm) where the KDE is largest. Peaks:
{_say_decode(score)}; a true peak is found when a predicted one lies within 5 bins (0.5 mm).

## Trained with

| hyperparameter | value |
|---|---|
{params}

{config.data.num_train} events ({name_events(config.data)}, \
fingerprint {config.data.train_fingerprint}), recipe `{config.recipe.name}`, \
{config.recipe.epochs} epochs, best epoch {best_epoch}; \
validation fingerprint {config.data.validation_fingerprint}.
"""


def _say_decode(score: Score) -> str:
    """Say what counts as a peak, and who chose it."""
    decode = score.operating.decode if score.operating else REFERENCE
    said = (
        f"bins of at least {decode.threshold:g}, at least {decode.min_width} of them, sum at "
        f"least {decode.integral:g}"
    )
    if score.operating is None:
        return said
    return (
        f"{said}, chosen on the validation events for the most true\npeaks at the fixed rate of "
        "false positives, which flatters the numbers on those events a little;\n`sweep evaluate` "
        "and `sweep predict` take these settings"
    )


def _describe_use(onnx_fault: str | None, source: Source | None) -> str:
    """Say which files there are, and how to load them."""
    onnx = "| `model.onnx` | the same network for ONNX runtimes: `x` to `y`, any batch |\n"
    without = f"\nThere is no `model.onnx`: {onnx_fault}.\n" if onnx_fault else ""
    code, flag, caution = _describe_code(source)
    return f"""
## Files

| file | what |
|---|---|
| `weights.safetensors` | weights of the best epoch |
| `config.json` | architecture, hyperparameters, the whole config of the sweep, versions |
| `metrics.json` | the numbers above |
{"" if onnx_fault else onnx}{code}{without}
## Use

    sweep evaluate FOLDER --data FILE.npz{flag}
    sweep predict FOLDER --data FILE.npz --out vertices.csv{flag}
{caution}
```python
from pathlib import Path
from sweep.results.evaluation import load_export
network = load_export(Path("FOLDER")).network   # (B, 4, 4000) -> (B, 4000)
```
"""


def _tabulate_test(confirmation: Confirmation | None) -> str:
    """Tabulate what the third part of the events shows, where it was opened."""
    score = None if confirmation is None else confirmation.opened
    if confirmation is None or score is None:
        return ""
    metrics = "\n".join(_list_metrics(score))
    return f"""| metric on {confirmation.num_test} events set aside, which chose nothing \
| value | 68 % interval |
|---|---|---|
{metrics}

"""


def _say_choice(status: Status, trial: TrialRow, confirmation: Confirmation | None) -> str:
    """Say how the trial was chosen, and what that means for its numbers."""
    if confirmation is not None:
        has_recommended = confirmation.recommended is not None
        with_recommended = "and the recommended point, " * has_recommended
        found = "\n".join(f"- {line}" for line in confirmation.list_findings())
        return (
            f"The winner of the confirmation of sweep {confirmation.design.sweep}: its best trials "
            f"{with_recommended}trained again\nwith fresh seeds. Of the winner's own trainings "
            f"this is the median.\n\n{found}"
        )
    if not trial.feasible:
        return (
            f"**This network is dead** ({status.explain_death()}): its\n"
            "sweep has no best trial, and this is the least bad of them, of no use but to look at."
        )
    return (
        "The trial was chosen as the best of its sweep by these same events, so expect slightly "
        "worse on\nothers; `sweep evaluate` tells."
    )


def _describe_code(source: Source | None) -> tuple[str, str, str]:
    """Give what the card says of code in the export: a row, an option, a caution."""
    if source is None:
        return "", "", ""
    names = ", ".join(f"`{name}`" for name in sorted(source.files))
    return (
        f"| {names} | the network's own code, as it was trained |\n",
        " --trust-code",
        f"""
This export brings code of its own: {names}. To load it is to run that code, with all the rights of
whoever does. Read it first. `sweep evaluate`, `sweep predict` and `sweep compare` run it only with
`--trust-code`, or where you trained it yourself; in Python, set `SWEEP_TRUST_CODE=1` before
`load_export`.
""",
    )


def _list_metrics(score: Score) -> Iterator[str]:
    for metric in list_known([score]):
        interval = metric.compute_interval(score)
        ends = "" if interval is None else write_ends(metric, interval)
        name = f"{metric.title} ({metric.describe(score.counts)})"
        yield f"| {name} | {write_plain(metric, score, fine=True)} | {ends} |"
