"""The code on the pages of the examples (docs/examples). Tests and benchmarks run it unchanged."""

import contextlib
import io
from functools import lru_cache
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples"


def code_of(page):
    """
    Return the fenced blocks of Python of a page.

    Parameters
    ----------
    page : str
        Its name, in docs/examples.

    Returns
    -------
    str
        Each line has the same line number as on the page, so that a traceback points there.
    """
    inside, lines = False, []
    for line in (EXAMPLES / page).read_text(encoding="utf-8").splitlines():
        inside = inside and line != "```"
        lines.append(line if inside else "")
        inside = inside or line == "```python"
    return "\n".join(lines) + "\n"


@lru_cache
def run(page):
    """
    Run the code of a page, and return the names that it defines. Its output is not shown.

    Parameters
    ----------
    page : str

    Returns
    -------
    dict
    """
    names = {"__name__": page}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code_of(page), str(EXAMPLES / page), "exec"), names)
    return names
