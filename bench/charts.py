"""Charts: results as pictures, PNG and SVG; `python charts.py RESULT.json FOLDER` draws them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FORMATS = ("png", "svg")
OURS = "batcher"
COLOURS = {True: "#1f6feb", False: "#9aa4b2"}
"""Of batcher's bars, and of all others."""
VERDICTS = {True: "#1a7f37", False: "#cf222e"}
INCH_A_BAR, INCH_BESIDE, WIDTH_INCH = 0.34, 1.3, 8.0
CURVES_ROWS = 8
"""A chart of lines is as high as one with this many bars."""
DOTS_AN_INCH = 144


def draw(results: Iterable[dict[str, Any]], folder: Path) -> list[Path]:
    """Draw what each result has to show; give the files.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    import matplotlib as mpl  # noqa: PLC0415  # an extra

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = OURS  # the same figures give the same file
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for result in results:
        about = result["about"]
        measured = f"{about['commit']}, Python {about['python']}, {about['date']}"
        for chart in result.get("charts", ()):
            files += (_curves if "curves" in chart else _bars)(chart, measured, folder)
        # A logarithmic axis has no place for a difference below zero
        judged = [ratio for ratio in result["ratios"] if ratio["target"] and ratio["low"] > 0]
        if judged:
            files += _against_targets(result["question"], judged, measured, folder)
    return files


def _bars(chart: dict[str, Any], measured: str, folder: Path) -> list[Path]:
    """Draw a bar a contender, with the spread of the rounds."""
    bars = chart["bars"][::-1]  # matplotlib begins at the bottom
    colours = [COLOURS[bar["label"].startswith(OURS)] for bar in bars]
    values = [bar["value"] for bar in bars]
    spread = [
        [bar["value"] - bar["low"] for bar in bars],
        [bar["high"] - bar["value"] for bar in bars],
    ]
    figure, axes = _figure(len(bars))
    drawn = axes.barh([bar["label"] for bar in bars], values, xerr=spread, color=colours)
    axes.bar_label(drawn, labels=[_number(value) for value in values], padding=6)
    if chart["is_log"]:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(_plain)
    axes.margins(x=0.15)
    axes.set_xlabel(f"{chart['unit']} (log)" if chart["is_log"] else chart["unit"])
    axes.set_title(chart["title"], loc="left")
    return _save(figure, chart["name"], measured, folder)


def _curves(chart: dict[str, Any], measured: str, folder: Path) -> list[Path]:
    """Draw one line per contender; batcher's own are emphasised."""
    figure, axes = _figure(CURVES_ROWS)
    for curve in chart["curves"]:
        is_ours = curve["label"].startswith(OURS)
        colour = {"color": COLOURS[True]} if is_ours else {}
        axes.plot(
            curve["x"], curve["y"], label=curve["label"], linewidth=2 if is_ours else 1, **colour
        )
    if chart["is_log"]:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_plain)
    axes.set_xlabel(chart["x_unit"])
    axes.set_ylabel(chart["unit"])
    axes.set_title(chart["title"], loc="left")
    axes.legend(frameon=False, fontsize=8)
    return _save(figure, chart["name"], measured, folder)


def _against_targets(
    question: str, ratios: list[dict[str, Any]], measured: str, folder: Path
) -> list[Path]:
    """Draw how many times better than its target each ratio is: right of 1 it is met."""
    figure, axes = _figure(len(ratios))
    for row, ratio in enumerate(reversed(ratios)):
        kind, _, number = ratio["target"].partition(" ")
        better = [ratio[name] / float(number) for name in ("low", "value", "high")]
        if kind == "<=":
            better = [1 / one for one in better]
        axes.plot([better[0], better[2]], [row, row], color=COLOURS[False], linewidth=3)
        axes.plot(better[1], row, "o", color=VERDICTS[ratio["met"]])
        label = f"{_number(ratio['value'])} ({kind} {number})"
        axes.annotate(label, (better[1], row), (0, 5), textcoords="offset points", fontsize=7)
    axes.set_yticks(range(len(ratios)), [ratio["name"] for ratio in reversed(ratios)], fontsize=7)
    axes.set_ylim(-0.7, len(ratios) - 0.3)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(_plain)
    axes.xaxis.set_minor_formatter(_plain)
    axes.tick_params(axis="x", which="both", labelsize=7)
    axes.set_xlabel("times better than the target (log)")
    axes.set_title(f"{question}: targets", loc="left")
    return _save(figure, f"{question}-targets", measured, folder)


def _number(value: float) -> str:
    """Return a number with three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004


def _plain(value: float, position: int) -> str:
    """Return number on a logarithmic axis as it is, where there is room: 1, 2 and 5 of each ten."""
    del position
    return f"{value:,g}" if f"{value:.0e}"[0] in "125" else ""


def _figure(rows: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # noqa: PLC0415  # an extra

    height = rows * INCH_A_BAR + INCH_BESIDE
    figure = Figure(figsize=(WIDTH_INCH, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Any, name: str, measured: str, folder: Path) -> list[Path]:  # noqa: ANN401
    """Write a figure in all formats, with what was measured under it."""
    figure.supxlabel(measured, fontsize=7, color="#57606a", x=0.99, ha="right")
    files = [folder / f"{name}.{suffix}" for suffix in FORMATS]
    for file in files:
        metadata = {"Date": None} if file.suffix == ".svg" else {}
        figure.savefig(file, dpi=DOTS_AN_INCH, metadata=metadata)
    return files


def main() -> None:
    """Draw the results of a file of `run.py`, or of one question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path, help="what --json or run.py has written")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    found = parser.parse_args()
    written = json.loads(found.result.read_text())
    for file in draw(written.get("results", [written]), found.folder):
        print(file)


if __name__ == "__main__":
    main()
