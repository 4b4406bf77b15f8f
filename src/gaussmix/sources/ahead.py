"""Reading ahead: a thread reads and decodes the next blocks while the present ones are computed on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import TypeVar

__all__ = ["ahead"]

_Item = TypeVar("_Item")

PATIENCE = 0.1  # seconds after which a reader that waits looks whether it is still wanted
FAREWELL = 1.0  # seconds to wait for the end of a reader that is not wanted any more


def ahead(items: Iterator[_Item], most: int = 2) -> Generator[_Item]:
    """
    Yield the items of an iterator, which a thread of its own draws, up to `most` of them ahead.

    An error of the iterator is raised in its turn. When this generator is closed before its end, as after Ctrl-C, it waits for the
    thread, but not long: a read that hangs ends in the background, and what it gives is not used.

    Parameters
    ----------
    items : iterator
    most : int

    Yields
    ------
    item
    """
    drawn: queue.Queue[tuple[bool, _Item | BaseException | None]] = queue.Queue(most)
    unwanted = threading.Event()

    def put(there: bool, item: _Item | BaseException | None) -> None:
        while not unwanted.is_set():
            with suppress(queue.Full):
                drawn.put((there, item), timeout=PATIENCE)
                return

    def draw() -> None:
        try:
            for item in items:
                put(True, item)
                if unwanted.is_set():
                    break
            else:
                put(False, None)
        except BaseException as error:
            put(False, error)
        finally:
            close = getattr(items, "close", None)
            if callable(close):
                close()

    reader = threading.Thread(target=draw, name="gaussmix_reader", daemon=True)
    try:
        reader.start()
    except RuntimeError:  # the operating system has no room for another thread
        yield from items
        return
    try:
        while True:
            there, item = drawn.get()
            if not there:
                if item is None:
                    return
                assert isinstance(item, BaseException)
                raise item
            yield item  # type: ignore[misc]  # an item
    finally:
        unwanted.set()
        reader.join(FAREWELL)
