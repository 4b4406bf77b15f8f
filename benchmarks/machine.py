"""The conditions of a measurement: the machine, its peak, the versions and the threads."""

import ctypes
import importlib.metadata
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from time import perf_counter

INSTRUCTION_SETS = "avx512f", "avx2", "avx", "sse4_2", "asimd"
PACKAGES = "gaussmix", "numpy", "scipy", "scikit-learn", "scikit-learn-intelex", "daal", "hmmlearn", "threadpoolctl"


def describe(n_threads):
    """
    The machine, the versions and the BLAS in use.

    Parameters
    ----------
    n_threads : int
        The number of threads that every library was given.

    Returns
    -------
    dict
    """
    model, flags = _processor()
    return {"cpu": model, "cores": os.cpu_count(), "instruction_sets": [name for name in INSTRUCTION_SETS if name in flags],
            "system": f"{platform.system()} {platform.machine()}", "python": platform.python_version(), "threads": n_threads,
            "versions": {name: version for name in PACKAGES if (version := _version(name))}, "pools": _pools(),
            "gaussmix_isa": os.environ.get("GAUSSMIX_ISA", "chosen by the library")}


def _processor():
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines() if ":" in line)
    except OSError:
        return platform.processor() or platform.machine(), set()
    lines = {key.strip(): value.strip() for key, value in lines.items()}
    return lines.get("model name", platform.machine()), set((lines.get("flags") or lines.get("Features", "")).split())


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _pools():
    """What threadpoolctl sees, without the paths of the files."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    import scipy.linalg  # noqa: F401  loads SciPy's BLAS, so that it is seen

    wanted = "user_api", "internal_api", "version", "architecture", "threading_layer", "num_threads"
    return [{key: pool[key] for key in wanted if key in pool} | {"library": Path(pool["filepath"]).name}
            for pool in threadpool_info()]


def compiled(source, *flags):
    """
    A C file of this folder as a shared library, compiled here.

    Parameters
    ----------
    source : str
    *flags : str
        Flags for the compiler; CFLAGS follow them. The compiler is the one in the environment variable CC, or cc, gcc or clang.

    Returns
    -------
    ctypes.CDLL or None
        None without a C compiler.

    Raises
    ------
    RuntimeError
        Where the compiler fails; the message holds its output.
    """
    named = shlex.split(os.environ.get("CC", ""))
    compilers = [command for command in (named, ["cc"], ["gcc"], ["clang"]) if command and shutil.which(command[0])]
    if sys.platform == "win32" or not compilers:
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "library.so"
        command = [*compilers[0], "-O3", "-std=c11", "-shared", "-fPIC", *flags, *shlex.split(os.environ.get("CFLAGS", "")),
                   "-o", str(library), str(Path(__file__).with_name(source)), "-lm"]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(f"{shlex.join(command)}\n{run.stderr}")
        return ctypes.CDLL(str(library))


@lru_cache
def _loop(real):
    """The fused-multiply-add loop of peak.c for "double" or "float"; None where it cannot be compiled for this machine."""
    try:
        library = compiled("peak.c", "-march=native", "-ffp-contract=fast")
    except RuntimeError:  # a compiler that does not know its own machine
        return None
    if library is None:
        return None
    loop = getattr(library, f"peak_{real}")
    loop.restype, loop.argtypes = ctypes.c_double, [ctypes.c_long]
    return loop


def peak(n_threads, real="double", rounds=30):
    """
    The best rate of a plain fused-multiply-add loop, compiled here for this machine.

    Parameters
    ----------
    n_threads : int
        How many threads run the loop at once.
    real : {"double", "float"}
    rounds : int
        The best of this many tries is kept.

    Returns
    -------
    float or None
        Operations per second (a multiply-add is two) of all threads together; None without a C compiler.
    """
    loop = _loop(real)
    if loop is None:
        return None
    best = 0.0
    with ThreadPoolExecutor(n_threads) as pool:
        for _ in range(rounds):
            begin = perf_counter()
            operations = sum(pool.map(loop, [2_000_000] * n_threads))
            best = max(best, operations / (perf_counter() - begin))
    return best
