from numpy import float64
from numpy.typing import ArrayLike, NDArray

def whiten(covariance: ArrayLike) -> tuple[NDArray[float64], float]: ...
