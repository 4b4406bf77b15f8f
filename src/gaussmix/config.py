"""Information on this installation and what it uses."""

from __future__ import annotations

from gaussmix._core.estep import ISA, instruction_sets
from gaussmix._version import __version__
from gaussmix.engines import resolve_threads

__all__ = ["show_config"]


def show_config() -> None:
    """
    Print the version, the instruction set in use, BLAS and the number of threads.

    The instruction set is the widest that the machine offers. The environment variable `GAUSSMIX_ISA`, read when
    gaussmix is imported, selects a lower one. `GAUSSMIX_NUM_THREADS` sets the number of threads.

    Examples
    --------
    >>> import gaussmix
    >>> gaussmix.show_config()  # doctest: +ELLIPSIS
    gaussmix ...
    instruction set: ...
    BLAS and LAPACK: ...
    threads: ...
    """
    print(f"gaussmix {__version__}")
    print(f"instruction set: {ISA} (this machine offers {', '.join(instruction_sets())})")
    print(f"BLAS and LAPACK: {_blas()}")
    print(f"threads: {resolve_threads()}")


def _blas() -> str:
    """Return the name of SciPy's BLAS and LAPACK, which make every factorization."""
    import scipy

    build = scipy.show_config(mode="dicts").get("Build Dependencies", {})
    return ", ".join(sorted({f"{part.get('name', 'unknown')} {part.get('version', '')}".strip()
                             for part in (build.get("blas", {}), build.get("lapack", {}))})) + f" (scipy {scipy.__version__})"
