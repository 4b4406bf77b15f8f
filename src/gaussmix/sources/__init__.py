"""Sources: where rows come from that need not be in memory together. Each gives all its rows anew in every pass."""

from gaussmix.sources.opening import is_source, open_source
from gaussmix.sources.source import RowBlock, Source, SourceError

__all__ = ["RowBlock", "Source", "SourceError", "is_source", "open_source"]
