"""Covariance structures: the constraints that covariances may have, with one class for each."""

from __future__ import annotations

import reprlib
import threading

from gaussmix.structures.matrices import Full, Tied
from gaussmix.structures.structure import Prior, Structure
from gaussmix.structures.variances import Diagonal, Spherical

__all__ = ["Prior", "Structure", "register", "registered", "structure_named"]

_known: list[Structure] = [Full(), Tied(), Diagonal(), Spherical()]
_registering = threading.Lock()


def registered() -> tuple[Structure, ...]:
    """
    All structures that are known by name.

    Examples
    --------
    >>> from gaussmix.structures import registered
    >>> [structure.name for structure in registered()][:4]
    ['full', 'tied', 'diag', 'spherical']
    """
    return tuple(_known)


def register(structure: Structure) -> None:
    """
    Register a structure, so that `covariance_type`, `select`, model files and the command line accept its name and its alias.

    Parameters
    ----------
    structure : Structure

    Raises
    ------
    ValueError
        Where another structure has one of these names already.

    Examples
    --------
    >>> from gaussmix.structures import Structure, register
    >>> class Named(Structure):
    ...     name, alias = "diag", "mine"
    >>> register(Named())
    Traceback (most recent call last):
        ...
    ValueError: there is a covariance structure 'diag' already: give yours another name and alias
    """
    with _registering:
        taken = {name for known in _known for name in (known.name, known.alias)}
        for name in (structure.name, structure.alias):
            if name in taken:
                raise ValueError(f"there is a covariance structure {name!r} already: give yours another name and alias")
        _known.append(structure)


def structure_named(name: str) -> Structure:
    """
    Return the structure with a given name, which may be scikit-learn's or mclust's.

    Parameters
    ----------
    name : str

    Returns
    -------
    Structure

    Raises
    ------
    ValueError
        Where no structure has that name.

    Examples
    --------
    >>> structure_named("EEE")
    <covariance structure tied (EEE)>
    """
    for structure in _known:
        if isinstance(name, str) and name in (structure.name, structure.alias):
            return structure
    names = ", ".join(f"{structure.name!r} ({structure.alias!r})" for structure in _known)
    raise ValueError(f"covariance_type must be one of {names}, not {reprlib.repr(name)}")
