"""A terminal of any size, and what a program says on it."""

import os
import subprocess
import sys
import threading

import pytest

needs_posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and terminals")


def on_a_terminal(arguments, rows, columns):
    """
    Run Python with these arguments, a terminal of this size as standard error.

    Returns
    -------
    str, str
        What was said on the terminal and on standard output.
    """
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (rows, columns))
    shown = []

    def watch():
        try:
            while chunk := os.read(ours, 4096):
                shown.append(chunk)
        except OSError:  # the other side is closed
            pass

    watcher = threading.Thread(target=watch)
    watcher.start()
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    try:
        done = subprocess.run([sys.executable, *map(str, arguments)], stdout=subprocess.PIPE, stderr=theirs, env=environment,
                              text=True, check=True, timeout=60)
    finally:
        os.close(theirs)
        watcher.join(60)
        os.close(ours)
    return b"".join(shown).decode(), done.stdout
