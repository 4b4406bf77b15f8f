"""Starts of EM, one class each: from a problem and a random generator to parameters that EM can begin from."""

from __future__ import annotations

from gaussmix.starts.given import FromLabels, FromParameters, FromResponsibilities, PartlyGiven
from gaussmix.starts.kmeans import FromKMeans, FromKMeansPlusPlus
from gaussmix.starts.random import FromRandomResponsibilities, FromRandomRows
from gaussmix.starts.start import SingularStart, Start

__all__ = ["STARTS", "FromLabels", "FromParameters", "FromResponsibilities", "PartlyGiven", "SingularStart", "Start"]

STARTS: dict[str, Start] = {
    "kmeans": FromKMeans(),
    "k-means++": FromKMeansPlusPlus(),
    "random": FromRandomResponsibilities(),
    "random_from_data": FromRandomRows(),
}
