"""
Calls single kernels on one tile by name. `python -m benchmarks kernels` times them, and tests compare them with direct sums.

They are compiled here from the package's source, with the flags of its build, for any instruction set, whatever the installed
package uses. "plain" is the fallback for compilers without vector extensions. A C compiler is needed, and the package's
source beside this folder.
"""

import ctypes
from functools import lru_cache
from pathlib import Path

import numpy as np

from benchmarks.machine import compiled
from gaussmix._core.estep import TILE, instruction_sets

SOURCE = Path(__file__).resolve().parents[1] / "src" / "gaussmix" / "_core" / "kernels"

# As in kernels/meson.build; a test compares the two.
COMMON_FLAGS = "-fno-math-errno", "-ffp-contract=fast"
FLAGS = {
    "plain": ("-DGM_ROWS=3",),
    "baseline": ("-DGM_VECTOR=16", "-DGM_ROWS=3"),
    "avx2": ("-DGM_VECTOR=32", "-DGM_ROWS=4", "-mavx2", "-mfma"),
    "avx512": ("-DGM_VECTOR=64", "-DGM_ROWS=8", "-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mavx2", "-mfma",
               "-mprefer-vector-width=512"),
}
REALS = {"float32": ("-DGM_REAL=float", "-DGM_BITS=uint32_t"), "float64": ("-DGM_REAL=double", "-DGM_BITS=uint64_t")}

# The numbers among the members of a tile; all others are arrays.
NUMBERS = {
    "D": ctypes.c_ssize_t, "K": ctypes.c_ssize_t, "rows": ctypes.c_int, "padded": ctypes.c_int, "stride": ctypes.c_ssize_t,
    "spared": ctypes.c_double, "least": ctypes.c_double, "sum_only": ctypes.c_int, "constant": ctypes.c_double,
    "total": ctypes.c_double, "far_rows": ctypes.c_int, "count": ctypes.c_ssize_t,
}
CACHE_LINE = 64
GUARD = 2 * CACHE_LINE
UNTOUCHED = 0xA5


def offered():
    """The instruction sets that this machine can use, with "plain" before them, narrowest first."""
    return ["plain", *instruction_sets()]


@lru_cache
def library(isa, real):
    """The kernels of an instruction set for "float32" or "float64" as a shared library; None without a compiler or their source."""
    if not SOURCE.is_dir():
        return None
    found = compiled("one_tile.c", *COMMON_FLAGS, *FLAGS[isa], *REALS[real], "-DGM_NAME=gm_one_tile", "-I", str(SOURCE))
    if found is not None:
        found.new_tile.restype, found.free_tile.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
        found.member.restype, found.member.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]
        found.call.restype = ctypes.c_int64
        found.call.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_ssize_t, ctypes.c_int64]
    return found


class Tile:
    """
    A tile, with the kernels of one instruction set and number type.

    `tile["gamma"]` is a member of kernels.h's workspace or an argument of a kernel (one_tile.c has their names), and can be set: a
    number, or an array whose address the kernels are given. The workspace's own arrays are there already.

    Parameters
    ----------
    isa : str
        One of `offered()`.
    dtype : dtype_like
        float32 or float64.
    n_components, n_features : int
    """

    def __init__(self, isa, dtype, n_components, n_features):
        self.dtype = np.dtype(dtype)
        self._library = library(isa, self.dtype.name)
        if self._library is None:
            raise RuntimeError("the kernels cannot be compiled here: there is no C compiler, or the package's source is missing")
        self.lanes, self.panel = self._constant("lanes"), 3 * self._constant("lanes")
        self._tile = self._library.new_tile()
        self._arrays, self._memory = {}, []
        self["K"], self["D"] = K, D = n_components, n_features
        word = np.dtype(f"u{self.dtype.itemsize}")
        for name, shape, of in (
                ("panels", D * TILE, self.dtype), ("scratch", (D + self._constant("widest_panel")) * TILE, self.dtype),
                ("gamma", (K, TILE), self.dtype), ("top", TILE, self.dtype), ("bound", TILE, self.dtype), ("likeliest", TILE, word),
                ("likely", K, np.uint64), ("scale", TILE, self.dtype), ("log_p", TILE, self.dtype), ("weights", TILE, self.dtype),
                ("pending_row", (K, 2 * TILE), np.uintp), ("pending_root", (K, 2 * TILE), self.dtype), ("pending_count", K, np.intc),
                ("label", TILE, np.int32), ("value", TILE, np.float64), ("out", (TILE, K), np.float64)):
            self[name] = self.array(shape, of)

    def __del__(self):
        if hasattr(self, "_tile"):
            self._library.free_tile(self._tile)

    def _constant(self, name):
        return ctypes.c_int.in_dll(self._library, name).value

    def array(self, shape, dtype):
        """An array of zeros from the start of a cache line, before and behind which `overrun` looks for traces of the kernels."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory = np.full(size + 2 * GUARD + CACHE_LINE, UNTOUCHED, np.uint8)
        start = GUARD + -(memory.ctypes.data + GUARD) % CACHE_LINE
        memory[start:start + size] = 0
        self._memory.append((memory[:start], memory[start + size:]))
        return memory[start:start + size].view(dtype).reshape(shape)

    def overrun(self):
        """Whether a kernel has written before the beginning or after the end of an array."""
        return any((guard != UNTOUCHED).any() for guards in self._memory for guard in guards)

    def __getitem__(self, name):
        return NUMBERS[name].from_address(self._address(name)).value if name in NUMBERS else self._arrays[name]

    def __setitem__(self, name, value):
        if name in NUMBERS:
            NUMBERS[name].from_address(self._address(name)).value = value
        else:
            self._arrays[name] = value
            ctypes.c_void_p.from_address(self._address(name)).value = None if value is None else value.ctypes.data

    def _address(self, name):
        address = self._library.member(self._tile, name.encode())
        if address is None:
            raise KeyError(name)
        return address

    def load(self, X):
        """Load the rows of X into the tile: at most TILE rows, of the tile's number type."""
        self["x"], self["stride"], self["rows"] = X, X.strides[0], len(X)
        self.call("load")

    def call(self, kernel, k=0, times=1):
        """
        Call a kernel.

        Parameters
        ----------
        kernel : str
            One of the kernels that one_tile.c lists.
        k : int
            The component.
        times : int

        Returns
        -------
        int
            By how much the processor's time stamp grew; 0 where there is none.
        """
        ticks = self._library.call(self._tile, kernel.encode(), k, times)
        if ticks < 0:
            raise KeyError(kernel)
        return ticks
