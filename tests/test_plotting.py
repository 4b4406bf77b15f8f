"""Pictures: they show the numbers of the mixture, and nothing in them overlaps."""

import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.datasets import load_breast_cancer, load_iris, load_wine

import gaussmix
from gaussmix import GaussianMixture, Mixture, plotting, select
from gaussmix.search import Optimum, Search
from gaussmix.plotting.labels import Labels
from gaussmix.plotting.levels import density_levels
from gaussmix.plotting.style import OKABE_ITO, colours_of, markers_of
from gaussmix.plotting.subject import marginal, separating

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

FAITHFUL = pd.read_csv(Path(__file__).resolve().parents[1] / "examples" / "faithful.csv")
SIZES = {"full": (8, 6), "small": (3.2, 2.4)}


@pytest.fixture(autouse=True)
def no_figure_is_left():
    yield
    plt.close("all")


def many_components():
    """Rows of forty components, some of which lie upon each other."""
    rng = np.random.default_rng(5)
    return np.concatenate([rng.normal(mean, rng.uniform(0.3, 1.5, 2), (60, 2)) for mean in rng.uniform(0, 30, (40, 2))])


LONG = {"eruptions": "how long the eruption lasted, in minutes since its beginning",
        "waiting": "waiting_time_until_the_next_eruption_of_the_geyser_in_minutes"}
TRIO = Mixture([0.3, 0.3, 0.4], [[0, 0], [5, 2], [1, 6]], [[[1, 0.5], [0.5, 1.2]]] * 3)


def data(name):
    """A fitted model, or a mixture, and rows."""
    tables = {"iris": (load_iris, 3), "wine": (load_wine, 3), "cancer": (load_breast_cancer, 2)}
    if name in tables:
        load, K = tables[name]
        X = load(as_frame=True).data
        return GaussianMixture(K, covariance_type="diag" if name != "iris" else "full", reg_covar="auto", random_state=0).fit(X), X
    if name == "million":
        return TRIO, TRIO.rvs(1_000_000, random_state=1)
    if name == "forty":
        X = many_components()
        return GaussianMixture(40, random_state=0, reg_covar=0.05).fit(X), X
    X = {"one feature": FAITHFUL[["waiting"]], "two features": FAITHFUL, "one component": FAITHFUL,
         "long names": FAITHFUL.rename(columns=LONG), "forty curves": many_components()[:, :1]}[name]
    K = {"one component": 1, "forty curves": 40}.get(name, 2)
    return GaussianMixture(K, random_state=0, reg_covar=0.02 if K == 40 else "auto").fit(X), X


@pytest.fixture(scope="module")
def given():
    """The same, made once."""
    known = {}

    def get(name):
        if name not in known:
            known[name] = data(name)
        return known[name]
    return get


PANELS = ["ellipses", "density", "classification", "uncertainty"]


def new_axes(size="full"):
    return plt.figure(figsize=SIZES[size], layout="constrained").add_subplot()


def ellipses_of(ax):
    return [patch for patch in ax.patches if isinstance(patch, Ellipse)]


def points_on(ellipse):
    """Points on its line, in the units of the data: the ends of the cubic curves that it is made of."""
    return ellipse.get_patch_transform().transform(ellipse.get_path().vertices[:-1:3])


def lines_with_colour(ax, colour):
    return [line for line in ax.lines if to_rgba(line.get_color()) == to_rgba(colour)]


# Everything has room.

def boxes_of(texts, renderer):
    return [text.get_window_extent(renderer) for text in texts if text.get_visible() and text.get_text()]


def overlapping(boxes):
    return [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


def check_room(figure):
    """No text upon another, no key upon a panel, no ellipse beyond the limits, nothing outside of the figure."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    page = figure.bbox.padded(1)
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    words = []
    for ax in panels:
        ticks = [text for axis in (ax.xaxis, ax.yaxis) for tick in axis.get_major_ticks() for text in (tick.label1,)
                 if axis.get_view_interval()[0] <= tick.get_loc() <= axis.get_view_interval()[1]]
        words += boxes_of([*ticks, ax.xaxis.label, ax.yaxis.label], renderer)
        for labels in ax.findobj(Labels):
            assert not overlapping(labels.boxes)
            assert all(ax.bbox.padded(1).containsx(x) for box in labels.boxes for x in (box.x0, box.x1))
        for ellipse in ellipses_of(ax):
            box = ellipse.get_path().get_extents(ellipse.get_patch_transform())
            assert ax.viewLim.contains(*box.min) and ax.viewLim.contains(*box.max)
    for legend in [ax.get_legend() for ax in panels if ax.get_legend() is not None] + figure.legends:
        box = legend.get_window_extent(renderer)
        assert page.contains(*box.min) and page.contains(*box.max)
        assert not any(box.overlaps(ax.bbox.padded(-1)) for ax in panels)
    assert not overlapping(words)
    assert all(page.contains(*corner) for box in words for corner in (box.min, box.max))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["one feature", "two features", "iris", "one component", "forty", "forty curves", "long names", "million"])
@pytest.mark.parametrize("picture", PANELS)
def test_a_panel_has_room(given, picture, name, size):
    model, X = given(name)
    ax = new_axes(size)
    assert getattr(plotting, picture)(model, X, ax=ax) is ax
    check_room(ax.figure)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["one feature", "two features", "iris", "wine", "cancer", "forty", "long names", "million"])
@pytest.mark.parametrize("picture", ["pairs", "marginals"])
def test_a_matrix_has_room(given, picture, name, size):
    model, X = given(name)
    figure = plt.figure(figsize=SIZES[size], layout="constrained")
    axes = getattr(plotting, picture)(model, X, figure=figure)
    assert all(ax.figure is figure for ax in axes.flat)
    check_room(figure)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["one feature", "two features", "iris", "forty", "forty curves", "million"])
@pytest.mark.parametrize("with_rows", [True, False])
def test_what_suits_has_room(given, name, size, with_rows):
    model, X = given(name)
    ax = new_axes(size)
    plotting.plot(model, X if with_rows else None, ax=ax)
    check_room(ax.figure)


def selection_of(X, counts=range(1, 7), structures=("full", "diag")):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return select(X, counts, structures, random_state=0, reg_covar="auto")


@pytest.mark.parametrize("size", SIZES)
def test_courses_have_room(size):
    ax = plotting.history(GaussianMixture(3, random_state=0).fit(FAITHFUL), ax=new_axes(size))
    check_room(ax.figure)
    for X, structures in ((FAITHFUL, ["full"]), (FAITHFUL, ["full", "tied", "diag", "spherical"]), (FAITHFUL[:4], ["full", "diag"])):
        check_room(selection_of(X, structures=structures).plot(ax=new_axes(size)).figure)


def test_numbers_of_components_that_lie_upon_each_other_move_aside():
    mixture = Mixture(np.full(12, 1 / 12), np.zeros((12, 2)), np.ones((12, 2)), "diag")
    ax = plotting.ellipses(mixture, ax=new_axes("small"))
    check_room(ax.figure)
    labels, = ax.findobj(Labels)
    assert len(labels.boxes) == 12
    ax.set_xlim(0.01, 2)  # where no mean is
    ax.figure.canvas.draw()
    assert labels.boxes == []


# What is drawn is what the mixture says.

@pytest.mark.parametrize("name, features", [("two features", (0, 1)), ("two features", (1, 0)), ("iris", (2, 3)), ("wine", (12, 0))])
def test_an_ellipse_holds_its_share_of_a_component(given, name, features):
    mixture, shares = given(name)[0].mixture_, (0.5, 0.95)
    some = list(features)
    found = set()
    for ellipse in ellipses_of(plotting.ellipses(mixture, features=features, levels=shares)):
        for k in range(mixture.n_components):
            away = points_on(ellipse) - mixture.means[k, some]
            squares = np.einsum("ni,ij,nj->n", away, np.linalg.inv(mixture.covariances[k][np.ix_(some, some)]), away)
            for share in shares:
                if np.allclose(squares, stats.chi2.ppf(share, 2), rtol=1e-9):
                    found.add((k, share))
    assert found == {(k, share) for k in range(mixture.n_components) for share in shares}


def test_the_heavier_component_has_the_thicker_line():
    mixture = Mixture([0.2, 0.7, 0.1], [[0, 0], [9, 0], [0, 9]], [1, 1, 1], "spherical")
    thickness = {tuple(e.get_center()): e.get_linewidth() for e in ellipses_of(plotting.ellipses(mixture, levels=[0.5]))}
    assert thickness[9, 0] > thickness[0, 0] > thickness[0, 9] > 0.5


def test_a_marginal_is_exact():
    """Against integration over the other feature."""
    z = np.linspace(-12, 18, 4001)
    for x in (-1.0, 0.3, 4.0):
        integral = np.trapezoid(TRIO.pdf(np.column_stack([np.full(len(z), x), z])), z)
        np.testing.assert_allclose(marginal(TRIO, [0]).pdf([[x]]), integral, rtol=1e-9)
    assert marginal(TRIO, [1, 0]).mean.tolist() == TRIO.mean[::-1].tolist()


def test_contours_of_one_gaussian_are_its_ellipses():
    covariance = np.array([[2.0, 1.2], [1.2, 3.0]])
    mixture = Mixture([1], [[5.0, -3.0]], [covariance])
    X = mixture.rvs(6000, random_state=3)  # so many that the contours are lines
    contours, = [c for c in plotting.density(mixture, X, levels=[0.95, 0.5]).collections if hasattr(c, "levels")]
    for path, share in zip(contours.get_paths(), (0.95, 0.5), strict=True):
        away = path.vertices - [5.0, -3.0]
        squares = np.einsum("ni,ij,nj->n", away, np.linalg.inv(covariance), away)
        np.testing.assert_allclose(squares, stats.chi2.ppf(share, 2), rtol=0.06)  # the share's error is 1e-3, its slope here 40


@pytest.mark.parametrize("mixture", [TRIO, marginal(TRIO, [1])])
def test_regions_of_highest_density_hold_their_shares(mixture):
    levels = density_levels(mixture, [0.95, 0.8, 0.5])
    log_p = mixture.logpdf(mixture.rvs(200_000, random_state=17))
    np.testing.assert_allclose([np.mean(log_p >= level) for level in levels], [0.95, 0.8, 0.5], atol=0.01)


def test_filled_contours_have_these_levels():
    contours, = [c for c in plotting.density(TRIO).collections if hasattr(c, "levels")]
    np.testing.assert_array_equal(contours.levels[:3], density_levels(TRIO, [0.95, 0.8, 0.5]))


@pytest.mark.parametrize("narrow", [1.0, 1e-3])
def test_contours_are_closed_and_found_where_components_are_narrow(narrow):
    mixture = Mixture([0.5, 0.5], [[0, 0], [10, 10]], [[1, 1], [narrow**2, narrow**2]], "diag")
    contours, = [c for c in plotting.density(mixture, mixture.rvs(5001, random_state=0), levels=[0.9]).collections
                 if hasattr(c, "levels")]
    loops = contours.get_paths()[0].to_polygons(closed_only=False)
    assert len(loops) == 2
    for loop in loops:
        np.testing.assert_array_equal(loop[0], loop[-1])
        np.testing.assert_allclose(mixture.logpdf(loop), contours.levels[0], atol=1)  # a grid's lines are some way apart


def test_one_feature_is_shaded_where_the_shares_are():
    mixture = Mixture([1], [[3.0]], [[[4.0]]])
    ax = plotting.density(mixture, levels=[0.95])
    x = ax.collections[0].get_paths()[0].vertices[:, 0]
    np.testing.assert_allclose([x.min(), x.max()], stats.norm(3, 2).interval(0.95), atol=0.12)
    x = plotting.ellipses(mixture, levels=[0.5]).collections[0].get_paths()[0].vertices[:, 0]
    np.testing.assert_allclose([x.min(), x.max()], stats.norm(3, 2).interval(0.5), atol=0.12)


@pytest.mark.parametrize("feature", [0, 1])
def test_curves_are_densities(given, feature):
    model, X = given("two features")
    ax = plotting.marginals(model, X)[feature]
    whole, = lines_with_colour(ax, "#222222")
    parts = [lines_with_colour(ax, colour)[0] for colour in colours_of(2)]
    x, p = whole.get_data()
    np.testing.assert_allclose(sum(part.get_ydata() for part in parts), p, rtol=1e-12)
    expected = sum(w * stats.norm(m[feature], np.sqrt(c[feature, feature])).pdf(x)
                   for w, m, c in zip(model.weights_, model.means_, model.covariances_))
    np.testing.assert_allclose(p, expected, rtol=1e-10)
    assert np.trapezoid(p, x) == pytest.approx(1, abs=2e-3)


def test_a_histogram_counts_all_rows(given):
    model, X = given("million")
    ax = plotting.marginals(model, X)[0]
    heights, edges, _ = next(patch for patch in ax.patches if hasattr(patch, "get_data")).get_data()
    inside = np.histogram(X[:, 0], edges)[0]
    assert inside.sum() == len(X)
    np.testing.assert_allclose(heights * np.diff(edges), inside / len(X), rtol=1e-12)


def scatters(ax):
    return [c for c in ax.collections if type(c).__name__ == "PathCollection"]


@pytest.mark.parametrize("name, features", [("two features", (0, 1)), ("iris", ("petal length (cm)", "petal width (cm)")), ("wine", (6, 9))])
def test_points_are_coloured_by_the_component_that_all_features_say(given, name, features):
    model, X = given(name)
    ax = plotting.classification(model, X, features=features)
    columns = X.iloc[:, list(features)].to_numpy() if isinstance(features[0], int) else X[list(features)].to_numpy()
    labels = model.predict(X)
    for k, colour in enumerate(colours_of(model.n_components)):
        drawn, = [s for s in scatters(ax) if to_rgba(s.get_facecolor()[0], 1) == to_rgba(colour, 1)]
        np.testing.assert_array_equal(drawn.get_offsets(), columns[labels == k])


def test_strokes_of_one_feature_are_coloured_by_component(given):
    model, X = given("one feature")
    strokes, = scatters(plotting.classification(model, X))
    np.testing.assert_array_equal(strokes.get_offsets()[:, 0], X["waiting"])
    colours = np.array([to_rgba(colour) for colour in colours_of(2)])[model.predict(X)]
    np.testing.assert_array_equal(strokes.get_edgecolor()[:, :3], colours[:, :3])


@pytest.mark.parametrize("name", ["one feature", "iris", "forty"])
def test_uncertainty_is_what_the_largest_responsibility_leaves(given, name):
    model, X = given(name)
    points, = scatters(plotting.uncertainty(model, X))
    doubt = 1 - model.predict_proba(X).max(axis=1)
    np.testing.assert_allclose(points.get_array(), np.sort(doubt), rtol=1e-12)
    order = np.argsort(doubt, kind="stable")
    np.testing.assert_array_equal(points.get_offsets()[:, 0], X.to_numpy()[order, 0] if hasattr(X, "to_numpy") else X[order, 0])
    assert (np.diff(points.get_sizes()) >= 0).all() and points.get_sizes()[0] < points.get_sizes()[-1]
    assert points.get_clim() == (0, 1 - 1 / model.n_components)


def test_history_is_the_models():
    gm = GaussianMixture(3, random_state=0).fit(FAITHFUL)
    ax = plotting.history(gm)
    steps, values = ax.lines[0].get_data()
    assert list(values) == gm.history_ and list(steps) == list(range(1, gm.n_iter_ + 1))
    assert ax.get_legend().get_texts()[0].get_text() == f"converged after {gm.n_iter_} iterations"
    with pytest.warns(gaussmix.ConvergenceWarning):
        gm = GaussianMixture(3, random_state=0, max_iter=1).fit(FAITHFUL)
    assert plotting.history(gm).get_legend().get_texts()[0].get_text() == "stopped after 1 iteration"


def test_selection_is_the_table():
    selection = selection_of(FAITHFUL[:5], range(1, 9))
    ax = selection.plot()
    for name, colour in zip(("full", "diag"), colours_of(2)):
        line = next(line for line in lines_with_colour(ax, colour) if line.get_label() == name)
        mine = [c for c in selection.candidates if c.covariance_type == name]
        np.testing.assert_array_equal(line.get_xdata(), [c.n_components for c in mine])
        np.testing.assert_array_equal(line.get_ydata(), [c.bic for c in mine])  # NaN, a gap, where nothing was fitted
        crosses = [line.get_xdata()[0] for line in lines_with_colour(ax, colour) if line.get_marker() == "x"]
        assert crosses == [c.n_components for c in mine if c.failure] == [6, 7, 8]
        hollow = [x for line in lines_with_colour(ax, colour) if line.get_markerfacecolor() == "white" for x in line.get_xdata()]
        assert hollow == [c.n_components for c in mine if c.collapsed or c.spurious]
    ring, = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (selection.chosen.n_components, selection.chosen.bic)
    lowest = min(c.bic for c in selection.candidates if not c.failure)
    assert all(line.get_ydata()[0] < lowest for line in ax.lines if line.get_marker() == "x")
    assert {text.get_text() for text in ax.get_legend().get_texts()} >= {"full", "diag", "chosen", "not fitted"}


def test_selection_has_its_criterion():
    selection = select(FAITHFUL, [3, 1, 2], criterion="aic", random_state=0)
    ax = plotting.selection(selection, ax=new_axes())
    assert ax.get_ylabel() == "AIC" and ax.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert sorted(c.aic for c in selection.candidates) == sorted(ax.lines[0].get_ydata())


# Many rows.

@pytest.mark.parametrize("picture", ["ellipses", "classification", "uncertainty"])
def test_of_a_million_rows_a_sample_is_drawn(given, picture):
    mixture, X = given("million")
    ax = getattr(plotting, picture)(mixture, X)
    points = np.concatenate([s.get_offsets() for s in scatters(ax)])
    assert len(points) == 20_000 and len(np.unique(points, axis=0)) == 20_000
    np.testing.assert_allclose(points.mean(axis=0), X.mean(axis=0), atol=0.1)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["20,000 of 1,000,000 rows"]
    again = getattr(plotting, picture)(mixture, X)
    np.testing.assert_array_equal(np.concatenate([s.get_offsets() for s in scatters(again)]), points)


def test_where_density_counts_a_million_rows_are_binned(given):
    mixture, X = given("million")
    ax = plotting.density(mixture, X)
    assert not scatters(ax)
    hexagons, = [c for c in ax.collections if type(c).__name__ == "PolyCollection"]
    assert hexagons.get_array().sum() == 1_000_000
    assert ax.get_legend().get_texts()[-1].get_text() == "1,000,000 rows"


def test_a_matrix_of_a_million_rows_says_how_many_it_shows(given):
    mixture, X = given("million")
    axes = plotting.pairs(mixture, X)
    assert sum(len(s.get_offsets()) for ax in axes.flat for s in scatters(ax)) == 5_000
    assert axes[0, 0].figure.legends[0].get_texts()[0].get_text() == "5,000 of 1,000,000 rows"


@pytest.mark.parametrize("ending", ["svg", "pdf", "png"])
@pytest.mark.parametrize("picture", PANELS)
def test_files_of_a_million_rows_are_small(given, tmp_path, picture, ending):
    mixture, X = given("million")
    getattr(plotting, picture)(mixture, X).figure.savefig(tmp_path / f"x.{ending}")
    assert os.path.getsize(tmp_path / f"x.{ending}") < 600_000


# Conventions.

@pytest.mark.parametrize("name, shape", [("one feature", None), ("two features", None), ("iris", (4, 4)), ("wine", (6, 6))])
def test_plot_draws_what_suits(given, name, shape):
    model, X = given(name)
    result = model.plot(X)
    if shape is None:
        assert isinstance(result, Axes) and result.get_xlabel() == X.columns[0]
    else:
        assert result.shape == shape
    ax = new_axes()
    assert model.plot(X, ax=ax) is ax and ax.has_data()
    assert model.plot() is not None


def test_the_features_that_separate_components_are_shown(given):
    model, X = given("wine")
    between = {d: np.var(model.means_[model.predict(X), d]) / np.var(X.iloc[:, d]) for d in range(13)}
    best = sorted(sorted(between, key=between.get)[-6:])
    assert separating(model.mixture_, 6) == tuple(best)
    axes = model.plot(X)
    assert [ax.get_xlabel().replace("\n", "") for ax in axes[-1]][:3] == [X.columns[d] for d in best][:3]
    ax = model.plot(X, ax=new_axes())
    assert [ax.get_xlabel(), ax.get_ylabel()] == [X.columns[d] for d in separating(model.mixture_, 2)]
    assert separating(Mixture([1], np.zeros((1, 9)), np.ones((1, 9)), "diag"), 3) == (0, 1, 2)


def test_labels_are_the_names_of_features(given):
    model, X = given("iris")
    names = list(X.columns)
    for picture in PANELS:
        ax = getattr(plotting, picture)(model, X, features=("petal width (cm)", 0))
        assert (ax.get_xlabel(), ax.get_ylabel()) == (names[3], names[0])
    assert [ax.get_xlabel() for ax in plotting.marginals(model, X)] == names
    axes = plotting.pairs(model, X, figure=plt.figure(figsize=(16, 16)))
    assert [ax.get_xlabel() for ax in axes[-1]] == [ax.get_ylabel() for ax in axes[:, 0]] == names
    assert {ax.get_xlabel() for ax in axes[:-1].flat} == {ax.get_ylabel() for ax in axes[:, 1:].flat} == {""}
    mixture = model.mixture_
    assert plotting.ellipses(mixture, X).get_xlabel() == names[0]  # of a table
    assert plotting.ellipses(mixture).get_xlabel() == "x0"


def test_names_are_wrapped_and_begin_no_formula():
    X = FAITHFUL.set_axis(["cost in $ of $_$", LONG["waiting"] + " and much more" * 20], axis=1)
    ax = plotting.classification(GaussianMixture(2, random_state=0).fit(X), X, ax=new_axes("small"))
    ax.figure.canvas.draw()
    assert ax.get_xlabel() == "cost in $ of $_$"
    lines = ax.get_ylabel().splitlines()
    assert len(lines) == 3 and lines[0] == "waiting_time_until_" and lines[-1].endswith("…")


def test_colours_and_markers_differ():
    assert colours_of(8) == list(OKABE_ITO) and len(set(markers_of(8))) == 8
    shades = np.array(colours_of(40))
    assert len(np.unique(shades.round(3), axis=0)) == 40
    assert np.linalg.norm(np.diff(shades, axis=0), axis=1).min() > 0.3  # neighbours lie far apart on the map


@pytest.mark.parametrize("picture", [*PANELS, "history", "selection", "plot"])
def test_axes_in_axes_out(given, picture):
    model, X = given("two features")
    arguments = {"history": (model,), "selection": (selection_of(FAITHFUL, [1, 2]),)}.get(picture, (model, X))
    ax, before = new_axes(), dict(matplotlib.rcParams)
    draw = getattr(plotting, picture)
    assert draw(*arguments, ax=ax) is ax
    new = draw(*arguments)
    assert isinstance(new, Axes) and new is not ax and new.figure.number in plt.get_fignums()
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("picture", ["pairs", "marginals"])
def test_figures_in_axes_out(given, picture):
    model, X = given("iris")
    whole = plt.figure(figsize=(12, 6), layout="constrained")
    left, right = whole.subfigures(1, 2)
    axes = getattr(plotting, picture)(model, X, features=[0, 3], figure=right)
    assert set(axes.flat) == set(right.axes) and not left.axes
    whole.canvas.draw()
    assert getattr(plotting, picture)(model, features=["sepal width (cm)"]).size == 1
    plotting.marginals(model, X, figure=Figure((5, 5)))  # without a layout


def test_limits_that_a_user_has_set_stay(given):
    model, X = given("two features")
    for picture in PANELS:
        ax = new_axes()
        ax.set(xlim=(0, 3), ylim=(50, 60))
        getattr(plotting, picture)(model, X, ax=ax)
        assert ax.get_xlim() == (0, 3) and ax.get_ylim() == (50, 60)


@pytest.mark.parametrize("X", [[[1, 2]], np.array([[1, 2], [3, 4]], dtype=np.int32), np.ones((3, 2), np.float32), [[1e6, 0.0], [0.0, 1e6]]])
def test_rows_of_every_kind(X):
    for picture in [*PANELS, "pairs", "marginals"]:
        drawn = getattr(plotting, picture)(TRIO, X)
        np.ravel(drawn)[0].figure.canvas.draw()


def test_a_component_without_weight_does_no_harm():
    mixture = Mixture([1.0, 0.0], [[0.0, 0.0], [50.0, 50.0]], [1, 1], "spherical")
    for picture in PANELS:
        getattr(plotting, picture)(mixture, [[0.0, 1.0], [1.0, 0.0]]).figure.canvas.draw()
    plotting.marginals(mixture)[0].figure.canvas.draw()


@pytest.mark.parametrize("call, said", [
    (lambda m: plotting.ellipses(m, features=(0, 5)), "names of features or numbers from 0 to 1, not 5"),
    (lambda m: plotting.ellipses(m, features="width"), "names of features or numbers from 0 to 1, not 'width'"),
    (lambda m: plotting.ellipses(m, features=(0, 0)), "features must be different"),
    (lambda m: plotting.density(m, features=()), "features must be different, and one at least"),
    (lambda m: plotting.density(Mixture([1], np.zeros((1, 3)), np.ones((1, 3)), "diag"), features=(0, 1, 2)), "one or two"),
    (lambda m: plotting.density(m, levels=[0.5, 1.0]), "levels must be shares of the probability, between 0 and 1, not"),
    (lambda m: plotting.classification(m, None), "X must be the rows that are to be drawn, not None"),
    (lambda m: plotting.uncertainty(m, None), "X must be the rows that are to be drawn, not None"),
    (lambda m: plotting.pairs(m, [[1.0, 2.0, 3.0]]), "X has 3 features, but the mixture has 2"),
    (lambda m: plotting.pairs(m, np.empty((0, 2))), "one row at least"),
    (lambda m: plotting.plot(m, [[1.0, np.nan]]), "NaN"),
    (lambda m: plotting.history(m), "model must have a history, as after fit, not Mixture")])
def test_bad_input_is_one_sentence_and_leaves_no_figure(call, said):
    with pytest.raises(ValueError, match=said) as error:
        call(TRIO)
    assert "\n" not in str(error.value) and plt.get_fignums() == []


def test_what_is_not_fitted_is_told():
    with pytest.raises(gaussmix.NotFittedError):
        GaussianMixture(2).plot(FAITHFUL)
    with pytest.raises(gaussmix.NotFittedError):
        plotting.ellipses(GaussianMixture(2), FAITHFUL)
    with pytest.raises(TypeError, match="a fitted GaussianMixture or a Mixture, not 3"):
        plotting.ellipses(3)


# What it needs.

def run_python(code, *arguments):
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_matplotlib_is_imported_when_something_is_drawn_only():
    assert run_python("""
import sys, gaussmix, gaussmix.cli
gm = gaussmix.GaussianMixture().fit([[1.0], [2.0], [4.0]])
print("matplotlib" in sys.modules)
import matplotlib
matplotlib.use("Agg")
gm.plot()
print("matplotlib" in sys.modules)
""").split() == ["False", "True"]


def test_without_matplotlib_one_sentence_says_what_to_install():
    assert run_python("""
import sys
sys.modules["matplotlib"] = None
import gaussmix
gm = gaussmix.GaussianMixture().fit([[1.0], [2.0], [4.0]])
try:
    gm.plot()
except ImportError as error:
    print(error)
""") == 'gaussmix.plotting needs matplotlib: pip install "gaussmix[plot]"\n'


def test_files_are_written_without_pyplot(tmp_path):
    assert run_python("""
import sys
from gaussmix import Mixture
from gaussmix.plotting import write
for name, columns in (("one.png", 1), ("two.svg", 2), ("three.pdf", 3)):
    m = Mixture([1], [[0.0] * columns], [[1.0] * columns], "diag")
    write(f"{sys.argv[1]}/{name}", m, m.rvs(20, 0), [f"length {d}" for d in range(columns)])
print("matplotlib.pyplot" in sys.modules)
""", tmp_path) == "False\n"
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    assert "length 1" in (tmp_path / "two.svg").read_text()
    assert (tmp_path / "three.pdf").read_bytes().startswith(b"%PDF")


def test_files_are_written_in_several_threads(tmp_path, given):
    model, X = given("two features")
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    threads = [threading.Thread(target=plotting.write, args=(path, model.mixture_, X.to_numpy(), list(X))) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({path.read_bytes() for path in paths}) == 1 and plt.get_fignums() == []


def test_what_is_no_selection_and_what_are_no_axes():
    with pytest.raises(TypeError, match="selection must be a Selection, as `select` returns it, not GaussianMixture"):
        plotting.selection(GaussianMixture(2))
    for draw in (plotting.ellipses, plotting.density):
        with pytest.raises(TypeError, match="ax must be Axes of matplotlib or None, not 'ax'"):
            draw(Mixture([1.0], [[0.0, 0.0]], [np.eye(2)]), ax="ax")


def test_optima_of_splices_are_drawn():
    search = Search([Optimum(-3.0, True, 0, 0, splices=2), Optimum(-4.0, True, 5, 9)], 5, 100, 1000, 0.02, "chance", 0.1)
    ax = search.plot()
    assert [line.get_xydata().tolist() for line in ax.lines if line.get_marker() == "^"] == [[[-3.0, 2.0]]]
    assert "splices" in [text.get_text() for text in ax.figure.findobj(lambda artist: hasattr(artist, "get_text"))]
