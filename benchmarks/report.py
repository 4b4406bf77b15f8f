"""Write measurements as Markdown, as JSON and as plots."""

import json
import math
import os
import tempfile
from dataclasses import asdict


def markdown(machine, tables):
    """
    A page: the machine, then every table.

    Parameters
    ----------
    machine : dict
        From `machine.describe`.
    tables : list of sections.Table

    Returns
    -------
    str
    """
    return "\n\n".join([machine_markdown(machine)] + [table_markdown(table) for table in tables]) + "\n"


def machine_markdown(machine):
    """The machine and the versions in one paragraph."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    pools = "; ".join(f"{pool.get('library')} ({pool.get('internal_api')} {pool.get('version')}, "
                      f"{pool.get('architecture', 'no kernels named')}, {pool.get('num_threads')} threads)" for pool in machine["pools"])
    head = (f"{machine['cpu']}, {machine['cores']} cores, {', '.join(machine['instruction_sets'])}; {machine['system']}; "
            f"Python {machine['python']}, {versions}; {machine['threads']} threads for every library; {pools or 'no pools seen'}.")
    return head


def table_markdown(table):
    """One table under its title."""
    columns = list(dict.fromkeys(key for row in table.rows for key in row))
    lines = [f"### {table.title}", "", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(column, row.get(column)) for column in columns) + " |" for row in table.rows]
    return "\n".join(lines + (["", table.note] if table.note else []))


def _cell(column, value):
    if value is None:
        return ""
    if isinstance(value, float):
        if column.startswith("L of") and "difference" not in column:
            return f"{value:,.3f}"
        return f"{value:.1e}" if "difference" in column else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def write_whole(path, text):
    """Write a file whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def as_json(machine, sections):
    """
    Everything that was measured.

    Parameters
    ----------
    machine : dict
    sections : dict
        From a section's name to its tables.

    Returns
    -------
    str
        Numbers that are not finite, which JSON lacks, as words.
    """
    tables = {name: [asdict(table) for table in tables] for name, tables in sections.items()}
    for row in (row for found in tables.values() for table in found for row in table["rows"]):
        row.update({key: repr(value) for key, value in row.items() if isinstance(value, float) and not math.isfinite(value)})
    return json.dumps({"machine": machine, "sections": tables}, indent=1, allow_nan=False) + "\n"


def plot(sections, folder):
    """
    Draw the panels of the curve, and the ratios of the sections that have any.

    Parameters
    ----------
    sections : dict
    folder : Path

    Returns
    -------
    list of Path
        The files written; none without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return []
    drawn = []
    for name, tables in sections.items():
        figure = Figure(figsize=(15, 8) if name == "curve" else (9, 5), layout="constrained")
        if (_draw_curve if name == "curve" else _draw_ratios)(figure, tables[0]):
            drawn.append(folder / f"{name}.svg")
            figure.savefig(drawn[-1])
    return drawn


def _draw_curve(figure, table):
    panels = list(dict.fromkeys(row["varied"] for row in table.rows))
    fixed = {"varied", "N", "D", "K", "share of peak, %"}
    for axes, varied in zip(figure.subplots(2, (len(panels) + 1) // 2, squeeze=False).flat, panels):
        rows = [row for row in table.rows if row["varied"] == varied]
        at = [row[varied[0]] for row in rows]
        for name in (key for key in rows[0] if key not in fixed):
            axes.plot(at, [row[name] or float("nan") for row in rows], marker="o", label=name)
        axes.set(xscale="log", xlabel=varied, ylabel="GFLOP/s", ylim=(0, None))
        axes.legend()
    figure.suptitle(f"{table.title}\n{table.note}")
    return True


def _draw_ratios(figure, table):
    names = [key for key in dict.fromkeys(key for row in table.rows for key in row) if " / " in key]
    if not names:
        return False
    axes = figure.subplots()
    for i, name in enumerate(names):
        axes.bar([at + i * 0.8 / len(names) for at in range(len(table.rows))], [row.get(name) or 0 for row in table.rows],
                 width=0.8 / len(names), label=name)
    labels = ["\n".join(str(row[key]) for key in ("N · D · K", "covariances", "method") if key in row) for row in table.rows]
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes.axhline(1, color="black", linewidth=0.5)
    axes.set(yscale="log", ylabel="ratio of times", title=table.title)
    axes.legend()
    return True
