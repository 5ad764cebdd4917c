"""The committed figures of `count`, and whether measured ones are still as good. Nothing is measured here."""

import json

# By how much a figure may grow before the check fails, or shrink before it asks for the new one: a twentieth.
SLACK = 0.05
# What may be added to that: a twentieth of no allocation is none, and what is allocated once a second is some more on a slow machine.
ALLOWANCE = {"instructions": 0, "allocations": 0.25}
# The two figures of a kind of request, and how each is written.
WRITTEN = {"instructions": "{:,.0f}", "allocations": "{:.1f}"}


class Unusable(Exception):
    """Why there are no figures to go by."""


def read(path):
    """The figures in the file: {kind of request: {figure: number}}. Raises Unusable."""
    try:
        with open(path, encoding="utf-8") as file:
            figures = json.load(file)
    except FileNotFoundError:
        raise Unusable(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise Unusable(f"{path}: {error}") from None
    if not isinstance(figures, dict) or not figures:
        raise Unusable(f"{path}: holds no figures")
    for kind, row in figures.items():
        if not isinstance(row, dict) or set(row) != set(WRITTEN):
            raise Unusable(f"{path}: '{kind}' does not have these and no others: {', '.join(WRITTEN)}")
        for name, value in row.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e12:
                raise Unusable(f"{path}: '{kind}' has no number of {name}: {value!r}")
    return figures


def write(path, figures):
    """Rounded to what is repeatable: whole instructions, tenths of allocations."""
    rows = [f'  {json.dumps(kind)}: {{ "instructions": {round(row["instructions"])}, "allocations": {round(row["allocations"], 1):g} }}'
            for kind, row in figures.items()]
    with open(path, "w", encoding="utf-8") as file:
        file.write("{\n" + ",\n".join(rows) + "\n}\n")


def judge(committed, measured):
    """What is worse than committed, and what is so much better that the committed figure should follow: two lists of lines."""
    worse, better = [], []
    for kind in committed.keys() - measured.keys():
        worse.append(f"{kind}: is committed and was not measured")
    for kind in measured.keys() - committed.keys():
        worse.append(f"{kind}: was measured and has no committed figure")
    for kind in (kind for kind in committed if kind in measured):
        for name, text in WRITTEN.items():
            was, now = committed[kind][name], measured[kind][name]
            share = f" ({(now / was - 1) * 100:+.1f} %)" if was else ""
            line = f"{kind}: {name} a request {text.format(was)} → {text.format(now)}{share}"
            if now > was * (1 + SLACK) + ALLOWANCE[name]:
                worse.append(line)
            elif now < was * (1 - SLACK) - ALLOWANCE[name]:
                better.append(line)
    return sorted(worse), sorted(better)
