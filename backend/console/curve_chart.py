"""The learning curve of a project as a chart and as the rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from backend.console.charts import Series, line_chart


def curve_rows(curve: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the measured points, then the forecasts, each with `source`."""
    forecast = (curve["law"] or {}).get("forecast", [])
    return [*curve["points"], *({**each, "source": "forecast"} for each in forecast)]


def curve_chart(curve: Mapping[str, Any]) -> Markup:
    """Return the chart: what was measured, what is forecast, and both ends of the 80 % intervals."""
    measured, rows = curve["points"], curve_rows(curve)
    forecast = [*measured[-1:], *rows[len(measured) :]]
    series = [
        Series("measured", _line(measured, "value")),
        Series("forecast", _line(forecast, "value") if len(forecast) > 1 else []),
        Series("80 % from", _line(rows, "low")),
        Series("80 % to", _line(rows, "high")),
    ]
    title = "Score on held-out patients by the number of patients that were trained on"
    return line_chart(title, [each for each in series if each.points])


def _line(rows: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    return [(row["patients"], row[name]) for row in rows if row[name] is not None]
