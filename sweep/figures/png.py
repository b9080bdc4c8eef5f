"""Saves a Plotly figure as PNG without a browser: its traces and axes, drawn by matplotlib.

Every picture is built once, as a Plotly figure. What the pictures here are made of is drawn: lines,
steps, markers, fills, error bars, bars, shapes, axes, one legend. What the mouse does is left out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = NDArray[np.float64]
PICTURES = (".html", ".png")
"""Endings of the name of a picture that a person asks for: one that zooms, or one for print."""
DPI = 100
POINTS_PER_PIXEL = 72 / DPI
TITLE_PX = 34
LEAST_MARGIN_PX = {"l": 80, "r": 20, "t": 50, "b": 55}
DRAW_STYLES = {"hv": "steps-post", "hvh": "steps-mid"}
LINE_STYLES = {None: "-", "solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
MARKERS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "triangle-down": "v",
    "cross": "P",
    "x": "x",
    "star": "*",
    "hexagon": "h",
}


def save_png(path: Path, figure: go.Figure, *, title: str = "", width_px: int = 1000) -> None:
    """Draw a figure into a PNG file.

    Args:
        figure: Of scatters and bars, in subplots that do not lie on each other; its layout has a
            height.
        width_px: Of the picture, where the figure leaves its width to the page.

    Raises:
        OSError: when the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layout = figure.layout
    margin_px = {
        side: max(least, layout.margin[side] or 0) for side, least in LEAST_MARGIN_PX.items()
    }
    height_px = layout.height or 700
    if title:
        height_px += TITLE_PX
        margin_px["t"] += TITLE_PX
    plot = (
        margin_px["l"] / width_px,
        margin_px["b"] / height_px,
        1 - margin_px["r"] / width_px,
        1 - margin_px["t"] / height_px,
    )
    picture = Figure(figsize=(width_px / DPI, height_px / DPI), dpi=DPI)
    FigureCanvasAgg(picture)
    places: dict[tuple[str, str], Axes] = {}
    for trace in figure.data:
        key = (trace.xaxis or "x", trace.yaxis or "y")
        if key not in places:
            places[key] = _place_axes(picture, layout, key, plot)
        _draw_trace(places[key], trace)
    for (x_name, y_name), axes in places.items():
        _draw_axis(axes, "x", layout[_name_axis(x_name)])
        _draw_axis(axes, "y", layout[_name_axis(y_name)])
    for shape in layout.shapes:
        _draw_shape(places[shape.xref.split()[0], shape.yref.split()[0]], shape)
    for note in layout.annotations:
        _draw_note(picture, places, layout, note, plot)
    if layout.showlegend is not False:
        above = (max(1.0, layout.legend.y or 1.0) - 1.0) * (plot[3] - plot[1])
        corner = (plot[2], plot[3] + above + 4 / height_px)
        _draw_legend(picture, list(places.values()), corner)
    picture.text(0.02, 1 - 12 / height_px, title, size="large", va="top")
    picture.savefig(path, format="png")


def _name_axis(short: str) -> str:
    """Give an axis's name in a layout: `x2` is `xaxis2`."""
    return f"{short[0]}axis{short[1:]}"


def _place_axes(
    picture: Figure, layout: Any, key: tuple[str, str], plot: tuple[float, float, float, float]
) -> Axes:
    left, bottom, right, top = plot
    (x0, x1), (y0, y1) = (layout[_name_axis(name)].domain or (0.0, 1.0) for name in key)
    width, height = right - left, top - bottom
    axes = picture.add_axes(
        (left + x0 * width, bottom + y0 * height, (x1 - x0) * width, (y1 - y0) * height)
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return axes


def _draw_axis(axes: Axes, which: str, settings: Any) -> None:
    """Give an axis its scale, range, ticks and title."""
    from matplotlib.ticker import MaxNLocator

    is_log = settings.type == "log"
    if is_log:
        axes.set(**{f"{which}scale": "log"})
    if settings.range is not None:
        low, high = (10.0**end if is_log else end for end in settings.range)
        axes.set(**{f"{which}lim": (low, high)})
    elif settings.rangemode == "tozero":
        axes.set(**{f"{which}lim": (0.0, None)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    if settings.tickvals is not None:
        axis.set_ticks(list(settings.tickvals), list(settings.ticktext or settings.tickvals))
        axis.set_ticks([], minor=True)
    elif settings.tickformat == "d":
        axis.set_major_locator(MaxNLocator(integer=True))
    if settings.showticklabels is False or (settings.matches and not settings.title.text):
        axis.set_tick_params(labelbottom=which != "x" or settings.showticklabels is not False)
    if settings.showgrid is not False:
        axes.grid(axis=which, color="0.9")  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axis.set_label_text(_strip(settings.title.text or ""))


def _draw_trace(axes: Axes, trace: Any) -> None:
    label = trace.name if trace.name and trace.showlegend is not False else None
    if trace.type == "bar":
        draw = axes.barh if trace.orientation == "h" else axes.bar
        along, across = (trace.y, trace.x) if trace.orientation == "h" else (trace.x, trace.y)
        draw(list(along), list(across), color=trace.marker.color, label=label, alpha=0.8)
        return
    x, y = (
        np.array([np.nan if v is None else v for v in values], float) for values in _pair(trace)
    )
    _fill(axes, trace, x, y)
    _draw_bars(axes, trace, x, y)
    if trace.mode != "none":
        _draw_line(axes, trace, x, y, label)


def _fill(axes: Axes, trace: Any, x: Values, y: Values) -> None:
    if trace.fill == "toself":
        axes.fill(x, y, color=trace.fillcolor, alpha=trace.opacity, linewidth=0)
    elif trace.fill == "tozeroy":
        shade, alpha = _split_rgba(trace.fillcolor)
        step: Any = {"hvh": "mid", "hv": "post"}.get(trace.line.shape)
        axes.fill_between(x, np.nan_to_num(y), step=step, color=shade, alpha=alpha, linewidth=0)


def _draw_bars(axes: Axes, trace: Any, x: Values, y: Values) -> None:
    color = trace.marker.color or trace.line.color
    for name in ("error_x", "error_y"):
        bars = trace[name]
        if bars.array is not None:
            ends: dict[str, Any] = {f"{name[-1]}err": [list(bars.arrayminus), list(bars.array)]}
            axes.errorbar(x, y, fmt="none", ecolor=color, elinewidth=1, **ends)


def _draw_line(axes: Axes, trace: Any, x: Values, y: Values, label: str | None) -> None:
    """Draw what a trace's mode says: a line, markers, or both."""
    mode, line, marker = trace.mode or "lines", trace.line, trace.marker
    has_line = "lines" in mode
    color = line.color or marker.color
    symbol = (marker.symbol or "circle").removesuffix("-open")
    is_open = str(marker.symbol).endswith("-open")
    axes.plot(
        x,
        y,
        drawstyle=DRAW_STYLES.get(line.shape, "default") if has_line else "default",
        linestyle=LINE_STYLES[line.dash] if has_line else "none",
        linewidth=line.width or 1.5,
        color=color,
        marker=MARKERS[symbol] if "markers" in mode else None,
        markersize=(marker.size or 6) * POINTS_PER_PIXEL,
        markerfacecolor="none" if is_open else marker.color or color,
        markeredgecolor=marker.color or color,
        alpha=trace.opacity,
        label=label,
    )


def _pair(trace: Any) -> tuple[Any, Any]:
    y = [] if trace.y is None else trace.y
    return (range(len(y)) if trace.x is None else trace.x), y


def _draw_shape(axes: Axes, shape: Any) -> None:
    """Draw a rectangle or a line whose ends are in data or, for `domain`, in shares of the axes."""
    from matplotlib.patches import Rectangle
    from matplotlib.transforms import blended_transform_factory

    ways = [
        axes.transAxes if ref.endswith("domain") else axes.transData
        for ref in (shape.xref, shape.yref)
    ]
    where = blended_transform_factory(*ways)
    color, style = shape.line.color, LINE_STYLES[shape.line.dash]
    if shape.type == "line":
        axes.plot(
            [shape.x0, shape.x1],
            [shape.y0, shape.y1],
            transform=where,
            color=color,
            linestyle=style,
            linewidth=shape.line.width or 1,
        )
        return
    box = Rectangle(
        (shape.x0, shape.y0),
        shape.x1 - shape.x0,
        shape.y1 - shape.y0,
        transform=where,
        facecolor=shape.fillcolor or "none",
        edgecolor=color or "none",
        linestyle=style,
        alpha=shape.opacity,
        zorder=0 if shape.layer == "below" else 2,
    )
    axes.add_patch(box)


def _draw_note(
    picture: Figure,
    places: dict[tuple[str, str], Axes],
    layout: Any,
    note: Any,
    plot: tuple[float, float, float, float],
) -> None:
    """Write an annotation: at a place of the whole plot, or of an axis's data or domain."""
    from matplotlib.transforms import Bbox, BboxTransformTo, blended_transform_factory

    ways: list[Any] = []
    whole = BboxTransformTo(Bbox.from_extents(*plot).transformed(picture.transFigure))
    for ref, position in ((note.xref, 0), (note.yref, 1)):
        if ref is None or ref == "paper":
            ways.append(whole)
            continue
        axes = next(a for key, a in places.items() if key[position] == ref.split()[0])
        ways.append(axes.transAxes if ref.endswith("domain") else axes.transData)
    place = [note.x, note.y]
    for position, ref in enumerate((note.xref, note.yref)):
        is_of_data = ref not in (None, "paper") and not ref.endswith("domain")
        if is_of_data and layout[_name_axis(ref)].type == "log":
            place[position] = 10.0 ** place[position]
    picture.text(
        place[0],
        place[1],
        _strip(note.text),
        transform=blended_transform_factory(*ways),
        color=note.font.color or "black",
        size=(note.font.size or 12) * POINTS_PER_PIXEL * 1.1,
        ha=note.xanchor if note.xanchor in ("left", "right") else "center",
        va=note.yanchor if note.yanchor in ("top", "bottom") else "center",
    )


def _draw_legend(picture: Figure, places: list[Axes], corner: tuple[float, float]) -> None:
    """Draw one legend for all subplots, its lower right corner at this place; each name once.

    It has as few rows as fit into the picture's width.
    """
    entries: dict[str, Any] = {}
    for axes in places:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    for num_columns in range(max(1, len(entries)), 0, -1):
        legend = picture.legend(
            entries.values(),
            entries.keys(),
            loc="lower right",
            bbox_to_anchor=corner,
            ncols=num_columns,
            frameon=False,
            fontsize="small",
            borderaxespad=0,
        )
        if num_columns == 1 or legend.get_window_extent().x0 >= 0:
            return
        legend.remove()


def _split_rgba(text: str | None) -> tuple[Any, float]:
    """Split a fill's colour: `rgba(68, 119, 170, 0.25)` or a name."""
    found = re.fullmatch(r"rgba\(([^)]*)\)", text or "")
    if not found:
        return text, 0.3
    red, green, blue, alpha = (float(part) for part in found[1].split(","))
    return (red / 255, green / 255, blue / 255), alpha


def _strip(text: str) -> str:
    """Turn a label's HTML into plain lines."""
    return re.sub(r"<[^>]*>", "", text.replace("<br>", "\n"))
