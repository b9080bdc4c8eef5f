"""`sweep predict`: the vertices that an exported model finds, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.options import DecodeText, Json, TrustCode, Variant, XKey


def predict(
    model: Annotated[Path, typer.Argument(help="Folder that `sweep best --export` wrote.")],
    data: Annotated[
        list[str], typer.Option(help="Events, with or without targets; again for more.")
    ],
    out: Annotated[
        Path, typer.Option(help="New file: .csv, .parquet, .npz, or .h5 as PV-Finder's own.")
    ],
    decode: DecodeText = None,
    x_key: XKey = None,
    variant: Variant = None,
    _trust_code: TrustCode = False,
    json: Json = False,
) -> None:
    """Find the vertices of events with an exported model: position in mm, height and width."""
    from sweep.results.export_folder import check_export
    from sweep.results.vertex_files import check_vertex_path

    check_export(model)
    check_vertex_path(out)
    from sweep.data.paths import check_paths
    from sweep.results.decode_text import parse_decode

    files = [Path(name) for name in data]
    check_paths(files)
    if decode is not None:
        parse_decode(decode)

    def find() -> None:
        from sweep.cli.output import print_json, print_note  # late: all that is named is there
        from sweep.cli.progress import show_progress
        from sweep.results.prediction import predict_export

        with show_progress("predicting") as progress:
            found = predict_export(
                model,
                files,
                out,
                x_key=x_key,
                variant=variant,
                decode=decode,
                progress=progress,
            )
        print_note(
            f"{out}: {found.num_vertices} vertices in {found.num_events} events; {found.decode}"
        )
        if json:
            print_json(found.to_json())

    from sweep.cli.apart import run_apart

    run_apart(find)
