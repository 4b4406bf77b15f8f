"""Whatever the input is, a fit either raises an error in a sentence or gives a proper mixture that fulfils the equations.

The suite draws the same examples each time. `pytest tests/test_fuzz.py --hypothesis-profile=long` draws many new ones.
"""

import json
import pickle
import re
import string
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import event, example, given, note, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import gaussmix
from direct import STRUCTURES, log_joint
from gaussmix import GaussianMixture, Mixture
from gaussmix.modelfile import ModelFileError

pytestmark = pytest.mark.filterwarnings("error")

LIMIT = 1e145  # what X may hold


def examples(few):
    """So many examples in the suite; in a longer profile, as many as that says."""
    return settings(max_examples=few) if settings().derandomize else settings()


# What is drawn: tables and weights, and the many ways in which the same numbers may lie in memory.

SEEDS = st.integers(0, 2**32 - 1)
ROWS = st.integers(2, 250)
FEATURES = st.one_of(st.integers(1, 5), st.integers(1, 40))
NUMBERS = st.one_of(st.floats(-1e3, 1e3), st.floats(-LIMIT, LIMIT), st.integers(-3, 3).map(float))
EXPONENTS = st.one_of(st.just(0), st.integers(-4, 4), st.sampled_from([-150, -60, -30, 30, 60, 140]))


@st.composite
def tables(draw, n_rows=ROWS, n_features=FEATURES, tame=False):
    """Finite numbers, float64: a few groups, perhaps rounded, far away, tiny, huge, repeated or constant; or any at all."""
    shape = draw(n_rows), draw(n_features)
    if not tame and shape[0] * shape[1] <= 40 and draw(st.booleans()):
        return np.array(draw(st.lists(NUMBERS, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))).reshape(shape)
    rng = np.random.default_rng(draw(SEEDS))
    centres = draw(st.sampled_from([0, 2, 50])) * rng.normal(size=(4, shape[1]))
    X = rng.normal(size=shape) + centres[rng.integers(0, 4, shape[0])]
    if draw(st.booleans()):
        X += 10.0 ** draw(st.integers(-2, 12))
    if tame:
        return X
    if draw(st.integers(0, 3)) == 0:
        X = np.round(X)
    if draw(st.integers(0, 4)) == 0:
        X[:, draw(st.integers(0, shape[1] - 1))] = draw(NUMBERS)
    if draw(st.integers(0, 4)) == 0:
        X = X[rng.integers(0, draw(st.integers(1, shape[0])), shape[0])]
    if draw(st.integers(0, 4)) == 0:
        X[draw(st.integers(0, shape[0] - 1))] *= 1e6
    scale = 10.0 ** draw(EXPONENTS)
    return np.clip(X * (scale ** rng.integers(0, 2, shape[1]) if draw(st.booleans()) else scale), -LIMIT, LIMIT)


@st.composite
def weights_of(draw, n_rows):
    """None, or sample weights that can be used, float64."""
    kind = draw(st.sampled_from(["none", "none", "ones", "counts", "uneven", "any"]))
    rng = np.random.default_rng(draw(SEEDS))
    if kind == "none":
        return None
    if kind == "any" and n_rows <= 12:
        weights = np.array(draw(st.lists(st.floats(0, 1e300), min_size=n_rows, max_size=n_rows)))
    else:
        weights = {"ones": np.ones(n_rows), "counts": rng.integers(0, 4, n_rows).astype(float)}.get(
            kind, 10.0 ** rng.uniform(-12, 12, n_rows)) * 10.0 ** draw(st.sampled_from([0, 0, -300, -40, 40, 280]))
    weights[draw(st.integers(0, n_rows - 1))] = 1.0
    return weights


def strided(a):
    wide = np.full([2 * n + 1 for n in a.shape], 77, a.dtype)
    view = wide[tuple(slice(1, None, 2) for _ in a.shape)]
    view[...] = a
    return view


def unaligned(a):
    return np.frombuffer(b"x" + a.tobytes(), a.dtype, offset=1).reshape(a.shape)


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


class Subclass(np.ndarray):
    """An array of another class."""


LAYOUTS = {
    "as it is": lambda a: a,
    "Fortran order": np.asfortranarray,
    "reversed": lambda a: a[::-1].copy()[::-1],
    "reversed columns": lambda a: a[..., ::-1].copy()[..., ::-1],
    "every other": strided,
    "unaligned": unaligned,
    "read-only": read_only,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "unaligned and big-endian": lambda a: unaligned(a.astype(a.dtype.newbyteorder(">"))),
    "a subclass": lambda a: a.view(Subclass),
    "a list": lambda a: a.tolist(),
    "objects": lambda a: a.astype(object),
    "a memory view": lambda a: memoryview(np.ascontiguousarray(a)),
}
DTYPES = ["f8", "f4", "f2", "g", "i1", "u1", "i2", "u4", "i8", "u8", "?"]


def of_type(a, dtype):
    """The array in a number type, its numbers brought into that type's range."""
    if dtype == "?":
        return a > np.median(a)
    if np.dtype(dtype).kind == "f":
        largest = min(float(np.finfo(dtype).max), LIMIT)
        return np.clip(a, -largest, largest).astype(dtype)
    bounds = np.iinfo(dtype)
    return np.clip(np.round(a), max(float(bounds.min), -2.0**53), min(float(bounds.max), 2.0**53)).astype(dtype)


# What a user may ask of a fit.

PARAMETERS = {
    "tol": st.sampled_from([0, 1e-3, 1e-9, 10.0, np.float32(1e-3)]),
    "reg_covar": st.sampled_from([0, 0.0, 1e-6, 1e-6, "auto", 1e-12, 1.0, np.float32(1e-6)]),
    "max_iter": st.integers(0, 12),
    "n_init": st.integers(1, 3),
    "random_state": st.integers(0, 2**32 - 1),
    "n_threads": st.sampled_from([None, 1, 2, np.int64(3)]),
    "verbose_interval": st.integers(1, 3),
}


@st.composite
def starts(draw, X, n_components, structure):
    """The parameters of a constructor that say where EM starts: one that has a name, labels, responsibilities or parameters."""
    kind = draw(st.sampled_from(["kmeans", "k-means++", "random", "random_from_data", "labels", "responsibilities", "parameters"]))
    rng = np.random.default_rng(draw(SEEDS))
    n_rows, n_features = X.shape
    if kind == "labels":
        return {"init_params": rng.integers(0, n_components, n_rows).astype(draw(st.sampled_from(["i8", "u1", "i2"])))}
    if kind == "responsibilities":
        return {"init_params": rng.dirichlet(np.full(n_components, draw(st.sampled_from([0.1, 1.0]))), n_rows)}
    if kind != "parameters":
        return {"init_params": kind}
    roots = rng.normal(size=(n_components, n_features, 2 * n_features)) / max(float(np.ptp(X.astype(np.float64))), 1e-100)
    precisions = roots @ roots.transpose(0, 2, 1)
    precisions = {"tied": lambda: precisions[0], "diag": lambda: np.einsum("kii->ki", precisions), "full": lambda: precisions,
                  "spherical": lambda: precisions[:, 0, 0]}[structure]()
    chosen = {"means_init": X[rng.integers(0, n_rows, n_components)], "weights_init": rng.dirichlet(np.ones(n_components)),
              "precisions_init": precisions}
    return {name: chosen[name] for name in draw(st.sets(st.sampled_from(sorted(chosen)), min_size=1))}


@st.composite
def requests(draw, X):
    """Valid arguments of a constructor for these data."""
    structure, n_components = draw(st.sampled_from(STRUCTURES)), draw(st.integers(1, 8))
    return {"n_components": n_components, "covariance_type": structure, **draw(starts(X, n_components, structure)),
            **{name: draw(values) for name, values in PARAMETERS.items()}}


# What must hold.

OURS = re.compile(r"reg_covar=|A spurious optimum|Component \d+ .*collapsed|Best performing initialization did not converge")
NOT_OURS = re.compile(r"broadcast|ufunc|operand|reshape array|out of bounds|setting an array element|NoneType|'[a-z]+' object")


def outcome(model, X, sample_weight=None):
    """Fit; return the model, with what it `told`, or None where it was refused as it should be."""
    before = dict(vars(model))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model.fit(X, sample_weight=sample_weight)
        except (ValueError, TypeError) as error:
            refusal = error
        else:
            refusal = None
    for warning in caught:
        assert isinstance(warning.message, UserWarning) and OURS.match(str(warning.message)), warning
    event("refused: " + re.sub(r"\d.*", "", str(refusal))[:40] if refusal else "fitted")
    if refusal is None:
        model.told = [warning.message for warning in caught]
        return model
    is_a_sentence(refusal)
    assert vars(model).keys() == before.keys() and all(vars(model)[name] is value for name, value in before.items())
    return None


def is_a_sentence(error):
    """An error in our own words: on one line (but for an array that it shows), and not what NumPy or Python would say."""
    note(str(error))
    said = re.sub(r"array\(.*\)", "array", str(error), flags=re.DOTALL)
    assert said and "\n" not in said and not NOT_OURS.search(said), error


def full_covariances(mixture):
    return np.array(mixture.covariances)


def condition(covariance):
    """The condition of the correlation matrix, as the units of features do not affect rounding."""
    deviations = np.sqrt(np.diag(covariance))
    return np.linalg.cond(covariance / deviations / deviations[:, None])


def agrees_with_the_equations(mixture, X, log_p, gamma, labels, epsilon):
    """(1), (5) and the labels, evaluated directly; as exactly as rounding allows under covariances of such condition."""
    n_features, covariances = X.shape[1], full_covariances(mixture)
    with np.errstate(over="ignore"):  # of squares of rows that no component is near to
        joint = log_joint(X, mixture.weights, mixture.means, covariances)
    near = joint.max(axis=1) > -1e300
    joint, log_p, gamma, labels = joint[near], log_p[near], gamma[near], labels[near]
    top = joint.max(axis=1, keepdims=True)
    log_density = top[:, 0] + np.log(np.exp(joint - top).sum(axis=1))
    # A whitened residual is known to D κ ε of its size, its square to twice that.
    each = 16 * n_features * epsilon * np.array([condition(c) for c in covariances]) * (n_features + np.abs(joint))
    allowed = np.where(joint >= top - 40, each, 0).max(axis=1)
    told = allowed < 0.1
    assert (np.abs(log_p - log_density) <= allowed + epsilon * np.abs(log_density))[told].all()
    shares = np.exp(joint - log_density[:, None])
    assert (np.abs(gamma - shares) <= (4 * allowed + 16 * epsilon)[:, None])[told].all()
    assert (shares[np.arange(len(labels)), labels] >= shares.max(axis=1) - 8 * allowed - 16 * epsilon)[told].all()


def is_proper(model, X, sample_weight):
    """Finite parameters of a mixture, with the moments that the M step gives it, whose answers are those of the equations."""
    mixture, single = model.mixture_, X.dtype == np.float32
    X = X.astype(np.float64)
    epsilon = 2.0**-23 if single else 2.0**-52
    assert all(np.isfinite(array).all() for array in (mixture.weights, mixture.means, mixture.covariances, model.history_))
    assert (mixture.weights >= 0).all() and abs(mixture.weights.sum() - 1) < 1e-8
    for covariance in full_covariances(mixture):
        deviations = np.sqrt(np.diag(covariance))
        assert (np.abs(covariance - covariance.T) <= 1e-14 * deviations * deviations[:, None]).all()
        np.linalg.cholesky(covariance / deviations / deviations[:, None])
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(model, name).dtype == np.float32 or not single or not fits_float32(getattr(model, name)), name
    assert model.n_iter_ == len(model.history_) <= model.max_iter and isinstance(model.converged_, bool)
    answers = model.score_samples(X), model.predict_proba(X), model.predict(X)
    assert not np.isnan(answers[0]).any() and (answers[0] < np.inf).all() and (answers[1] >= 0).all()
    np.testing.assert_allclose(answers[1].sum(axis=1), 1, rtol=0, atol=1e-14 * len(mixture.weights))
    agrees_with_the_equations(mixture, X, *answers, 2.0**-52)
    if single:
        with_single = X.astype(np.float32)
        agrees_with_the_equations(mixture, X, model.score_samples(with_single), model.predict_proba(with_single),
                                  model.predict(with_single), epsilon)
    if model.n_iter_ and not collapsed(model):
        has_the_moments_of_the_data(model, X, sample_weight, epsilon)


def fits_float32(array):
    sizes = np.abs(array[array != 0])
    return not sizes.size or sizes.min() >= np.finfo(np.float32).tiny and sizes.max() <= np.finfo(np.float32).max


def collapsed(model):
    return any(isinstance(message, gaussmix.CollapseWarning) and not isinstance(message, gaussmix.SpuriousOptimumWarning)
               for message in model.told)


def has_the_moments_of_the_data(model, X, sample_weight, epsilon):
    """After an M step the mean of the mixture is that of the data, and its covariance that of the data and what was added."""
    w = np.ones(len(X)) if sample_weight is None else sample_weight / sample_weight.max()
    w, mixture = w / w.sum(), model.mixture_
    origin = X[np.argmax(w)]
    unit = np.sqrt(w @ (X - origin)**2)
    flat = unit < 1e-120  # whose squares are next to nothing
    if model.reg_covar == "auto" and flat.any():
        return
    unit[flat] = 1.0
    away, means = (X - origin) / unit, (mixture.means - origin) / unit
    slack = 1e4 * epsilon + 2.0**-49 * np.abs(X).max(axis=0) / unit  # means are doubles
    assert (np.abs(mixture.weights @ means - w @ away) <= slack).all()
    added = 1e-6 * (w @ away**2 - (w @ away)**2) if model.reg_covar == "auto" else float(model.reg_covar) / unit**2
    here = np.einsum("k,kij->ij", mixture.weights, full_covariances(mixture)) / unit / unit[:, None]
    here = here + (mixture.weights * means.T) @ means
    there = np.diag(np.zeros(X.shape[1]) + added) + (w * away.T) @ away
    with np.errstate(over="ignore"):
        allowed = (slack + slack[:, None]) * (1 + np.abs(added).max() + np.abs(means).max() ** 2)
    if model.covariance_type == "diag":
        here, there, allowed = np.diag(here), np.diag(there), np.diag(allowed)
    elif model.covariance_type == "spherical":
        here, there, allowed = (np.diag(a) @ unit**2 for a in (here, there, allowed))
    assert (np.abs(here - there) <= allowed).all()


def same_bits(one, other, X, other_X):
    """Check that two fits are equal, and that they predict the same."""
    for name in ("weights_", "means_", "covariances_", "history_"):
        assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("score_samples", "predict_proba", "predict"):
        assert_array_equal(getattr(one, name)(X), getattr(other, name)(other_X))


# Fits.

@examples(200)
@given(st.data())
def test_a_fit_is_a_proper_mixture_or_refused(data):
    X = data.draw(tables())
    X = X if data.draw(st.booleans()) else of_type(X, "f4")
    sample_weight = data.draw(weights_of(len(X)))
    model = outcome(GaussianMixture(**data.draw(requests(X))), X, sample_weight)
    if model is not None:
        is_proper(model, X, sample_weight)


@examples(150)
@given(st.data())
def test_the_same_numbers_give_the_same_bits_however_they_lie(data):
    X = of_type(data.draw(tables(tame=True)), data.draw(st.sampled_from(DTYPES)))
    sample_weight, layout = data.draw(weights_of(len(X))), data.draw(st.sampled_from(sorted(LAYOUTS)))
    laid_out = LAYOUTS[layout](X)
    real = np.float32 if np.asarray(laid_out).dtype == np.float32 else np.float64  # float32 of this machine alone stays what it is
    plain = np.array(X, dtype=real, order="C")
    request = data.draw(requests(plain))
    one, other = outcome(GaussianMixture(**request), plain, sample_weight), None
    if sample_weight is not None:
        sample_weight = LAYOUTS[data.draw(st.sampled_from(sorted(LAYOUTS)))](sample_weight)
    other = outcome(GaussianMixture(**request), laid_out, sample_weight)
    assert (one is None) == (other is None)
    if one is not None:
        same_bits(one, other, plain, laid_out)


@examples(40)
@given(st.data())
def test_repeated_rows_and_columns_by_a_stride_of_zero(data):
    row = data.draw(tables(n_rows=st.just(6), n_features=st.integers(1, 6), tame=True))
    shape = data.draw(st.integers(2, 40)), row.shape[1]
    X = data.draw(st.sampled_from([lambda: np.broadcast_to(row[0], shape), lambda: np.broadcast_to(row[:, :1], (6, 9)),
                                   lambda: np.broadcast_to(row[0, 0], shape),
                                   lambda: np.broadcast_to(row[:, None], (6, 7, shape[1])).reshape(-1, shape[1])]))()
    request = data.draw(requests(np.array(X)))
    sample_weight = np.broadcast_to(data.draw(st.sampled_from([1.0, 1e-300, 3.0])), len(X))
    one = outcome(GaussianMixture(**request), X, sample_weight)
    other = outcome(GaussianMixture(**request), np.array(X), np.array(sample_weight))
    assert (one is None) == (other is None)
    if one is not None:
        same_bits(one, other, X, np.array(X))
        is_proper(one, X, sample_weight)


@examples(120)
@given(st.data())
def test_the_log_likelihood_never_falls(data):
    X = data.draw(tables(n_rows=st.integers(20, 250), n_features=st.integers(1, 8), tame=data.draw(st.booleans())))
    X = X if data.draw(st.booleans()) else of_type(X, "f4")
    sample_weight, worst, heard = data.draw(weights_of(len(X))), [1.0], []

    def listen(iteration, log_likelihood, mixture):
        worst[0] = max(worst[0], *map(condition, full_covariances(mixture)))
        heard.append(log_likelihood)

    request = data.draw(requests(X)) | {"reg_covar": 0, "tol": 0, "n_init": 1}
    if outcome(GaussianMixture(**request, callback=listen), X, sample_weight) is None:
        return
    alone = outcome(GaussianMixture(**request), X, sample_weight)
    assert alone.history_ == heard  # whether someone listens changes nothing
    epsilon = 2.0**-23 if X.dtype == np.float32 else 2.0**-52
    rounding = 16 * X.shape[1] * worst[0] * epsilon * (X.shape[1] + np.abs(heard).max(initial=0))
    assert (np.diff(heard) >= -rounding).all()


# Nonsense.

WORDS = st.text(string.printable, max_size=5)
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from([10**400, -10**400, 2**63, 2**64, 0.0, -0.0, 1e308, 1e-320]),
    st.floats(), st.complex_numbers(), WORDS, st.binary(max_size=4), st.builds(object), st.just(np.nan),
    st.sampled_from([Fraction(1, 3), Decimal("0.5"), Decimal("NaN"), np.float32(1), np.float16(2), np.int8(-1), np.bool_(True),
                     np.datetime64("2020-01-01"), np.timedelta64(1, "s"), np.str_("1"), print, int, ...]))
NESTED = st.recursive(ODD, lambda inner: st.one_of(
    st.lists(inner, max_size=4), st.tuples(inner, inner), st.dictionaries(WORDS, inner, max_size=2), st.sets(st.integers(0, 3))),
    max_leaves=12)
ODD_ARRAYS = st.sampled_from([
    np.zeros((0, 2)), np.zeros((2, 0)), np.zeros(()), np.zeros((3, 2, 2)), -np.ones((20, 2)), np.full(20, np.nan), np.ones((2, 2)) * np.inf,
    np.full((20, 2), "a"), np.full((20, 2), b"1"), np.zeros((20, 2), "c16"), np.zeros((20, 2), "M8[s]"), np.zeros((20, 2), "V3"),
    np.zeros(20, [("a", "f8"), ("b", "i4")]), np.ma.masked_equal(np.eye(2), 0), np.ones((20, 2), object), np.array([None] * 20),
    np.array([[1, "a"]] * 20, object), np.array([10**400] * 20, object), np.full((20, 2), 2**64, object), np.full((2, 2), 2**64 - 1, "u8"),
    np.ones((20, 2), np.longdouble), np.longdouble("1e4000") * np.ones((20, 2)), np.ones(20, bool)])
NONSENSE = st.one_of(ODD_ARRAYS, NESTED, ODD)
FEW_ROWS = np.random.default_rng(0).normal(size=(20, 2))


@examples(400)
@given(st.sampled_from(sorted(set(GaussianMixture().get_params()) - {"callback"})), NONSENSE)
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_any_parameter_serves_or_is_refused(name, value):
    if name in ("max_iter", "n_init", "verbose") and isinstance(value, int) and value > 5:
        value = 5  # or the fit would take for ever, as it was told to
    model = outcome(GaussianMixture(**{"n_components": 2, "random_state": 0, "max_iter": 3} | {name: value}), FEW_ROWS)
    if model is not None:
        is_proper(model, FEW_ROWS, None)


def is_named(value):
    """Whether data are given by the name of a file, or by the names of several."""
    return isinstance(value, str) or isinstance(value, (list, tuple)) and bool(value) and all(isinstance(one, str) for one in value)


@examples(250)
@given(NONSENSE, st.booleans())
@example(("", ""), False)
def test_any_data_serve_or_are_refused(value, as_weights):
    model = GaussianMixture(random_state=0)
    if not as_weights and is_named(value):
        with pytest.raises((FileNotFoundError, ValueError)):  # it is the name of no file, or cannot be a name
            model.fit(value)
        return
    fitted = outcome(model, FEW_ROWS, value) if as_weights else outcome(model, value)
    if fitted is not None:
        assert np.isfinite(fitted.means_).all() and np.isfinite(fitted.covariances_).all()


@examples(200)
@given(st.sampled_from(["predict", "predict_proba", "score_samples", "score", "bic", "aic", "icl", "summary"]), NONSENSE)
def test_a_question_about_anything_is_answered_or_refused(method, value):
    model = GaussianMixture(2, random_state=0).fit(FEW_ROWS)
    state = pickle.dumps(model)
    try:
        answer = getattr(model, method)(value)
    except (ValueError, TypeError) as error:
        is_a_sentence(error)
    except FileNotFoundError:
        assert is_named(value)
    else:
        assert not isinstance(answer, np.ndarray) or np.isfinite(answer).all()
    assert pickle.dumps(model) == state


@examples(120)
@given(st.data())
def test_densities_of_rows_anywhere(data):
    """Predictions may be asked for any finite row: the responsibilities of each sum to one, however far out it is."""
    X = data.draw(tables(tame=True, n_rows=st.integers(20, 60), n_features=st.integers(1, 12)))
    single = data.draw(st.booleans())
    structure, n_components = data.draw(st.sampled_from(STRUCTURES)), data.draw(st.integers(1, 5))
    model = outcome(GaussianMixture(n_components, covariance_type=structure, random_state=0), X)
    if model is None:
        return
    rows = data.draw(tables(n_features=st.just(X.shape[1]))) * data.draw(st.sampled_from([1.0, 1e20, 1e160]))
    rows = of_type(rows, "f4") if single else rows
    log_p, gamma, labels = model.score_samples(rows), model.predict_proba(rows), model.predict(rows)
    assert not np.isnan(log_p).any() and (log_p < np.inf).all() and (gamma >= 0).all()
    np.testing.assert_allclose(gamma.sum(axis=1), 1, rtol=0, atol=1e-6 if single else 1e-14 * gamma.shape[1])
    chosen = gamma[np.arange(len(rows)), labels]
    assert (chosen >= gamma.max(axis=1) - (1e-6 if single else 1e-14)).all()
    near = (np.abs(rows.astype(np.float64)) < 1e100).all(axis=1)
    if near.any():
        agrees_with_the_equations(model.mixture_, rows[near].astype(np.float64), log_p[near], gamma[near], labels[near],
                                  2.0**-23 if single else 2.0**-52)


# Mixtures and model files.

@examples(200)
@given(st.lists(NONSENSE, min_size=3, max_size=3), st.integers(0, 7))
def test_any_arguments_make_a_mixture_or_are_refused(values, right):
    good = [0.25, 0.75], [[0.0, 0.0], [3.0, 1.0]], [np.eye(2), 2 * np.eye(2)]
    arguments = [good[i] if right >> i & 1 else value for i, value in enumerate(values)]
    try:
        mixture = Mixture(*arguments)
    except (ValueError, TypeError) as error:
        is_a_sentence(error)
    else:
        assert np.isfinite(mixture.logpdf(np.zeros((1, mixture.n_features)))).all()


@st.composite
def models(draw):
    """A mixture of any structure, fitted to whatever can be."""
    X = draw(tables(n_rows=st.integers(10, 60), n_features=st.integers(1, 4)))
    model = GaussianMixture(draw(st.integers(1, 3)), covariance_type=draw(st.sampled_from(STRUCTURES)), random_state=0)
    return outcome(model, X)


@examples(60)
@given(model=models())
def test_a_model_file_gives_the_same_mixture(model, tmp_path_factory):
    if model is None:
        return
    path = tmp_path_factory.mktemp("fuzz") / "model.json"
    gaussmix.save(path, model)
    assert gaussmix.load(path).mixture == model.mixture_


ENTRIES = st.one_of(ODD.filter(lambda value: value is None or isinstance(value, (bool, int, float, str))), st.just({}),
                    st.lists(st.floats(), max_size=3), st.lists(st.lists(st.integers(-2, 2), max_size=3), max_size=3))

PIECES = st.sampled_from([b"[" * 20_000, b"1e400", b"-", b"NaN", b"9" * 5000, b'"\\ud800"', b"\xef\xbb\xbf", b"null", b"{}"])


@st.composite
def damaged(draw):
    """The text of a model file in which something is not as it was."""
    covariance_type = draw(st.sampled_from(STRUCTURES))
    covariances = {"full": [[[1, 0.5], [0.5, 1]], [[2, 0], [0, 2]]], "tied": [[1, 0.5], [0.5, 1]], "diag": [[1, 2], [3, 4]],
                   "spherical": [1, 2]}[covariance_type]
    entries = {"format": "gaussmix model", "version": 1, "covariance_type": covariance_type, "n_components": 2, "n_features": 2,
               "columns": ["x", "y"], "weights": [0.5, 0.5], "means": [[0, 0], [1, 1]], "covariances": covariances}
    if draw(st.booleans()):
        holder, key = entries, draw(st.sampled_from(sorted(entries)))
        while isinstance(holder[key], list) and draw(st.booleans()):
            holder, key = holder[key], draw(st.integers(0, len(holder[key]) - 1))
        holder[key] = draw(ENTRIES)
        return json.dumps(entries).encode()
    text = bytearray(json.dumps(entries).encode())
    start = draw(st.integers(0, len(text)))
    text[start:draw(st.integers(start, min(start + 20, len(text))))] = draw(st.one_of(st.binary(max_size=5), PIECES))
    return bytes(text)


@examples(300)
@given(text=damaged())
def test_a_damaged_model_file_is_refused_or_is_a_mixture(text, tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "model.json"
    path.write_bytes(text)
    try:
        model = gaussmix.load(path)
    except ModelFileError as error:
        is_a_sentence(error)
        return
    mixture = model.mixture
    assert abs(mixture.weights.sum() - 1) < 1e-5 and np.isfinite(mixture.means).all()
    assert np.isfinite(mixture.logpdf(mixture.means)).all()
