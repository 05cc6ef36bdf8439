"""Lines over time as an SVG, for the documents."""

from collections.abc import Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT = 720, 300
_LEFT, _TOP, _RIGHT, _BOTTOM = 60, 20, 20, 40
_COLOURS = ("#1f77b4", "#9ecae1", "#d62728", "#ff9896")
_STEPS = 5


@dataclass(frozen=True)
class Line:
    """Points are seconds and bytes."""

    name: str
    points: Sequence[tuple[float, float]]


def svg(title: str, lines: Sequence[Line]) -> str:
    """Megabytes over seconds."""
    points = [point for line in lines for point in line.points]
    last, most = max(at for at, _ in points), max(size for _, size in points)
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(at: float) -> float:
        return round(_LEFT + at / last * wide, 1)

    def y(size: float) -> float:
        return round(_TOP + high - size / most * high, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        'font-size="11">',
        f'<title>{title}</title><rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
    ]
    for step in range(_STEPS + 1):
        size, at = most * step / _STEPS, last * step / _STEPS
        parts.append(f'<path d="M{_LEFT} {y(size)}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(size) + 4}" text-anchor="end">{size / 1e6:.0f} MB</text>')
        parts.append(f'<text x="{x(at)}" y="{_HEIGHT - 20}" text-anchor="middle">{at:.0f} s</text>')
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        path = "L".join(f"{x(at)} {y(size)}" for at, size in line.points)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        place = _LEFT + number * wide // len(lines)
        parts.append(f'<text x="{place}" y="{_HEIGHT - 4}" fill="{colour}">{line.name}</text>')
    return "\n".join([*parts, "</svg>", ""])
