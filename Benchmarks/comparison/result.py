"""What a case found, and how it looks as a table."""

from dataclasses import dataclass, field

from stage import ratios

BASE = "gatehouse"


@dataclass
class Result:
    case: object
    rows: list
    columns: list
    # More about it, for below the table.
    notes: list = field(default_factory=list)

    def row(self, name):
        """The row, or None when it isn't there or has failed."""
        return next((row for row in self.rows if row.name == name and row.failure is None), None)

    def reasons(self):
        """Why some were not measured."""
        return [f"{row.name} was not measured: {row.failure.rstrip('.')}." for row in self.rows if row.failure is not None]

    def table(self):
        """Lists of cells, the header's first."""
        base = self.row(BASE)
        cells = [["", *(header for header, _ in self.columns)]]
        for row in self.rows:
            if row.failure is not None:
                cells.append([row.name, "not measured", *[""] * (len(self.columns) - 1)])
            else:
                cells.append([row.name, *(write(row, base) or "–" for _, write in self.columns)])
        return cells


def markdown(cells):
    """A table that is readable as it is, too."""
    cells = [[cell.replace("|", "\\|") for cell in line] for line in cells]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths)) for line in cells]
    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])


def number(value):
    """With three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values, scale=1):
    """Median, with the least and the greatest."""
    if not values.values:
        return ""
    return f"{number(values.median * scale)} ({number(min(values.values) * scale)}–{number(max(values.values) * scale)})"


def against(mine, others):
    """The ratios of the rounds that both had."""
    if not mine.values or not others.values:
        return ""
    values = ratios(mine, others)
    form = (lambda value: f"{value:.2g}") if values.median < 0.05 else (lambda value: f"{value:.2f}")
    return f"{form(values.median)} ({form(min(values.values))}–{form(max(values.values))})"


def share(row, scale, user):
    """Of the median cost, what user space took, or the kernel."""
    part = row.usage.user_share
    if part is None:
        return ""
    return number(row.costs.median * scale * (part if user else 1 - part))


def ratio_column(words):
    return (words, lambda row, base: "" if base is None or row is base else against(base.costs, row.costs))


def cost_columns(unit="µs", ratio=f"{BASE} / peer"):
    scale = {"µs": 1e-3, "ms": 1e-6}[unit]
    return [
        (f"CPU {unit} a request", lambda row, base: spread(row.costs, scale)),
        ("user", lambda row, base: share(row, scale, True)),
        ("system", lambda row, base: share(row, scale, False)),
        ratio_column(ratio),
        ("requests a second", lambda row, base: number(row.speeds.median) if row.speeds.values else ""),
    ]


def latency_columns():
    def column(name):
        return lambda row, base: ("> " if row.unanswered else "") + number(row.latencies[name].median) if row.latencies[name].values else ""
    return [("p50 µs", column("p50")), ("p99", column("p99")), ("p99.9", column("p999"))]


RESIDENT = [("resident MiB", lambda row, base: f"{row.resident / 2**20:.1f}" if row.resident else "")]
