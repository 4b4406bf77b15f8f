"""Searches: many fits, of which the best is kept. `Search` is the record of a search for the best optimum."""

from __future__ import annotations

from gaussmix.search.record import Optimum, Search

__all__ = ["Optimum", "Search"]
