"""Starts of EM, one class each: from a problem and a random generator to parameters that EM can begin from."""

from __future__ import annotations

from gaussmix.starts.given import FromLabels, FromParameters, FromResponsibilities, PartlyGiven
from gaussmix.starts.kmeans import FromKMeans, FromKMeansPlusPlus, FromNearestFarRow
from gaussmix.starts.random import FromRandomResponsibilities, FromRandomRows
from gaussmix.starts.start import SingularStart, Start
from gaussmix.starts.units import standardized, whitened

__all__ = ["STARTS", "FromLabels", "FromParameters", "FromResponsibilities", "PartlyGiven", "SingularStart", "Start"]

STARTS: dict[str, Start] = {
    "kmeans": FromKMeans(),
    "k-means++": FromKMeansPlusPlus(),
    "random": FromRandomResponsibilities(),
    "random_from_data": FromRandomRows(),
    "kmeans_standardized": FromKMeans(standardized),
    "kmeans_whitened": FromKMeans(whitened),
    "k-means++_standardized": FromNearestFarRow(standardized),
    "k-means++_whitened": FromNearestFarRow(whitened),
}
