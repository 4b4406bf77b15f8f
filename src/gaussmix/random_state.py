"""The source of random numbers, made from what a user passes as random_state."""

from typing import TypeAlias

import numpy as np

__all__ = ["RandomState", "as_generator"]

RandomState: TypeAlias = int | np.random.RandomState | np.random.Generator | None


def as_generator(random_state: RandomState) -> np.random.Generator:
    """
    A numpy Generator.

    Parameters
    ----------
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator
        A Generator is used itself; a RandomState gives the seed and moves on; None takes fresh entropy.

    Returns
    -------
    numpy.random.Generator

    Raises
    ------
    ValueError
        For anything else.
    """
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(0, 2**32, size=4, dtype=np.uint32))
    if random_state is np.random:  # type: ignore[comparison-overlap]  # as scikit-learn allows, though no annotation says so
        return np.random.default_rng(np.random.randint(0, 2**32, size=4, dtype=np.uint32))
    try:
        if np.iterable(random_state) or isinstance(random_state, np.timedelta64):  # as numpy's seeds may be
            raise TypeError
        return np.random.default_rng(random_state)
    except (TypeError, ValueError):
        raise ValueError(f"random_state must be None, a whole number that is not negative, a RandomState or a Generator, "
                         f"not {random_state!r}") from None
