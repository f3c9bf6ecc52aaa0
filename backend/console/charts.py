"""Line charts as SVG. Colours are classes of the style sheet; every text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 34
MAX_SERIES = 4
KEY_WIDTH = 150

SVG = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
AXIS = Markup(
    '<line class="axis" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/><text x="2" y="{y}">{value:.3g}</text>'
)
MARK = Markup('<line class="mark" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"><title>{text}</title></line>')
LINE = Markup('<polyline class="line series-{}" points="{}"/>')
DOT = Markup('<circle class="dot-{}" cx="{}" cy="{}" r="3"><title>{}: {:.3g}</title></circle>')
KEY = Markup(
    '<g transform="translate({x} 211)"><circle class="dot-{n}" r="4"/><text x="10" y="4">{name}</text></g>'
)


@dataclass(frozen=True)
class Series:
    """One line."""

    name: str
    points: Sequence[tuple[float, float]]
    """x and y; x ascending."""


@dataclass(frozen=True)
class Mark:
    """A vertical line at an x, with its meaning."""

    x: float
    text: str


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    low: float | None = None,
    high: float | None = None,
    marks: Sequence[Mark] = (),
) -> Markup:
    """Return a chart, to be followed by a table of its values; empty without points.

    Args:
        title: what screen readers say, and a pointer shows.
        low, high: ends of the y axis; None: those of the values.
        marks: those outside the points are left out.

    Raises:
        ValueError: more series than colours.
    """
    if len(series) > MAX_SERIES:
        raise ValueError(f"a chart has at most {MAX_SERIES} lines, got {len(series)}")
    points = [point for each in series for point in each.points]
    if not points:
        return Markup("")
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    bottom = min(y for _, y in points) if low is None else low
    top = max(y for _, y in points) if high is None else high
    width, height = (right - left) or 1.0, (top - bottom) or 1.0

    def at(x: float, y: float) -> tuple[str, str]:
        across = LEFT + (x - left) / width * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (y - bottom) / height * (HEIGHT - TOP - BOTTOM)
        return f"{across:.1f}", f"{down:.1f}"

    parts = [_axes(bottom, top)]
    for mark in marks:
        if left <= mark.x <= right:
            x, _ = at(mark.x, bottom)
            facts = {"x": x, "top": TOP, "bottom": HEIGHT - BOTTOM, "text": mark.text}
            parts.append(MARK.format(**facts))
    for number, each in enumerate(series):
        places = [(*at(x, y), y) for x, y in each.points]
        parts.append(LINE.format(number, " ".join(f"{across},{down}" for across, down, _ in places)))
        parts += [DOT.format(number, across, down, each.name, y) for across, down, y in places]
        parts.append(KEY.format(n=number, x=LEFT + number * KEY_WIDTH, name=each.name))
    return SVG.format(WIDTH, HEIGHT, title, Markup("").join(parts))


def _axes(bottom: float, top: float) -> Markup:
    values = ((HEIGHT - BOTTOM, bottom), ((TOP + HEIGHT - BOTTOM) / 2, (bottom + top) / 2), (TOP, top))
    return Markup("").join(
        AXIS.format(left=LEFT, right=WIDTH - RIGHT, y=y, value=value) for y, value in values
    )
