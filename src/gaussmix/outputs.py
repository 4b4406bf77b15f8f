"""Output files, which are written as a whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

__all__ = ["check_not_read", "check_output", "whole_file"]


def check_output(path: str | os.PathLike[str]) -> str:
    """
    Raise OSError where a file could not be written. This is called before the work whose result it will hold.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    str
        The real path of the file, with symbolic links followed.

    Raises
    ------
    OSError
        Naming `path`.
    """
    path = os.fsdecode(path)
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "cannot be written: its folder does not exist", path)
    if os.path.isdir(target):
        raise IsADirectoryError(errno.EISDIR, "cannot be written: it is a folder", path)
    if os.path.exists(target) and not os.path.isfile(target):
        raise OSError(errno.EINVAL, "cannot be written: it is not an ordinary file", path)
    if not os.access(target if os.path.exists(target) else folder, os.W_OK) or not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, "cannot be written: permission denied", path)
    return target


def check_not_read(output: str, paths: Iterable[str], endings: tuple[str, ...] = ()) -> None:
    """
    Raise where an output is one of the files that are read.

    Parameters
    ----------
    output : str
    paths : iterable of str
        Files, and folders of files.
    endings : tuple of str
        Those of the files that are read in a folder.

    Raises
    ------
    ValueError
    """
    target = os.path.realpath(output)
    for path in map(os.path.realpath, paths):
        if os.path.isdir(path) and target.startswith(os.path.join(path, "")) and target.lower().endswith(endings):
            raise ValueError(f"{output}: cannot be written, as its folder is read: put the output elsewhere")
        if os.path.exists(target) and os.path.exists(path) and os.path.samefile(target, path):
            raise ValueError(f"{output}: cannot be written, as it is also read: give the output another name")


@contextmanager
def whole_file(path: str | os.PathLike[str], partial: str | None = None) -> Iterator[BinaryIO]:
    """
    A binary file to write to, which takes its name only when all has been written.

    Until then it has another name in the same folder. After an exception it is removed, and an earlier file at `path` is
    unchanged.

    Parameters
    ----------
    path : str or path-like
    partial : str, optional
        The file's name until then; by default one that no other file has. What an earlier process left under it is overwritten.

    Yields
    ------
    file object

    Raises
    ------
    OSError
        Naming `path`.
    """
    target = check_output(path)
    temporary = os.path.join(os.path.dirname(target), partial or f".gaussmix-{secrets.token_hex(8)}.part")
    try:
        with open(temporary, "wb" if partial else "xb") as file:
            yield file
        if os.path.exists(target):
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except OSError as error:
        _remove(temporary)
        raise OSError(error.errno, f"cannot be written: {error.strerror or error}", os.fspath(path)) from None
    except BaseException:
        _remove(temporary)
        raise


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
