"""Calls the functions of `gaussmix.cython_mixture` by ctypes, with the signatures from `__pyx_capi__`, without the GIL."""

import ctypes
from types import SimpleNamespace

import numpy as np

from gaussmix import cython_mixture

OK, NULL_POINTER, WRONG_HANDLE, BAD_SIZE, OTHER_SHAPE, BAD_TYPE, UNALIGNED, NOT_FINITE = range(8)
NEGATIVE, BAD_LABEL, UNKNOWN_STRUCTURE, BAD_PARAMETERS, NO_WEIGHT, SINGULAR, NO_MEMORY, PYTHON_ERROR = range(8, 16)

TYPES = {"int": ctypes.c_int, "Py_ssize_t": ctypes.c_ssize_t, "double": ctypes.c_double, "uint64_t": ctypes.c_uint64,
         "char const *": ctypes.c_char_p, "PyObject *": ctypes.py_object}


def _type(name):
    return TYPES.get(name) or {"*": ctypes.c_void_p}[name[-1]]


def _function(capsule):
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    signature = name_of(capsule)
    result, arguments = signature.decode()[:-1].split("(", 1)
    types = [_type(name) for name in arguments.split(", ") if name != "void"]
    made = ctypes.PYFUNCTYPE if "PyObject" in signature.decode() else ctypes.CFUNCTYPE
    function = made(_type(result.strip()), *types)(pointer_of(capsule, signature))
    function.arguments = len(types)
    return function


gm = SimpleNamespace(**{name: _function(capsule) for name, capsule in cython_mixture.__pyx_capi__.items()})


def at(array):
    """Return the address of an array; None for None."""
    return None if array is None else array.ctypes.data


def checked(code):
    assert code == OK, gm.error_message(code)


def _made(make, *arguments):
    handle = ctypes.c_void_p()
    checked(make(*arguments, ctypes.addressof(handle)))
    return handle.value


class Handle:
    """A handle that is freed with this object."""

    def __init__(self, value, free):
        self._as_parameter_, self.free = value, free

    def __del__(self):
        checked(self.free(self._as_parameter_))


def densities(structure, weights, means, covariances):
    numbers = [np.ascontiguousarray(part, dtype=np.float64) for part in (weights, means, covariances)]
    return Handle(_made(gm.densities_new, structure.encode(), *means.shape, *map(at, numbers)), gm.densities_free)


def densities_of(mixture):
    return Handle(gm.densities_of(mixture), gm.densities_free)


def statistics(structure, n_components, n_features):
    return Handle(_made(gm.statistics_new, structure.encode(), n_components, n_features), gm.statistics_free)


def workspace(n_components, n_features):
    return Handle(_made(gm.workspace_new, n_components, n_features), gm.workspace_free)


def rows(X):
    """Type, pointer, count and stride of rows."""
    return X.itemsize, at(X), len(X), X.strides[0]


def evaluated(name, densities, X, work, *shape, dtype=np.float64):
    result = np.full(shape, -7, dtype)
    checked(getattr(gm, name)(densities, *rows(X), at(result), work))
    return result
