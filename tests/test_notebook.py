"""The output for notebooks: well-formed HTML that describes the fit, and pictures with the numbers of the mixture."""

import re
import warnings
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import gaussmix
from direct import draw, random_mixture
from gaussmix import GaussianMixture, Mixture, select
from gaussmix.notebook import mixture_picture, separating_features

FAITHFUL = np.loadtxt(Path(__file__).parents[1] / "examples" / "faithful.csv", delimiter=",", skiprows=1)


def parsed(html):
    """Our part of the HTML; scikit-learn's diagram may follow, which is no XML."""
    html = html.partition("</div>")[0] + "</div>" if "<div>" in html else html
    return ET.fromstring(f"<div>{html}</div>".replace(' xmlns="http://www.w3.org/2000/svg"', ""))


def cells(html):
    return [["".join(cell.itertext()) for cell in row] for row in parsed(html).iter("tr")]


def ticks(svg, axis):
    """Pixels and values of the ticks: of x where axis is 0."""
    found = []
    for text in parsed(svg).iter("text"):
        if text.get("x") and re.fullmatch(r"-?[\d.e+-]+", text.text) and (text.get("text-anchor") == "end") == (axis == 1):
            found.append((float(text.get("y")) - 3 if axis else float(text.get("x")), float(text.text)))
    return np.array(found)


def to_data(svg):
    """From pixels to data: the line through the ticks of each axis."""
    lines = [np.polyfit(*ticks(svg, axis).T, 1) for axis in (0, 1)]
    return lambda pixels: np.column_stack([np.polyval(line, column) for line, column in zip(lines, np.transpose(pixels))])


def test_an_ellipse_holds_half_or_nearly_all_of_its_component():
    """Its points have the Mahalanobis distances that the chi-squared distribution gives."""
    rng = np.random.default_rng(0)
    weights, means, covariances = random_mixture(rng, 3, 2, spread=4)
    svg = mixture_picture(weights, means, covariances, ["a", "b"])
    back, seen = to_data(svg), []
    for ellipse in parsed(svg).iter("ellipse"):
        x, y, angle = map(float, re.fullmatch(r"translate\((\S+) (\S+)\) rotate\((\S+)\)", ellipse.get("transform")).groups())
        t, turn = np.linspace(0, 2 * np.pi, 50), np.deg2rad(angle)
        circle = np.column_stack([float(ellipse.get("rx")) * np.cos(t), float(ellipse.get("ry")) * np.sin(t)])
        points = back(circle @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]] + [x, y])
        k = np.argmin(((means - back([[x, y]]))**2).sum(axis=1))
        away = points - means[k]
        shares = stats.chi2(2).cdf((away @ np.linalg.inv(covariances[k]) * away).sum(axis=1))
        seen.append((k, shares.mean()))
        assert np.ptp(shares) < 0.06
    assert sorted(k for k, _ in seen) == [0, 0, 1, 1, 2, 2]
    np.testing.assert_allclose([share for _, share in sorted(seen)], [0.5, 0.95] * 3, atol=0.02)


def test_nothing_is_drawn_outside():
    for K, seed in ((1, 0), (40, 1), (8, 2)):
        svg = mixture_picture(*random_mixture(np.random.default_rng(seed), K, 3), ["x", "y", "z"])
        root = next(parsed(svg).iter("svg"))
        width, height = float(root.get("width")), float(root.get("height"))
        for ellipse in root.iter("ellipse"):
            x, y = map(float, re.match(r"translate\((\S+) (\S+)\)", ellipse.get("transform")).groups())
            reach = max(float(ellipse.get("rx")), float(ellipse.get("ry")))
            assert 0 <= x <= width and 0 <= y <= height and reach < width
        for axis, length in ((0, width), (1, height)):
            pixels = ticks(svg, axis)[:, 0]
            assert len(pixels) >= 2 and (pixels > 0).all() and (pixels < length).all()


def test_the_density_of_one_feature():
    weights, means, variances = np.array([0.3, 0.7]), np.array([0.0, 5.0]), np.array([1.0, 2.0])
    svg = mixture_picture(weights, means[:, None], variances[:, None, None], ["eruptions"])
    back = to_data(svg)
    *each, total = ([tuple(map(float, point.split(","))) for point in line.get("points").split()] for line in parsed(svg).iter("polyline"))
    for k, line in enumerate([*each, total]):
        x, y = back(line).T
        parts = weights * stats.norm(means, np.sqrt(variances)).pdf(x[:, None])
        np.testing.assert_allclose(y, parts.sum(axis=1) if k == 2 else parts[:, k], atol=0.003)


def test_the_features_that_are_drawn_tell_the_components_apart():
    rng = np.random.default_rng(0)
    means = np.zeros((3, 6))
    means[:, 4], means[:, 1] = [0, 10, 20], [0, 7, -7]
    assert separating_features(np.full(3, 1 / 3), means, np.ones((3, 6)), 2) == [1, 4]
    X = draw(rng, 500, np.full(3, 1 / 3), means, np.array([np.eye(6)] * 3))
    texts = [text.text for text in parsed(GaussianMixture(3, random_state=0).fit(X)._repr_html_()).iter("text")]
    assert "x1" in texts and "x4" in texts and "x0" not in texts


def test_an_estimator_shows_its_table_and_a_picture():
    pd = pytest.importorskip("pandas")
    gm = GaussianMixture(2, random_state=0).fit(pd.DataFrame(FAITHFUL, columns=["eruptions", "<waiting & more>"]))
    html = gm._repr_html_()
    assert gm.summary().splitlines()[0] in html and gm.summary().splitlines()[-1] in html
    header, *lines = cells(html)
    text = gm.summary().splitlines()
    assert header == re.split(r" {2,}", text[2].strip()) and "mean <waiting & more>" in header
    assert lines == [line.split() for line in text[3:5]]
    assert "<waiting" not in html


def test_a_mixture_of_many_shows_some():
    weights, means, covariances = random_mixture(np.random.default_rng(0), 45, 11, "diag")
    html = Mixture(weights, means, covariances)._repr_html_()
    header, *lines = cells(html)
    assert len(lines) == 40 and len(header) == 3 + 16 + 1 and header[3] == "mean x0" and header[-2] == "sd x7"
    assert lines[3][3] == f"{means[3, 0]:.4g}" and lines[3][-2] == f"{np.sqrt(covariances[3, 7, 7]):.4g}"
    assert "There are 5 more components and 3 more features." in html


def test_a_selection_shows_its_candidates():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chosen = select(FAITHFUL, [1, 2, 3, 300], ["full", "diag"], random_state=0)
    html = chosen._repr_html_()
    header, *lines = cells(html)
    assert header[:2] == ["components", "covariance"] and len(lines) == 8
    bold = [row for row in parsed(html).iter("tr") if any("bold" in (cell.get("style") or "") for cell in row)]
    assert len(bold) == 1 and bold[0][0].text == str(chosen.chosen.n_components)
    svg = html[html.index("<svg"):html.index("</svg>") + 6]
    back = to_data(svg)
    dots = [dot for dot in parsed(svg).iter("circle") if dot.get("r") == "2.5"]
    values = back([(float(dot.get("cx")), float(dot.get("cy"))) for dot in dots])
    expected = [(c.n_components, c.bic) for kind in ("full", "diag") for c in chosen.candidates
                if c.covariance_type == kind and not c.failure]
    np.testing.assert_allclose(values, expected, atol=3)
    assert "<svg" not in select(FAITHFUL, 2, random_state=0)._repr_html_()


@pytest.mark.parametrize("mixture", [
    Mixture([1.0], [[1e200, 0.0]], [np.eye(2)]), Mixture([1.0], [[0.0]], [[[1e-250]]]), Mixture([1.0], [[0.0, 0.0]], [np.diag([1e300, 1.0])]),
    Mixture([0.5, 0.5], [[0.0, 0.0], [1e12, 0.0]], [np.eye(2), np.eye(2)]), Mixture([0.0, 1.0], [[0.0], [1.0]], [1.0, 1.0], "spherical")])
def test_extreme_numbers_give_no_error(mixture):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parsed(mixture._repr_html_())


def test_what_is_not_fitted_shows_its_parameters():
    assert "GaussianMixture(n_components=2)" in GaussianMixture(2)._repr_html_()
    assert "<svg" in gaussmix.GaussianMixture(2, random_state=0).fit(FAITHFUL)._repr_html_()
