"""Every kernel on one tile, by itself, under every instruction set of this machine and without vector extensions.

Most tests use numbers of so few bits that nothing is rounded, in whatever order they are added: then a kernel's sums must equal those
of NumPy bit for bit.
"""

import re

import mpmath
import numpy as np
import pytest

from benchmarks.one_tile import COMMON_FLAGS, FLAGS, SOURCE, TILE, Tile, library, offered

FEATURES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 23, 24, 25, 31, 48, 49, 63, 64, 65, 99, 100, 101, 130)
FAR = {"float32": -1e37, "float64": -1e300}  # a tenth of the range and less, so that sums of a few squares do not overflow


@pytest.fixture(params=[(isa, dtype) for isa in offered() for dtype in ("float32", "float64")], ids="-".join)
def new_tile(request):
    """Makes tiles of K components and D features; afterwards no kernel may have written beside their arrays."""
    if library(*request.param) is None:
        pytest.skip("the kernels cannot be compiled here: there is no C compiler, or the package's source is missing")
    tiles = []

    def make(n_components, n_features):
        tiles.append(Tile(*request.param, n_components, n_features))
        return tiles[-1]

    yield make
    assert not any(tile.overrun() for tile in tiles)


def test_the_flags_are_those_of_the_build():
    build = set(re.findall(r"'(-[mfD][^']+)'", (SOURCE / "meson.build").read_text()))
    build -= {"-DGM_HAVE_WIDE", "-DGM_REAL=", "-DGM_BITS=", "-DGM_NAME=gm_"}
    assert build == set(COMMON_FLAGS).union(*FLAGS.values())


def row_counts(tile):
    """On both sides of a lane, a vector, a panel and a tile."""
    W, panel = tile.lanes, tile.panel
    return sorted({1, 2, W, W + 1, panel - 1, panel, panel + 1, 2 * panel, 95, 97, TILE - 1, TILE} - {0})


def fine_bits(tile):
    """So many binary places in a row's number, and in the root of a weight, that sums over a tile are not rounded."""
    return (10, 6) if tile.dtype == np.float64 else (3, 2)


def short_numbers(rng, dtype, shape, bits):
    """Multiples of 2⁻ᵇⁱᵗˢ from −1 to 1."""
    return (rng.integers(-2**bits, 2**bits + 1, size=shape) / 2.0**bits).astype(dtype)


def rows_with_gaps(rng, tile, n_rows, bits):
    """Rows as numbers of few bits, a little apart; between them stands what must not be added."""
    wide = np.full((n_rows, tile["D"] + 3), np.nan, tile.dtype)
    wide[:, :-3] = short_numbers(rng, tile.dtype, (n_rows, tile["D"]), bits)
    return wide[:, :-3]


def point_sums(tile, reference, size):
    """Sums that are not zero at first, about a reference point."""
    tile["reference"] = reference
    for name, count in (("weight", 1), ("first", tile["D"]), ("second", size)):
        tile[name] = tile.array(count, np.float64)
        tile[name][...] = 3


def live_half(rng, tile, k, n_rows, part=0.9):
    """Fill row k of gamma, of which `part` is not zero, and `scale`; return w_n γ_nk, some of them zero for the weight's sake."""
    root = rng.integers(1, 2 ** fine_bits(tile)[1] + 1, size=n_rows) / 2.0 ** fine_bits(tile)[1]
    scale = 2.0 ** rng.integers(-1, 2, size=n_rows)
    tile["gamma"][k, :n_rows] = np.where(rng.random(n_rows) < part, root**2 / scale, 0)
    tile["scale"][...] = 0
    tile["scale"][:n_rows] = np.where(rng.random(n_rows) < 0.8, scale, 0)
    tile["gamma"][k, n_rows:] = 1  # what fills up takes part with weight zero
    return tile["gamma"][k, :n_rows].astype(float) * tile["scale"][:n_rows]


def check_sums(tile, X, share, diagonal=False):
    """The sums are 3 plus the exact sums of the numbers, which are not rounded."""
    away = X.astype(float) - tile["reference"].astype(float)
    assert tile["weight"][0] == 3 + share.sum()
    np.testing.assert_array_equal(tile["first"], 3 + share @ away)
    if diagonal:
        np.testing.assert_array_equal(tile["second"], 3 + share @ away**2)
    else:
        D, expected = len(away.T), 3 + (share[:, None] * away).T @ away
        np.testing.assert_array_equal(np.tril(tile["second"].reshape(D, D)), np.tril(expected))


# Rows become a tile.


@pytest.mark.parametrize("n_features", [*range(1, 10), 16, 33])
def test_load_transposes_rows_into_panels(new_tile, n_features):
    tile = new_tile(1, n_features)
    rng = np.random.default_rng(n_features)
    for n_rows in row_counts(tile):
        X = rows_with_gaps(rng, tile, n_rows, 3)
        tile.load(X)
        n_panels = -(-n_rows // tile.panel)
        assert tile["rows"] == n_rows and tile["padded"] == n_panels * tile.panel
        filled = np.concatenate([X, np.repeat(X[-1:], tile["padded"] - n_rows, axis=0)])
        panels = tile["panels"][:n_panels * n_features * tile.panel].reshape(n_panels, n_features, tile.panel)
        np.testing.assert_array_equal(panels.transpose(0, 2, 1).reshape(-1, n_features), filled)
        assert (tile["top"][:tile["padded"]] == tile.dtype.type(4 * FAR[tile.dtype.name])).all()


# Moments.


@pytest.mark.parametrize("n_features", FEATURES)
def test_moments_are_the_direct_sums(new_tile, n_features):
    """Of each kernel, for tiles that are full and others; rows of weight zero and those that fill up a panel leave nothing."""
    rng = np.random.default_rng(n_features)
    tile = new_tile(2, n_features)
    for n_rows in row_counts(tile):
        X = rows_with_gaps(rng, tile, n_rows, fine_bits(tile)[0])
        reference = short_numbers(rng, tile.dtype, n_features, fine_bits(tile)[0])
        tile.load(X)
        share = live_half(rng, tile, 1, n_rows)
        for kernel in (*(["tiny"] if n_features <= 4 else []), "bands", "dense", "sparse", "moments_full"):
            point_sums(tile, reference, n_features**2)
            tile.call(kernel, 1)
            tile.call("flush", 1)
            check_sums(tile, X, share)
        point_sums(tile, reference, n_features)
        tile.call("moments_diag", 1)
        check_sums(tile, X, share, diagonal=True)


@pytest.mark.parametrize("n_features", [4, 5, 17])
def test_responsibilities_up_to_the_least_count_as_zero(new_tile, n_features):
    """In every kernel except the one for few features, which adds all rows."""
    rng = np.random.default_rng(n_features)
    tile = new_tile(1, n_features)
    X = rows_with_gaps(rng, tile, TILE, 3)
    tile.load(X)
    share = live_half(rng, tile, 0, TILE)
    least = float(np.sort(tile["gamma"][0])[TILE // 2])
    tile["least"] = least
    counted = np.where(tile["gamma"][0] > least, share, 0)
    assert (counted < share).any() and (tile["gamma"][0] == least).any()
    for kernel in ("bands", "dense", "sparse", "moments_full", "moments_diag"):
        diagonal = kernel == "moments_diag"
        point_sums(tile, X[0].copy(), n_features if diagonal else n_features**2)
        tile.call(kernel)
        tile.call("flush")
        check_sums(tile, X, share if (kernel, n_features) == ("moments_full", 4) else counted, diagonal)


@pytest.mark.parametrize("n_features", [1, 4, 5, 19, 20, 21, 64, 100, 130])
def test_few_live_rows_wait_and_many_do_not(new_tile, n_features):
    """docs/core.md: up to half a tile's rows wait for `flush`, but for up to four features."""
    rng = np.random.default_rng(n_features)
    tile = new_tile(1, n_features)
    tile.load(rows_with_gaps(rng, tile, TILE, 3))
    tile["scale"][...] = 1
    for live, waiting in ((0, 0), (1, 1), (TILE // 2, TILE // 2), (TILE // 2 + 1, 0), (TILE, 0)):
        tile["gamma"][0] = rng.permutation(TILE) < live
        point_sums(tile, np.zeros(n_features, tile.dtype), n_features**2)
        tile.call("moments_full")
        assert tile["pending_count"][0] == (waiting if n_features > 4 else 0)
        assert tile["weight"][0] == 3 + live  # weights never wait
        tile.call("flush")
        assert tile["pending_count"][0] == 0
    tile.call("sparse")
    assert tile["pending_count"][0] == 0  # a whole tile waits for no other


@pytest.mark.parametrize("n_features", [5, 16, 48, 65])
def test_rows_of_many_tiles_wait_until_they_fill_one(new_tile, n_features):
    """They stay those of their component, whichever tiles come between."""
    rng = np.random.default_rng(n_features)
    tile = new_tile(2, n_features)
    reference = short_numbers(rng, tile.dtype, (2, n_features), 3)
    sums = [[tile.array(count, np.float64) for count in (1, n_features, n_features**2)] for _ in range(2)]
    added, rows, expected = [0, 0], [], [[0, 0, 0], [0, 0, 0]]
    for n_rows, parts in ((TILE, (0.3, 0.9)), (100, (1.0, 0.1)), (TILE, (0.95, 0.5)), (1, (1, 1)), (TILE, (0.01, 0)), (50, (0.6, 0.9))):
        X = rows_with_gaps(rng, tile, n_rows, 3)
        rows.append(X)  # what waits is where the caller has it
        tile.load(X)
        for k in range(2):
            share = live_half(rng, tile, k, n_rows, parts[k])
            tile["reference"], (tile["weight"], tile["first"], tile["second"]) = reference[k], sums[k]
            tile.call("sparse", k)
            added[k] += np.count_nonzero(share)
            assert tile["pending_count"][k] == added[k] % TILE
            away = X.astype(float) - reference[k]
            for total, part in zip(range(3), (share.sum(), share @ away, (share[:, None] * away).T @ away)):
                expected[k][total] = expected[k][total] + part
    assert min(added) > TILE
    for k in range(2):
        tile["reference"], (tile["weight"], tile["first"], tile["second"]) = reference[k], sums[k]
        tile.call("flush", k)
        assert tile["pending_count"][k] == 0
        np.testing.assert_array_equal(sums[k][0], expected[k][0])
        np.testing.assert_array_equal(sums[k][1], expected[k][1])
        np.testing.assert_array_equal(np.tril(sums[k][2].reshape(n_features, -1)), np.tril(expected[k][2]))


# Densities.


def short_components(rng, tile):
    """Means, factors, offsets and constants, integers so small that a density is not rounded."""
    K, D = tile["K"], tile["D"]
    return [(rng.integers(-1, 2, size=D).astype(tile.dtype), np.tril(rng.integers(-1, 2, size=(D, D))).astype(tile.dtype),
             rng.integers(-1, 2, size=D).astype(tile.dtype), float(rng.integers(-9, 9))) for _ in range(K)]


def direct_log_densities(X, components):
    """constant − |factor (x − mean) + offset|², shape (K, N)."""
    def square(mean, factor, offset):
        whitened = factor.astype(float) * (X - mean) + offset if factor.ndim == 1 else (X - mean) @ factor.astype(float).T + offset
        return (whitened**2).sum(axis=1)

    found = np.array([constant - square(mean, factor, offset) for mean, factor, offset, constant in components])
    assert np.abs(found).max() < 2**23  # so that float32 rounds nothing either
    return found


def each_density(tile, kernel, components):
    for k, (tile["mean"], tile["factor"], tile["offset"], tile["constant"]) in enumerate(components):
        tile.call(kernel, k)


@pytest.mark.parametrize("n_features", FEATURES)
def test_log_densities_are_the_direct_ones(new_tile, n_features):
    rng = np.random.default_rng(n_features)
    tile = new_tile(3, n_features)
    components = short_components(rng, tile)
    deviations = [(mean, np.diag(factor).copy(), offset, constant) for mean, factor, offset, constant in components]
    for n_rows in row_counts(tile):
        X = rows_with_gaps(rng, tile, n_rows, 0)
        for kernel, of in (("density_full", components), ("density_diag", deviations)):
            tile.load(X)
            each_density(tile, kernel, of)
            expected = direct_log_densities(X, of)
            np.testing.assert_array_equal(tile["gamma"][:, :n_rows], expected)
            np.testing.assert_array_equal(tile["gamma"][:, n_rows:tile["padded"]],
                                          np.repeat(expected[:, -1:], tile["padded"] - n_rows, axis=1))
            np.testing.assert_array_equal(tile["top"][:n_rows], expected.max(axis=0))


@pytest.mark.parametrize(("kernel", "n_features"), [
    *((kernel, D) for kernel in ("density_full", "density_diag") for D in (1, 2, 5, 8, 17)), *(("bound_full", D) for D in (16, 17, 23))])
def test_log_densities_stay_finite_where_squares_overflow(new_tile, kernel, n_features):
    """Also where a whitened residual is ∞ − ∞, for rows up to the largest number that there is."""
    tile = new_tile(1, n_features)
    most = float(np.finfo(tile.dtype).max)
    X = np.array([np.ones(n_features) * x for x in (most, -most, most / 4, np.sqrt(most))]).astype(tile.dtype)
    factor = np.tril(4 * (-1.0) ** np.arange(n_features) * np.ones((n_features, n_features)))
    tile["factor"] = (np.diag(factor).copy() if kernel == "density_diag" else factor).astype(tile.dtype)
    tile["offset"] = np.zeros(n_features, tile.dtype)
    for mean in (0.0, -most / 2):  # beside which a residual of the first row is infinite already
        tile["mean"] = np.full(n_features, mean, tile.dtype)
        tile.load(X)
        tile["bound"][...] = -np.inf
        tile.call(kernel)
        found = tile["bound"] if kernel == "bound_full" else tile["gamma"][0]
        np.testing.assert_array_equal(found[:4], tile.dtype.type(4 * FAR[tile.dtype.name]))


def clusters(rng, tile, n_rows, apart):
    """Rows of components whose means are `apart` deviations from each other in every feature, and the components."""
    K, D = tile["K"], tile["D"]
    means = apart * rng.permuted(np.tile(np.arange(K), (D, 1)), axis=1).T
    factors = np.tril(rng.normal(size=(K, D, D)) * 0.1 / np.sqrt(D)) + 0.85 * np.eye(D)  # √½ log2 e: bits, not nats
    labels = np.sort(rng.integers(0, K, size=n_rows))
    X = (means[labels] + rng.normal(size=(n_rows, D))).astype(tile.dtype)
    return X, [(mean.astype(tile.dtype), factor.astype(tile.dtype), 0.01 * rng.normal(size=D).astype(tile.dtype), -5.0 + k)
               for k, (mean, factor) in enumerate(zip(means, factors))]


@pytest.mark.parametrize("apart", [0.1, 2, 30])
@pytest.mark.parametrize("n_features", [16, 17, 18, 19, 23, 39, 64])
def test_bounds_find_what_counts_and_leave_the_rest(new_tile, n_features, apart):
    """A density that counts beside the largest of its row has the bits of `density_full`; of another one a bound is left."""
    rng = np.random.default_rng([n_features, int(apart)])
    tile = new_tile(5, n_features)
    for n_rows in (1, 97, TILE):
        X, components = clusters(rng, tile, n_rows, apart)
        tile.load(X)
        each_density(tile, "density_full", components)
        padded = tile["padded"]
        full, top = tile["gamma"][:, :padded].copy(), tile["top"][:padded].copy()

        tile.load(X)
        tile["bound"][...] = tile["likeliest"][...] = 77  # of an earlier tile
        tile["spared"] = 0
        each_density(tile, "bound_full", components)
        constants = np.array([constant for *_, constant in components])
        bounds = constants[:, None].astype(tile.dtype) - tile["gamma"][:, :padded]
        assert (bounds >= full).all()
        np.testing.assert_array_equal(tile["bound"][:padded], bounds.max(axis=0))
        np.testing.assert_array_equal(tile["likeliest"][:padded], bounds.argmax(axis=0))

        tile.call("find_likely")
        panels = np.arange(padded) // tile.panel
        likely = [[(bounds.argmax(axis=0)[panels == g] == k).any() for g in range(padded // tile.panel)] for k in range(5)]
        assert [[bool(int(bits) >> g & 1) for g in range(padded // tile.panel)] for bits in tile["likely"]] == likely
        assert all(int(bits) >> padded // tile.panel == 0 for bits in tile["likely"])

        each_density(tile, "density_likely", components)
        assert tile["spared"] == 0
        finished = np.repeat(likely, tile.panel, axis=1)
        np.testing.assert_array_equal(tile["gamma"][:, :padded][finished], full[finished])
        each_density(tile, "density_rest", components)
        found = tile["gamma"][:, :padded]
        np.testing.assert_array_equal(tile["top"][:padded], top)
        left = found != full
        surely_dead = 81 if tile.dtype == np.float64 else 48
        assert (found >= full).all() and (found[left] <= (top - surely_dead + 1e-5)[np.nonzero(left)[1]]).all()
        if apart != 2:
            assert left.any() == (tile["spared"] > 0) == (apart == 30)


def test_what_is_spared_counts_the_rows_of_factors(new_tile):
    """D² − i² for each sample of a panel that was given up after i rows, from 8 to 15 of them where clusters lie far apart."""
    rng = np.random.default_rng(0)
    for n_features in (16, 17, 18, 23, 39):
        tile = new_tile(3, n_features)
        X, components = clusters(rng, tile, 1, 1e4)
        tile.load(np.tile(X, (TILE, 1)))
        each_density(tile, "bound_full", components)
        tile.call("find_likely")
        each_density(tile, "density_likely", components)
        each_density(tile, "density_rest", components)
        rows = np.sqrt(n_features**2 - tile["spared"] / (2 * TILE))
        assert rows == pytest.approx(round(rows), abs=1e-9) and 8 <= round(rows) <= 15


def test_distances_are_the_direct_ones(new_tile):
    rng = np.random.default_rng(0)
    for n_components in (1, 2, 3, 4, 5, 6, 7, 8, 11):
        for n_features in (1, 2, 3, 8, 33):
            tile = new_tile(n_components, n_features)
            for n_rows in (1, tile.panel + 1, TILE):
                X = rows_with_gaps(rng, tile, n_rows, 1)
                tile["points"] = short_numbers(rng, tile.dtype, (n_components, n_features), 1)
                tile.load(X)
                tile.call("distances")
                expected = -0.5 * ((X.astype(float)[None] - tile["points"].astype(float)[:, None]) ** 2).sum(axis=2)
                np.testing.assert_array_equal(tile["gamma"][:, :n_rows], expected)


# From densities to responsibilities.


def log_densities(rng, tile, n_rows, spread):
    """Fill gamma and top with multiples of 2⁻⁶, whose differences are not rounded, and load rows for them."""
    tile.load(np.zeros((n_rows, tile["D"]), tile.dtype))
    padded = tile["padded"]
    tile["gamma"][:, :padded] = np.round(64 * rng.uniform(-spread, 0, size=(tile["K"], padded))) / 64
    tile["gamma"][:, :padded] += np.round(rng.normal(scale=100, size=padded))
    tile["top"][:padded] = tile["gamma"][:, :padded].max(axis=0)


def exact_normalization(joint):
    """ln p and γ from the base-2 logarithms of one row, to 40 digits."""
    with mpmath.workdps(40):
        parts = [mpmath.power(2, mpmath.mpf(float(value))) for value in joint]
        total = mpmath.fsum(parts)
        return float(mpmath.log(total)), [float(part / total) for part in parts]


@pytest.mark.parametrize("n_components", [1, 2, 3, 7])
@pytest.mark.parametrize("spread", [1, 30, 200])
def test_normalize_gives_responsibilities_and_log_densities(new_tile, n_components, spread):
    rng = np.random.default_rng([n_components, spread])
    tile = new_tile(n_components, 1)
    eps = float(np.finfo(tile.dtype).eps)
    for n_rows in row_counts(tile):
        log_densities(rng, tile, n_rows, spread)
        kept = tile["gamma"].copy()
        tile["kept"] = kept
        weights = np.where(rng.random(n_rows) < 0.8, rng.integers(1, 9, size=n_rows), 0)
        tile["weights"][...] = np.r_[weights, np.zeros(TILE - n_rows)]
        tile["sum_only"] = 0
        tile.call("normalize")
        log_p, gamma = map(np.array, zip(*[exact_normalization(column) for column in kept[:, :n_rows].T]))
        assert tile["far_rows"] == 0
        assert tile["least"] == tile.dtype.type(1e-24 if tile.dtype == np.float64 else 1e-14)
        # A difference that is not rounded, 2^x to 2 ε, the sum of K of them, and a division.
        shares = tile["gamma"][:, :n_rows] * tile["scale"][:n_rows].astype(float)
        np.testing.assert_allclose(shares, gamma.T * weights, rtol=(4 + n_components / 2) * eps, atol=n_components * 2e-38)
        assert (tile["scale"][n_rows:tile["padded"]] == 0).all()
        # ln 2 and its product are rounded, the logarithm is right to 2 ε of itself, its argument to (2 + K / 2) ε.
        sizes = np.abs(log_p) + 2 * np.log(n_components + 1) + 1
        np.testing.assert_allclose(tile["log_p"][:n_rows], log_p, rtol=0, atol=((2 + n_components / 2) * eps * sizes).max())
        allowed = (4 + n_components / 2) * eps * (weights @ sizes)
        assert abs(tile["total"] - weights @ log_p) <= allowed

        if tile["padded"] == n_rows:
            tile["weights"][...] = 1
            tile["sum_only"] = 1
            tile.call("restore")
            tile.call("normalize")
            # Each lane adds up a panel's share, the lanes are added in pairs.
            additions = n_rows / tile.panel + 2 + np.log2(tile.lanes)
            assert abs(tile["total"] - log_p.sum()) <= (additions / 2 + 4 + n_components / 2) * eps * sizes.sum()
            np.testing.assert_allclose(tile["gamma"][:, :n_rows] * tile["scale"][:n_rows].astype(float), gamma.T,
                                       rtol=(4 + n_components / 2) * eps, atol=n_components * 2e-38)


@pytest.mark.parametrize("sum_only", [0, 1])
def test_a_far_row_is_noticed_and_left_out_wherever_it_stands(new_tile, sum_only):
    rng = np.random.default_rng(0)
    tile = new_tile(2, 1)
    eps, far = float(np.finfo(tile.dtype).eps), FAR[tile.dtype.name]
    tile["sum_only"] = sum_only
    for n_rows in (tile.panel, 2 * tile.panel, TILE) if sum_only else (47, tile.panel, TILE - 1):
        log_densities(rng, tile, n_rows, 30)
        near, top = tile["gamma"].copy(), tile["top"].copy()
        tile["weights"][...] = np.arange(TILE) < n_rows
        log_p = np.array([exact_normalization(column)[0] for column in near[:, :n_rows].T])
        for n in range(n_rows):
            where = slice(n, n + 1 if n < n_rows - 1 else tile["padded"])  # copies of the last row fill up its panel
            for value, is_far in ((far, True), (4 * far, True), (0.9 * far, False)):
                tile["gamma"][...], tile["top"][...] = near, top
                tile["gamma"][:, where] = tile["top"][where] = value
                tile.call("normalize")
                assert bool(tile["far_rows"]) == is_far
                if is_far:
                    others = np.delete(log_p, n)
                    assert abs(tile["total"] - others.sum()) <= 8 * eps * (np.abs(others) + 4).sum()


def test_responsibilities_are_gamma_by_scale(new_tile):
    rng = np.random.default_rng(0)
    tile = new_tile(5, 1)
    for n_rows in row_counts(tile):
        tile.load(np.zeros((n_rows, 1), tile.dtype))
        tile["gamma"][...], tile["scale"][...] = rng.random((5, TILE)), rng.random(TILE)
        tile["out"][...] = -1
        tile.call("responsibilities")
        np.testing.assert_array_equal(tile["out"][:n_rows], (tile["gamma"] * tile["scale"])[:, :n_rows].T.astype(float))
        assert (tile["out"][n_rows:] == -1).all()


@pytest.mark.parametrize("n_components", [1, 2, 7, 300])
def test_the_largest_is_the_first_of_the_largest(new_tile, n_components):
    rng = np.random.default_rng(n_components)
    tile = new_tile(n_components, 1)
    for n_rows in row_counts(tile):
        tile.load(np.zeros((n_rows, 1), tile.dtype))
        tile["gamma"][...] = rng.integers(-3, 3, size=(n_components, TILE))  # of which many are equal
        tile.call("largest")
        np.testing.assert_array_equal(tile["label"][:n_rows], tile["gamma"][:, :n_rows].argmax(axis=0))
        np.testing.assert_array_equal(tile["value"][:n_rows], tile["gamma"][:, :n_rows].max(axis=0))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_features", [1, 2, 3, 8, 9, 33])
def test_residuals_are_added_to_their_centres(new_tile, n_features, weighted):
    """In double: residuals of float32 rows are not rounded to float32."""
    rng = np.random.default_rng(n_features)
    tile = new_tile(3, n_features)
    for n_rows in (1, 97, TILE):
        X = rows_with_gaps(rng, tile, n_rows, 10) + tile.dtype.type(1000)
        tile["points"] = (rng.integers(-2**10, 2**10, size=(3, n_features)) / 2.0**20).astype(tile.dtype)
        tile["label"][...] = rng.integers(0, 3, size=TILE)
        weights = rng.integers(0, 4, size=n_rows).astype(float)
        tile["row_weights"] = weights if weighted else None
        tile["first"], tile["weight"] = tile.array((3, n_features), np.float64), tile.array(3, np.float64)
        tile["first"][...] = tile["weight"][...] = 3
        tile.load(X)
        tile.call("residuals")
        counted, labels = weights if weighted else np.ones(n_rows), tile["label"][:n_rows]
        away = counted[:, None] * (X.astype(float) - tile["points"].astype(float)[labels])
        for k in range(3):
            assert tile["weight"][k] == 3 + counted[labels == k].sum()
            np.testing.assert_array_equal(tile["first"][k], 3 + away[labels == k].sum(axis=0))


# 2^x and ln x.


def units_off(found, exact, dtype):
    """How many units in the last place each result is off."""
    unit = np.spacing(np.array([abs(float(value)) for value in exact], dtype=dtype)).astype(float)
    return max(abs(float(mpmath.mpf(float(f)) - e)) / u for f, e, u in zip(found, exact, unit))


def test_exponentials_and_logarithms_are_right_to_two_units_in_the_last_place(new_tile):
    tile = new_tile(1, 1)
    info = np.finfo(tile.dtype)
    lowest = np.log2(float(info.smallest_subnormal))
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-1, 0, 300), rng.uniform(lowest, 0, 300), rng.uniform(lowest, np.log2(float(info.tiny)), 100),
                        [0, -0.5, np.log2(float(info.tiny)), lowest, lowest - 0.9, 2 * lowest, -np.inf, np.nan]]).astype(tile.dtype)
    tile["numbers"], tile["count"] = found, _ = x.copy(), len(x)
    tile.call("exps")
    assert found[-3:].tolist() == [0, 0, 0]
    assert units_off(found[:-3], [mpmath.power(2, mpmath.mpf(float(value))) for value in x[:-3]], tile.dtype) <= 2

    x = np.concatenate([rng.uniform(1, 2, 300), 2.0 ** rng.uniform(-100, 100, 300), 1 + np.geomspace(float(info.eps), 1, 50),
                        [float(info.tiny), float(info.max), 0.5]]).astype(tile.dtype)
    tile["numbers"], tile["count"] = found, _ = x.copy(), len(x)
    tile.call("logs")
    exact = [mpmath.log(mpmath.mpf(float(value))) for value in x]
    assert all(f == 0 for f, e in zip(found, exact) if e == 0)
    assert units_off([f for f, e in zip(found, exact) if e], [e for e in exact if e], tile.dtype) <= 2
