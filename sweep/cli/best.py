"""`sweep best`, `sweep evaluate`, `sweep score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweep.cli.options import (
    DEFAULT_ARTIFACTS,
    DEFAULT_STORAGE,
    Artifacts,
    DecodeText,
    Json,
    Storage,
    SweepName,
    TrustCode,
    Variant,
    XKey,
    YKey,
    choose_sweep,
    open_database,
)

if TYPE_CHECKING:
    import sqlalchemy as sa

    from sweep.data.events import EventSet
    from sweep.metrics.score import Score
    from sweep.results.confirmation import Confirmation
    from sweep.results.evaluation import ExportedModel
    from sweep.results.examination import Examination
    from sweep.results.status import Status
    from sweep.storage.epochs import TrialRow


def best(
    sweep: SweepName = None,
    export: Annotated[
        Path | None, typer.Option(help="Write the model into this new folder, checked.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw its learning curves and sample outputs: .png or .html."),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    artifacts: Artifacts = Path(DEFAULT_ARTIFACTS),
    _trust_code: TrustCode = False,
    json: Json = False,
) -> None:
    """Show the best trials by the sweep's objective; take the best model home, or draw it.

    Of a search that was confirmed the best is the confirmed winner.
    """
    engine = open_database(storage)
    from sweep.cli.output import print_json  # late: a database is there
    from sweep.results.best import find_best_trial
    from sweep.results.confirmation import find_confirmation
    from sweep.results.status import read_status

    status = searched = read_status(engine, choose_sweep(engine, sweep))
    found = find_confirmation(engine, status)
    winner = found.find_trial() if found is not None and found.is_settled else None
    if found is not None and winner is not None:
        status, trial = found.status, winner
    else:
        trial = find_best_trial(status) if export is None else _choose_for_export(status)
    said = status.describe_trial(trial) if trial.feasible else {}
    said |= _describe_search(searched, found)
    if not json:
        _print_search(searched, found)

    def take() -> None:
        if plot is not None:
            _draw(engine, status, trial, artifacts, plot)
        if export is not None:
            confirmed = found if winner else None
            said["export"] = _export(status, trial, artifacts, export, confirmed)
        if json:
            print_json(said)

    if plot is None and export is None:
        take()
        return
    from sweep.cli.apart import run_apart

    engine.dispose()  # a copy of this process shall not share its connections
    run_apart(take)


def _describe_search(search: Status, confirmation: Confirmation | None) -> dict[str, Any]:
    """List what is known of a search beside its best trial."""
    from sweep.results.changes import describe_changes

    said = {
        "changes": describe_changes(search),
        "flat": search.describe_flatness(),
        "confirmation": confirmation and confirmation.describe(),
    }
    return {key: part for key, part in said.items() if part}


def _print_search(search: Status, confirmation: Confirmation | None) -> None:
    """Print the trials of a search that are the best, or those of its confirmation."""
    from sweep.cli.tables import print_best, print_confirmation, print_history

    if confirmation is not None:
        print_confirmation(confirmation)
    if confirmation is not None and confirmation.is_settled:
        print_history(search)
    elif search.ranked:
        print_best(search)


def _draw(engine: sa.Engine, status: Status, trial: TrialRow, artifacts: Path, path: Path) -> None:
    from sweep.cli.output import print_note
    from sweep.cli.progress import show_progress
    from sweep.report.best_picture import write_best_picture

    with show_progress("drawing") as progress:
        write_best_picture(engine, status, trial, artifacts, path, progress)
    print_note(f"{path}: trial {trial.number} drawn")


def _export(
    status: Status,
    trial: TrialRow,
    artifacts: Path,
    folder: Path,
    confirmation: Confirmation | None,
) -> dict[str, Any]:
    """Export a trial; gives what `--json` says of it."""
    from sweep.cli.output import print_note
    from sweep.cli.progress import show_progress
    from sweep.results.export import export_trial

    with show_progress("reading events") as progress:
        exported = export_trial(
            status, trial, artifacts, folder, progress, print_note, confirmation
        )
    onnx = f"without ONNX: {exported.onnx_fault}" if exported.onnx_fault else "with ONNX"
    print_note(f"{folder}: trial {trial.number} written, loaded again and compared, {onnx}")
    return exported.to_json()


def _choose_for_export(status: Status) -> TrialRow:
    """Choose the best trial, or, where nothing lives, the least bad one, and say that it is not."""
    from sweep.cli.output import print_note
    from sweep.results.best import describe_nothing, find_best_trial, find_least_bad

    least_bad = None if status.ranked else find_least_bad(status)
    if least_bad is None:
        return find_best_trial(status)
    print_note(f"warning: {describe_nothing(status)}")
    print_note(f"trial {least_bad.number}, a dead network, is written since --export asks for one")
    return least_bad


def evaluate(
    model: Annotated[Path, typer.Argument(help="Folder that `sweep best --export` wrote.")],
    data: Annotated[list[str] | None, typer.Option(help="Events; again for more.")] = None,
    decode: DecodeText = None,
    missed: Annotated[
        bool,
        typer.Option(
            "--missed",
            help="Also: which true peaks it misses, by tracks too, and one-to-one matchings.",
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Draw its efficiency against false positives at other settings of the peak "
            "finder: .png or .html."
        ),
    ] = None,
    x_key: XKey = None,
    y_key: YKey = None,
    variant: Variant = None,
    _trust_code: TrustCode = False,
    json: Json = False,
) -> None:
    """Judge an exported model on any events; without --data, on its own validation events."""
    from sweep.results.export_folder import check_export

    check_export(model)
    from sweep.cli.progress import show_progress  # late: the folder is there
    from sweep.data.paths import check_paths
    from sweep.results.decode_text import parse_decode

    files = [Path(name) for name in data or ()]
    check_paths(files)
    if decode is not None:
        parse_decode(decode)
    if plot is not None:
        from sweep.figures.png import PICTURES  # late: few ask for it
        from sweep.files.output_file import check_output

        check_output(plot, PICTURES)

    def judge() -> None:
        from sweep.results.evaluation import evaluate_export, open_judged  # late: torch

        with show_progress("judging") as progress:
            exported, events = open_judged(model, files, x_key, y_key, variant, progress)
            score = evaluate_export(exported, events, decode, progress)
            told = None
            if missed:
                from sweep.results.examination import examine_export  # late: few ask for it

                told = examine_export(exported, events, decode, progress)
            if plot is not None:
                _draw_curve(exported, events, decode, model.name, plot)
        _print_judgement(score, told, as_json=json)

    from sweep.cli.apart import run_apart

    run_apart(judge)


def _print_judgement(score: Score, told: Examination | None, *, as_json: bool) -> None:
    from sweep.cli.output import print_json, print_note
    from sweep.cli.tables import print_score
    from sweep.metrics.decode import REFERENCE
    from sweep.metrics.writing import describe_score

    used = score.operating.decode if score.operating else REFERENCE
    if as_json:
        more = told.to_json() if told else {}
        print_json({**describe_score(score), "decode": used.to_json(), **more})
        return
    print_score(score)
    print_note(f"peaks: {used}; matching: the reference's, within 0.5 mm")
    for line in told.list_lines() if told else ():
        print_note(line)


def _draw_curve(
    exported: ExportedModel, events: EventSet, decode: str | None, label: str, path: Path
) -> None:
    from sweep.cli.output import print_note
    from sweep.cli.progress import show_progress
    from sweep.figures.operating import draw_operating_curves
    from sweep.figures.picture import write_picture
    from sweep.results.operating_curve import trace_operating_curve

    with show_progress("trying settings") as progress:
        curve = trace_operating_curve(exported, events, label, decode, progress)
    title = f"{label} on {len(events)} events"
    write_picture(path, lambda: draw_operating_curves([curve]), title)
    print_note(f"{path}: {len(curve.points)} settings of the peak finder")


def score(
    truth: Annotated[Path, typer.Argument(help="npz with `y`, (N, 4000), NaN where masked.")],
    prediction: Annotated[Path, typer.Argument(help="npz with `prediction`, (N, 4000).")],
    json: Json = False,
) -> None:
    """Score predicted histograms from anywhere against the truth."""
    from sweep.data.paths import check_paths

    check_paths([truth, prediction])
    from sweep.cli.output import print_json  # late: both files are there
    from sweep.cli.progress import show_progress
    from sweep.cli.tables import print_score
    from sweep.metrics.writing import describe_score
    from sweep.results.scoring import score_files

    with show_progress("scoring") as progress:
        found = score_files(truth, prediction, progress)
    if json:
        print_json(describe_score(found))
    else:
        print_score(found)
