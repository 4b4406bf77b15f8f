/* The kernels of kernels.h, for one number type and one instruction set.
 *
 * Compiled once for each pair, with
 *   GM_REAL, GM_BITS   float and uint32_t, or double and uint64_t
 *   GM_VECTOR          bytes of a vector: 16 (SSE2, NEON), 32 (AVX2), 64 (AVX-512); undefined for plain C
 *   GM_ROWS            rows of the register tile
 *   GM_NAME            the name of the table
 *
 * The register tile. Both steps are matrix products. Their inner loop keeps GM_ROWS × COLUMNS vectors of sums in registers, and
 * each turn of it adds GM_ROWS scalars times COLUMNS vectors. It loads three vectors and broadcasts GM_ROWS numbers for 3 GM_ROWS
 * multiply-adds, so that the arithmetic never waits for loads. The sums, the vectors and a broadcast fit the registers:
 * 4 × 3 + 3 + 1 = 16 with AVX2, 8 × 3 + 3 + 1 = 28 of 32 with AVX-512.
 *
 * E step, one sample in each lane: the sums are GM_ROWS rows of L⁻¹ (x − μ) for PANEL samples; only the lower triangle of
 * L⁻¹ is visited. A panel's residuals stay in the first-level cache while L⁻¹ is read from the second, once for PANEL samples.
 * Where densities may be left out, the rows of L⁻¹ are taken in two runs: the first few rows for every component, then the other
 * rows where they matter.
 *
 * M step, up to TINY features (moments_tiny): again one sample in each lane. Each sum belongs to a pair of features. All sums are
 * in registers at once, and their lanes are added up at the end of the tile. Below WIDE features (moments_bands): the same for BAND
 * rows of the triangle at a time, first the corner at the diagonal, then BAND × 4 rectangles left of it. From WIDE features on
 * (moments_dense): one feature in each lane. The sums are a GM_ROWS × PANEL piece of Σ √γ (x − m) √γ (x − m)ᵀ, and only pieces that
 * touch the lower triangle are visited. Above TINY features, a component may have few responsibilities in a tile that are not zero
 * (moments_sparse). These rows wait until they fill a tile, and are then added up like dense ones.
 */
#include "kernels.h"

#include <math.h>
#include <string.h>

enum { COLUMNS = 3 }; /* vectors side by side */

#include "functions.h"

enum {
    R = GM_ROWS,
    PANEL = COLUMNS * W,
    PANELS = GM_TILE / PANEL,
    TINY = 4, /* features: 10 second moments, 4 first ones and the weight fill the 16 registers of AVX2 */
    CACHED = 1 << 18, /* bytes: factors up to this size in all stay in the second-level cache beside a tile */
    AHEAD = 1 << 15, /* bytes: a factor up to this size is prefetched while the one before is in use */
    BAND = 3, /* features: 6 second moments, 3 first ones and their operands still fit 16 registers */
    /* From this number of features on, each lane holds a feature; `python -m benchmarks kernels` gave the numbers. A register tile of
     * eight rows makes more use of each load, and more lanes cost more to add up. */
    WIDE = R > 4 ? 29 : 100,
};

/* These conditions keep every loop inside its memory. */
_Static_assert(PANEL <= GM_WIDEST_PANEL && PANEL % R == 0 && GM_TILE % PANEL == 0 && GM_TILE % 4 == 0, "register tile");
_Static_assert(PANELS <= 64 && R <= 8, "bounds: a bit for each panel, and no more rows than features where they are used");

/* Responsibilities up to this, before they are divided by their sum, count as zero. The loss is less than rounding: 1e8 rows of
 * 1e-24 add 1e-16 to a component's weight, and 1e6 rows of 1e-14 add 1e-8, while the sums of a float tile are rounded to 1e-7. */
#define DEAD ((real)(DOUBLE ? 1e-24 : 1e-14))
/* A log-density that is this many bits below the largest of its row certainly counts as zero. */
#define SURELY_DEAD (DOUBLE ? 81.0 : 48.0)
#define FAR ((real)(DOUBLE ? GM_FAR_DOUBLE : GM_FAR_SINGLE))

#define LN2 0.69314718055994530942

#define REALS(p) ((real *)(p))

/* The number of samples, including the copies of the last one that fill up its panel. */
INLINE int padded(int rows) { return (rows + PANEL - 1) / PANEL * PANEL; }

INLINE void load_rows(const ptrdiff_t D, real *panels, const char *x, ptrdiff_t stride, int rows)
{
    for (int n = 0; n < padded(rows); n += W) {
        real *column = panels + n / PANEL * D * PANEL + n % PANEL;
        const real *row[W];
        for (int i = 0; i < W; i++)
            row[i] = (const real *)(x + (n + i < rows ? n + i : rows - 1) * stride);
        for (ptrdiff_t d = 0; d < D; d++)
            put(column + d * PANEL, gathered(row, d));
    }
}

/* Calls of(D, …). For up to eight features, the most common case by far, D is a constant, so that the compiler can unroll loops. */
#define FOR_FEATURES(D, of, ...) \
    switch (D) { \
    case 1: of(1, __VA_ARGS__); break; \
    case 2: of(2, __VA_ARGS__); break; \
    case 3: of(3, __VA_ARGS__); break; \
    case 4: of(4, __VA_ARGS__); break; \
    case 5: of(5, __VA_ARGS__); break; \
    case 6: of(6, __VA_ARGS__); break; \
    case 7: of(7, __VA_ARGS__); break; \
    case 8: of(8, __VA_ARGS__); break; \
    default: of(D, __VA_ARGS__); \
    }

static void load(gm_workspace *w, const char *x, ptrdiff_t stride, int rows)
{
    w->x = x;
    w->stride = stride;
    w->rows = rows;
    w->padded = padded(rows);
    for (int n = 0; n < w->padded; n += W)
        put(REALS(w->top) + n, splat(4 * FAR));
    FOR_FEATURES(w->D, load_rows, w->panels, x, stride, rows)
}

/* Store constant − square, and raise `top`. The result is kept finite where the square is infinite or, after ∞ − ∞, NaN. */
INLINE void put_log_densities(gm_workspace *w, ptrdiff_t k, int n, const vec *square, double constant)
{
    real *gamma = REALS(w->gamma) + k * GM_TILE + n, *top = REALS(w->top) + n;
    vec value[COLUMNS];
    UNROLL for (int c = 0; c < COLUMNS; c++)
        value[c] = larger((real)constant - square[c], splat(4 * FAR));
    UNROLL for (int c = 0; c < COLUMNS; c++)
        put(gamma + c * W, value[c]);
    UNROLL for (int c = 0; c < COLUMNS; c++)
        put(top + c * W, larger(value[c], at(top + c * W)));
}

/* Add the squares of rows i0 … i0 + rows − 1 of the whitened residual. First come the i0 columns before these rows, whose residuals
 * are in r already, then the triangle at the diagonal. The residuals of the triangle's features are computed on the way, and left
 * in r for the rows that follow. */
INLINE void add_whitened(const int rows, const real *factor, ptrdiff_t D, ptrdiff_t i0, const real *panel, const real *mean, real *r,
                         const real *offset, vec *square)
{
    vec y[R][COLUMNS];
    const real *l = factor + i0 * D;
    FORGET(r);
    UNROLL for (int q = 0; q < rows; q++)
        UNROLL for (int c = 0; c < COLUMNS; c++)
            y[q][c] = splat(offset[i0 + q]);
    for (ptrdiff_t j = 0; j < i0; j++) {
        vec x[COLUMNS];
        UNROLL for (int c = 0; c < COLUMNS; c++)
            x[c] = at(r + j * PANEL + c * W);
        UNROLL for (int q = 0; q < rows; q++)
            UNROLL for (int c = 0; c < COLUMNS; c++)
                y[q][c] += l[q * D + j] * x[c];
    }
    UNROLL for (int j = 0; j < rows; j++) {
        vec x[COLUMNS];
        UNROLL for (int c = 0; c < COLUMNS; c++)
            put(r + (i0 + j) * PANEL + c * W, x[c] = at(panel + (i0 + j) * PANEL + c * W) - mean[i0 + j]);
        UNROLL for (int q = j; q < rows; q++)
            UNROLL for (int c = 0; c < COLUMNS; c++)
                y[q][c] += l[q * D + i0 + j] * x[c];
    }
    UNROLL for (int q = 0; q < rows; q += 2) /* in pairs: additions to one sum wait for each other */
        UNROLL for (int c = 0; c < COLUMNS; c++)
            square[c] += q + 1 < rows ? y[q][c] * y[q][c] + y[(q + 1) % R][c] * y[(q + 1) % R][c] : y[q][c] * y[q][c];
}

/* Add the first D % R rows, so that every following piece has R rows; return how many rows these were. A short piece costs least at
 * the beginning, as it has no columns before it. */
INLINE ptrdiff_t add_short(const real *factor, ptrdiff_t D, const real *panel, const real *mean, real *r, const real *offset,
                           vec *square)
{
    const ptrdiff_t i = R > 4 ? D % 4 : D % R;
    switch (i) {
    case 3: add_whitened(R > 3 ? 3 : 2, factor, D, 0, panel, mean, r, offset, square); break;
    case 2: add_whitened(2, factor, D, 0, panel, mean, r, offset, square); break;
    case 1: add_whitened(1, factor, D, 0, panel, mean, r, offset, square); break;
    }
    if (R > 4 && D % R >= 4)
        add_whitened(R > 4 ? 4 : R, factor, D, i, panel, mean, r, offset, square);
    return D % R;
}

INLINE void density_full_of(const ptrdiff_t D, gm_workspace *w, ptrdiff_t k, const real *mean, const real *factor,
                            const real *offset, double constant)
{
    real *r = REALS(w->scratch);
    const ptrdiff_t size = D * D * (ptrdiff_t)sizeof(real), part = size / PANELS;
    const int streams = size <= AHEAD && size * w->K > CACHED;
    for (int g = 0; g * PANEL < w->padded; g++) {
        const real *x = REALS(w->panels) + g * D * PANEL;
        vec square[COLUMNS];
        UNROLL for (int c = 0; c < COLUMNS; c++)
            square[c] = splat(0);
        for (ptrdiff_t i = 0; streams && i < part; i += 64) /* prefetch the next component's factor, if there is one */
            PREFETCH((const void *)((uintptr_t)factor + (uintptr_t)(size + g * part + i)));
        for (ptrdiff_t i = add_short(factor, D, x, mean, r, offset, square); i + R <= D; i += R)
            add_whitened(R, factor, D, i, x, mean, r, offset, square);
        put_log_densities(w, k, g * PANEL, square, constant);
    }
}

static void density_full(gm_workspace *w, ptrdiff_t k, const void *mean, const void *factor, const void *offset, double constant)
{
    FOR_FEATURES(w->D, density_full_of, w, k, mean, factor, offset, constant)
}

/* How many rows of the whitened residual make a bound: those of the first pieces that together have eight rows or more. */
INLINE ptrdiff_t head(ptrdiff_t D) { return D % R + (7 - D % R) / R * R + R; }

static void bound_full(gm_workspace *w, ptrdiff_t k, const void *mean, const void *factor, const void *offset, double constant)
{
    const ptrdiff_t D = w->D;
    for (int n = 0; n < w->padded; n += PANEL) {
        real *squares = REALS(w->gamma) + k * GM_TILE + n, *bound = REALS(w->bound) + n;
        word *likeliest = (word *)w->likeliest + n;
        const real *x = REALS(w->panels) + n * D;
        vec square[COLUMNS];
        UNROLL for (int c = 0; c < COLUMNS; c++)
            square[c] = splat(0);
        for (ptrdiff_t i = add_short(factor, D, x, mean, w->scratch, offset, square); i < head(D); i += R)
            add_whitened(R, factor, D, i, x, mean, w->scratch, offset, square);
        UNROLL for (int c = 0; c < COLUMNS; c++) {
            vec most = larger((real)constant - square[c], splat(4 * FAR));
            bits more = above(most, at(bound + c * W)), which;
            put(squares + c * W, square[c]);
            if (k) {
                memcpy(&which, likeliest + c * W, sizeof which);
                which = (which & ~more) | (more & (word)k);
                most = larger(most, at(bound + c * W));
            } else
                which = as_bits(splat(0));
            put(bound + c * W, most);
            memcpy(likeliest + c * W, &which, sizeof which);
        }
    }
}

static void find_likely(gm_workspace *w)
{
    memset(w->likely, 0, (size_t)w->K * sizeof *w->likely);
    for (int n = 0; n < w->padded; n++)
        w->likely[((const word *)w->likeliest)[n]] |= (uint64_t)1 << n / PANEL;
}

/* Whether the squares of all samples are so large that none of their densities counts beside `top`. */
INLINE int all_dead(const vec *square, const vec *limit)
{
    bits dead = above(square[0], limit[0]);
    UNROLL for (int c = 1; c < COLUMNS; c++)
        dead &= above(square[c], limit[c]);
    return everywhere(dead);
}

/* Add the remaining rows, for the panels whose bit in `panels` is set. */
INLINE void finish(const int ends_early, gm_workspace *w, ptrdiff_t k, const real *mean, const real *factor, const real *offset,
                   double constant, uint64_t panels)
{
    const ptrdiff_t D = w->D;
    real *r = REALS(w->scratch);
    for (int g = 0; g * PANEL < w->padded; g++) {
        if (!(panels >> g & 1))
            continue;
        real *gamma = REALS(w->gamma) + k * GM_TILE + g * PANEL;
        const real *x = REALS(w->panels) + g * D * PANEL;
        vec square[COLUMNS], limit[COLUMNS];
        UNROLL for (int c = 0; c < COLUMNS; c++) {
            square[c] = at(gamma + c * W);
            limit[c] = (real)(constant + SURELY_DEAD) - at(REALS(w->top) + g * PANEL + c * W);
        }
        ptrdiff_t i = head(D);
        int dead = ends_early && all_dead(square, limit);
        for (ptrdiff_t d = 0; !dead && d < i; d++)
            UNROLL for (int c = 0; c < COLUMNS; c++)
                put(r + d * PANEL + c * W, at(x + d * PANEL + c * W) - mean[d]);
        for (; !dead && i + R <= D; i += R) {
            add_whitened(R, factor, D, i, x, mean, r, offset, square);
            dead = ends_early && all_dead(square, limit);
        }
        w->spared += PANEL * (double)(D - i) * (double)(D + i);
        put_log_densities(w, k, g * PANEL, square, constant); /* where dead, it stores a bound, which does not count either */
    }
}

static void density_likely(gm_workspace *w, ptrdiff_t k, const void *mean, const void *factor, const void *offset, double constant)
{
    finish(0, w, k, mean, factor, offset, constant, w->likely[k]);
}

static void density_rest(gm_workspace *w, ptrdiff_t k, const void *mean, const void *factor, const void *offset, double constant)
{
    finish(1, w, k, mean, factor, offset, constant, ~w->likely[k]);
}

INLINE void density_diag_of(const ptrdiff_t D, gm_workspace *w, ptrdiff_t k, const real *mean, const real *factor,
                            const real *offset, double constant)
{
    for (int g = 0; g * PANEL < w->padded; g++) {
        const real *x = REALS(w->panels) + g * D * PANEL;
        vec square[2][COLUMNS]; /* even and odd features apart: additions to one sum wait for each other */
        UNROLL for (int c = 0; c < COLUMNS; c++)
            square[0][c] = square[1][c] = splat(0);
        for (ptrdiff_t d = 0; d < D; d += 2)
            UNROLL for (int q = 0; q < 2; q++)
                if (d + q < D) {
                    vec m = splat(mean[d + q]), f = splat(factor[d + q]), z = splat(offset[d + q]);
                    UNROLL for (int c = 0; c < COLUMNS; c++) {
                        vec y = f * (at(x + (d + q) * PANEL + c * W) - m) + z;
                        square[q][c] += y * y;
                    }
                }
        UNROLL for (int c = 0; c < COLUMNS; c++)
            square[0][c] += square[1][c];
        put_log_densities(w, k, g * PANEL, square[0], constant);
    }
}

static void density_diag(gm_workspace *w, ptrdiff_t k, const void *mean, const void *factor, const void *offset, double constant)
{
    FOR_FEATURES(w->D, density_diag_of, w, k, mean, factor, offset, constant)
}

/* Σ a b, in eight sums, as additions to a single sum would wait for each other. */
INLINE double dot(int count, const real *a, const real *b)
{
    double part[8] = {0};
    int n = 0;
    for (; n + 8 <= count; n += 8)
        UNROLL for (int i = 0; i < 8; i++)
            part[i] += (double)a[n + i] * (double)b[n + i];
    for (; n < count; n++)
        part[n % 8] += (double)a[n] * (double)b[n];
    return ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
}

static double normalize(gm_workspace *w, int *far_rows)
{
    real *gamma = REALS(w->gamma), *log_p = REALS(w->log_p), *scale = REALS(w->scale);
    const real *top = REALS(w->top), *weights = REALS(w->weights);
    bits near = above(splat(0), splat(FAR));
    vec sum = splat(0);
    w->least = (double)DEAD;
    for (int n = 0; n < w->padded; n += PANEL) {
        vec total[COLUMNS], most[COLUMNS];
        UNROLL for (int c = 0; c < COLUMNS; c++) {
            total[c] = splat(0);
            most[c] = at(top + n + c * W);
            near &= above(most[c], splat(FAR));
        }
        for (ptrdiff_t k = 0; k < w->K; k++) {
            real *g = gamma + k * GM_TILE + n;
            vec share[COLUMNS];
            UNROLL for (int c = 0; c < COLUMNS; c++)
                share[c] = at(g + c * W) - most[c];
            exp2_negative(COLUMNS, share);
            UNROLL for (int c = 0; c < COLUMNS; c++) {
                put(g + c * W, share[c]);
                total[c] += share[c];
            }
        }
        UNROLL for (int c = 0; c < COLUMNS; c++)
            put(scale + n + c * W, at(weights + n + c * W) / total[c]);
        if (w->sum_only) { /* the totals are from 1 to K, so that one logarithm of a product serves for three */
            sum += (most[0] + most[1] + most[2]) * (real)LN2 + log_positive(total[0] * total[1] * total[2]);
            continue;
        }
        UNROLL for (int c = 0; c < COLUMNS; c++)
            put(log_p + n + c * W, most[c] * (real)LN2 + log_positive(total[c]));
    }
    *far_rows = 0;
    for (int i = 0; i < W; i++)
        *far_rows |= !lane_bits(near, i);
    if (!*far_rows)
        return w->sum_only ? sum_lanes(sum) : dot(w->rows, weights, log_p);
    if (w->sum_only)
        for (int n = 0; n < w->padded; n += W) /* here scale is 1 / total */
            put(log_p + n, at(top + n) * (real)LN2 - log_positive(at(scale + n)));
    double total = 0;
    for (int n = 0; n < w->rows; n++)
        total += top[n] > FAR ? (double)weights[n] * (double)log_p[n] : 0;
    return total;
}

/* Up to TINY features: one sample in each lane, all sums in registers. */
INLINE void moments_tiny(const int D, gm_workspace *w, ptrdiff_t k, const gm_sums *s)
{
    const real *gamma = REALS(w->gamma) + k * GM_TILE, *scale = REALS(w->scale), *m = s->reference;
    vec weight = splat(0), first[TINY], second[TINY][TINY];
    UNROLL for (int i = 0; i < D; i++) {
        first[i] = splat(0);
        UNROLL for (int j = 0; j <= i; j++)
            second[i][j] = splat(0);
    }
    for (int g = 0; g * PANEL < w->padded; g++) {
        const real *x = REALS(w->panels) + g * D * PANEL;
        UNROLL for (int c = 0; c < COLUMNS; c++) {
            int n = g * PANEL + c * W;
            vec share = at(gamma + n) * at(scale + n), r[TINY];
            weight += share;
            UNROLL for (int i = 0; i < D; i++) {
                r[i] = at(x + i * PANEL + c * W) - m[i];
                vec product = share * r[i];
                first[i] += product;
                UNROLL for (int j = 0; j <= i; j++)
                    second[i][j] += product * r[j];
            }
        }
    }
    *s->weight += sum_lanes(weight);
    UNROLL for (int i = 0; i < D; i++) {
        s->first[i] += sum_lanes(first[i]);
        UNROLL for (int j = 0; j <= i; j++)
            s->second[i * D + j] += sum_lanes(second[i][j]);
    }
}

/* Add vectors to a row of second moments. Numbers above the diagonal are never read, but must not run over the end of the row. */
INLINE void add_line(const int vectors, const vec *line, double *row, ptrdiff_t end)
{
    real numbers[PANEL];
    UNROLL for (int c = 0; c < COLUMNS; c++)
        put(numbers + c * W, line[c]);
    if (end >= vectors * W)
        UNROLL for (int j = 0; j < vectors * W; j++)
            row[j] += (double)numbers[j];
    else
        for (int j = 0; j < end; j++)
            row[j] += (double)numbers[j];
}

/* Add a piece of second moments: samples 0 … count − 1, features i0 … i0 + R − 1 against `vectors` vectors from j0 on.
 * `rows` holds √γ (x − m) in panels of PANEL features, one panel after the other, each GM_TILE samples long. With a single vector
 * there are so few sums that the arithmetic units would wait for each of them. Even and odd samples then have separate sums. */
INLINE void add_piece(const int vectors, const real *rows, int count, ptrdiff_t i0, ptrdiff_t j0, ptrdiff_t D, double *second)
{
    const int ways = vectors == 1 ? 2 : 1;
    vec sum[2][R][COLUMNS];
    const real *a = rows + (i0 / PANEL) * PANEL * GM_TILE + i0 % PANEL, *b = rows + j0 * GM_TILE;
    UNROLL for (int h = 0; h < ways; h++)
        UNROLL for (int q = 0; q < R; q++)
            UNROLL for (int c = 0; c < vectors; c++)
                sum[h][q][c] = splat(0);
    UNROLL for (int q = 0; q < R; q++) /* prefetch the second moments, which are seldom in a cache */
        UNROLL for (int i = 0; i <= vectors * W * (int)sizeof(double) / 64; i++)
            PREFETCH((const void *)((uintptr_t)second + (uintptr_t)(((i0 + q) * D + j0) * (ptrdiff_t)sizeof(double) + i * 64)));
    int n = 0;
    for (; n + ways <= count; n += ways)
        UNROLL for (int h = 0; h < ways; h++) {
            vec x[COLUMNS];
            UNROLL for (int c = 0; c < vectors; c++)
                x[c] = at(b + (n + h) * PANEL + c * W);
            UNROLL for (int q = 0; q < R; q++)
                UNROLL for (int c = 0; c < vectors; c++)
                    sum[h][q][c] += a[(n + h) * PANEL + q] * x[c];
        }
    if (n < count)
        UNROLL for (int q = 0; q < R; q++)
            sum[0][q][0] += a[n * PANEL + q] * at(b + n * PANEL);
    UNROLL for (int q = 0; q < R; q++)
        if (i0 + q < D) {
            vec line[COLUMNS];
            UNROLL for (int c = 0; c < COLUMNS; c++)
                line[c] = c >= vectors ? splat(0) : ways == 2 ? sum[0][q][c] + sum[1][q][c] : sum[0][q][c];
            add_line(vectors, line, second + (i0 + q) * D + j0, D - j0);
        }
}

/* Gather √γ (x − m) of `count` rows into a panel of `vectors` vectors, and add up first moments on the way. Of the last vector only
 * `end` numbers are features; the others take part in sums that are never stored. */
INLINE void gather(const int vectors, int end, const char *const *row, const real *root, int count, const real *m,
                   ptrdiff_t j0, real *panel, double *first)
{
    vec sum[COLUMNS], mean[COLUMNS];
    real numbers[PANEL];
    const int last = vectors - 1;
    UNROLL for (int c = 0; c < vectors; c++) {
        sum[c] = splat(0);
        mean[c] = c < last || end == W ? at(m + j0 + c * W) : first_few(m + j0 + c * W, end);
    }
    for (int n = 0; n < count; n++) {
        const real *x = (const real *)row[n] + j0;
        UNROLL for (int c = 0; c < vectors; c++) {
            vec value = root[n] * ((c < last || end == W ? at(x + c * W) : first_few(x + c * W, end)) - mean[c]);
            put(panel + n * PANEL + c * W, value);
            sum[c] += root[n] * value;
        }
    }
    UNROLL for (int c = 0; c < vectors; c++)
        put(numbers + c * W, sum[c]);
    for (int d = 0; d < last * W + end; d++)
        first[j0 + d] += (double)numbers[d];
}

INLINE real square_root(real x) { return DOUBLE ? (real)sqrt((double)x) : (real)sqrtf((float)x); }

/* Add first and second moments of `count` rows with weights root². */
static void add_rows(gm_workspace *w, const char *const *row, const real *root, int count, const gm_sums *s)
{
    const ptrdiff_t D = w->D;
    real *rows = REALS(w->scratch);
    for (ptrdiff_t j0 = 0; j0 < D; j0 += PANEL) {
        real *panel = rows + j0 * GM_TILE;
        int width = D - j0 < PANEL ? (int)(D - j0) : PANEL, end = (width - 1) % W + 1;
        switch ((width - 1) / W) {
        case 0: gather(1, end, row, root, count, s->reference, j0, panel, s->first); break;
        case 1: gather(2, end, row, root, count, s->reference, j0, panel, s->first); break;
        default: gather(3, end, row, root, count, s->reference, j0, panel, s->first);
        }
    }
    for (ptrdiff_t j0 = 0; j0 < D; j0 += PANEL)
        for (ptrdiff_t i0 = j0; i0 < D; i0 += R)
            switch (i0 + R - j0 >= PANEL ? COLUMNS : (int)((i0 + R - 1 - j0) / W) + 1) {
            case 1: add_piece(1, rows, count, i0, j0, D, s->second); break;
            case 2: add_piece(2, rows, count, i0, j0, D, s->second); break;
            default: add_piece(3, rows, count, i0, j0, D, s->second);
            }
}

/* Compute w_n γ_nk of a tile's samples, with zero for those that do not count; add them to the weight, and return how many count. */
INLINE int live_shares(const gm_workspace *w, ptrdiff_t k, real *share, const gm_sums *s)
{
    const real *gamma = REALS(w->gamma) + k * GM_TILE, *scale = REALS(w->scale);
    vec weight = splat(0);
    bits live = above(splat(0), splat(0));
    for (int n = 0; n < w->padded; n += W) {
        bits counts = above(at(gamma + n), splat((real)w->least));
        vec v = as_vec(as_bits(at(gamma + n) * at(scale + n)) & counts);
        live -= counts;
        weight += v;
        put(share + n, v);
    }
    word total = 0;
    for (int i = 0; i < W; i++)
        total += lane_bits(live, i);
    if (total)
        *s->weight += sum_lanes(weight);
    return (int)total;
}

static void flush(gm_workspace *w, ptrdiff_t k, const gm_sums *s)
{
    int count = w->pending_count[k] < GM_TILE ? w->pending_count[k] : GM_TILE;
    if (count) {
        const char **row = w->pending_row + k * 2 * GM_TILE;
        real *root = REALS(w->pending_root) + k * 2 * GM_TILE;
        add_rows(w, row, root, count, s);
        w->pending_count[k] -= count;
        memcpy(row, row + count, (size_t)w->pending_count[k] * sizeof *row);
        memcpy(root, root + count, (size_t)w->pending_count[k] * sizeof *root);
    }
}

/* Let the live rows of a tile wait until there are many. */
static void moments_sparse(gm_workspace *w, ptrdiff_t k, const real *share, const gm_sums *s)
{
    int count = w->pending_count[k]; /* less than GM_TILE, so that there is a place for every row of the tile */
    const char **row = w->pending_row + k * 2 * GM_TILE;
    real *root = REALS(w->pending_root) + k * 2 * GM_TILE;
    int end = count;
    for (int n = 0; n < w->rows; n++) { /* without a branch, which would be mispredicted half of the time */
        row[end] = w->x + n * w->stride;
        root[end] = share[n];
        end += share[n] > 0;
    }
    for (; count < end; count++)
        root[count] = square_root(root[count]);
    w->pending_count[k] = count;
    if (count >= GM_TILE)
        flush(w, k, s);
}

static void moments_dense(gm_workspace *w, const real *share, const gm_sums *s)
{
    real roots[GM_TILE];
    const char *row[GM_TILE];
    for (int n = 0; n < w->rows; n++) {
        row[n] = w->x + n * w->stride;
        roots[n] = square_root(share[n]);
    }
    add_rows(w, row, roots, w->rows, s);
}

/* Features i0 … i0 + rows − 1 with one sample in each lane: add their first moments, and their second moments with each other. Their
 * residuals are left in `r`, for the bands that follow (if there are any), and γ times these in `p`, for the features before. */
INLINE void add_corner(const int rows, const int before, const int behind, const gm_workspace *w, const real *share, const real *m,
                       ptrdiff_t i0, real *r, real *p, const gm_sums *s)
{
    const ptrdiff_t D = w->D;
    vec first[BAND], second[BAND][BAND];
    UNROLL for (int i = 0; i < rows; i++) {
        first[i] = splat(0);
        UNROLL for (int j = 0; j <= i; j++)
            second[i][j] = splat(0);
    }
    for (int g = 0; g * PANEL < w->padded; g++) {
        const real *x = REALS(w->panels) + (g * D + i0) * PANEL;
        UNROLL for (int c = 0; c < COLUMNS; c++) {
            int n = g * PANEL + c * W;
            vec residual[BAND];
            UNROLL for (int i = 0; i < rows; i++) {
                residual[i] = at(x + i * PANEL + c * W) - m[i0 + i];
                vec product = at(share + n) * residual[i];
                if (behind)
                    put(r + (i0 + i) * GM_TILE + n, residual[i]);
                if (before)
                    put(p + i * GM_TILE + n, product);
                first[i] += product;
                UNROLL for (int j = 0; j <= i; j++)
                    second[i][j] += product * residual[j];
            }
        }
    }
    UNROLL for (int i = 0; i < rows; i++) {
        s->first[i0 + i] += sum_lanes(first[i]);
        UNROLL for (int j = 0; j <= i; j++)
            s->second[(i0 + i) * D + i0 + j] += sum_lanes(second[i][j]);
    }
}

/* Second moments of the BAND features at i0, whose γ r are p, with `columns` features from j0 on. */
INLINE void add_rectangle(const int columns, int samples, ptrdiff_t i0, ptrdiff_t j0, ptrdiff_t D, const real *r, const real *p, double *second)
{
    vec sum[BAND][4];
    UNROLL for (int i = 0; i < BAND; i++)
        UNROLL for (int j = 0; j < columns; j++)
            sum[i][j] = splat(0);
    r += j0 * GM_TILE;
    for (int n = 0; n < samples; n += W) {
        vec y[BAND];
        UNROLL for (int i = 0; i < BAND; i++)
            y[i] = at(p + i * GM_TILE + n);
        UNROLL for (int j = 0; j < columns; j++) {
            vec x = at(r + j * GM_TILE + n);
            UNROLL for (int i = 0; i < BAND; i++)
                sum[i][j] += y[i] * x;
        }
    }
    UNROLL for (int i = 0; i < BAND; i++)
        add_lanes(columns, sum[i], second + (i0 + i) * D + j0);
}

static void moments_bands(gm_workspace *w, const real *share, const gm_sums *s)
{
    const ptrdiff_t D = w->D;
    real *r = REALS(w->scratch), *p = r + D * GM_TILE;
    const real *m = s->reference;
    ptrdiff_t i0 = (D - 1) % BAND + 1;
    switch (i0) {
    case 1: add_corner(1, 0, 1, w, share, m, 0, r, p, s); break;
    case 2: add_corner(2, 0, 1, w, share, m, 0, r, p, s); break;
    default: add_corner(3, 0, 1, w, share, m, 0, r, p, s);
    }
    for (; i0 < D; i0 += BAND) {
        for (ptrdiff_t i = 0; i < BAND * D * (ptrdiff_t)sizeof(double); i += 64) /* the next band's sums, as in add_piece */
            PREFETCH((const void *)((uintptr_t)s->second + (uintptr_t)((i0 + BAND) * D * (ptrdiff_t)sizeof(double) + i)));
        if (i0 + BAND < D)
            add_corner(BAND, 1, 1, w, share, m, i0, r, p, s);
        else
            add_corner(BAND, 1, 0, w, share, m, i0, r, p, s);
        ptrdiff_t j0 = 0;
        for (; i0 - j0 >= 6 || i0 - j0 == 4; j0 += 4)
            add_rectangle(4, w->padded, i0, j0, D, r, p, s->second);
        for (; i0 - j0 >= 3; j0 += 3)
            add_rectangle(3, w->padded, i0, j0, D, r, p, s->second);
        if (i0 - j0 == 2)
            add_rectangle(2, w->padded, i0, j0, D, r, p, s->second);
        else if (i0 - j0 == 1)
            add_rectangle(1, w->padded, i0, j0, D, r, p, s->second);
    }
}

static void moments_full(gm_workspace *w, ptrdiff_t k, const gm_sums *s)
{
    switch (w->D) {
    case 1: moments_tiny(1, w, k, s); return;
    case 2: moments_tiny(2, w, k, s); return;
    case 3: moments_tiny(3, w, k, s); return;
    case 4: moments_tiny(4, w, k, s); return;
    }
    real share[GM_TILE];
    int live = live_shares(w, k, share, s);
    if (live * 2 <= w->padded)
        moments_sparse(w, k, share, s);
    else if (w->D < WIDE)
        moments_bands(w, share, s);
    else
        moments_dense(w, share, s);
}

/* First moments and variances of `count` features from d on. */
INLINE void add_variances(const int count, const gm_workspace *w, const real *share, ptrdiff_t d, const gm_sums *s)
{
    vec mean[4], first[4], second[4];
    UNROLL for (int i = 0; i < count; i++) {
        mean[i] = splat(((const real *)s->reference)[d + i]);
        first[i] = second[i] = splat(0);
    }
    for (int g = 0; g * PANEL < w->padded; g++) {
        const real *x = REALS(w->panels) + (g * w->D + d) * PANEL;
        UNROLL for (int c = 0; c < COLUMNS; c++) {
            vec weight = at(share + g * PANEL + c * W);
            UNROLL for (int i = 0; i < count; i++) {
                vec residual = at(x + i * PANEL + c * W) - mean[i];
                vec product = weight * residual;
                first[i] += product;
                second[i] += product * residual;
            }
        }
    }
    add_lanes(count, first, s->first + d);
    add_lanes(count, second, s->second + d);
}

static void moments_diag(gm_workspace *w, ptrdiff_t k, const gm_sums *s)
{
    real share[GM_TILE];
    if (!live_shares(w, k, share, s))
        return;
    ptrdiff_t d = 0;
    for (; d + 4 <= w->D; d += 4)
        add_variances(4, w, share, d, s);
    switch (w->D - d) {
    case 3: add_variances(3, w, share, d, s); break;
    case 2: add_variances(2, w, share, d, s); break;
    case 1: add_variances(1, w, share, d, s); break;
    }
}

static void responsibilities(const gm_workspace *w, double *out, ptrdiff_t stride)
{
    const real *gamma = REALS(w->gamma), *scale = REALS(w->scale);
    for (int n = 0; n < w->rows; n++)
        for (ptrdiff_t k = 0; k < w->K; k++)
            out[n * stride + k] = (double)(gamma[k * GM_TILE + n] * scale[n]);
}

/* Find the component with the largest gamma, the first one where several are equal. */
static void largest(const gm_workspace *w, int32_t *label, double *value)
{
    const real *gamma = REALS(w->gamma);
    for (int n = 0; n < w->padded; n += PANEL) {
        vec best[COLUMNS];
        bits which[COLUMNS];
        UNROLL for (int c = 0; c < COLUMNS; c++) {
            best[c] = at(gamma + n + c * W);
            which[c] = as_bits(splat(0));
        }
        for (ptrdiff_t k = 1; k < w->K; k++)
            UNROLL for (int c = 0; c < COLUMNS; c++) {
                vec g = at(gamma + k * GM_TILE + n + c * W);
                bits more = above(g, best[c]);
                which[c] = (which[c] & ~more) | (more & (word)k);
                best[c] = larger(g, best[c]);
            }
        UNROLL for (int c = 0; c < COLUMNS; c++)
            for (int l = 0; l < W; l++) {
                label[n + c * W + l] = (int32_t)lane_bits(which[c], l);
                value[n + c * W + l] = (double)lane(best[c], l);
            }
    }
}

/* −½ |x − c|² for `count` of the points, side by side, so that a sample is loaded once for all of them. */
INLINE void add_distances(const int count, gm_workspace *w, ptrdiff_t k, const real *points)
{
    const ptrdiff_t D = w->D;
    for (int g = 0; g * PANEL < w->padded; g++) {
        const real *x = REALS(w->panels) + g * D * PANEL;
        vec square[3][COLUMNS];
        UNROLL for (int q = 0; q < count; q++)
            UNROLL for (int c = 0; c < COLUMNS; c++)
                square[q][c] = splat(0);
        for (ptrdiff_t d = 0; d < D; d++) {
            vec sample[COLUMNS];
            UNROLL for (int c = 0; c < COLUMNS; c++)
                sample[c] = at(x + d * PANEL + c * W);
            UNROLL for (int q = 0; q < count; q++) {
                vec point = splat(points[(k + q) * D + d]);
                UNROLL for (int c = 0; c < COLUMNS; c++) {
                    vec r = sample[c] - point;
                    square[q][c] += r * r;
                }
            }
        }
        UNROLL for (int q = 0; q < count; q++)
            UNROLL for (int c = 0; c < COLUMNS; c++)
                put(REALS(w->gamma) + (k + q) * GM_TILE + g * PANEL + c * W, square[q][c] * (real)-0.5);
    }
}

static void distances(gm_workspace *w, const void *points)
{
    const ptrdiff_t K = w->K;
    ptrdiff_t k = 0;
    for (; K - k >= 5 || K - k == 3; k += 3) /* so that no point is left alone: the arithmetic units would wait for its few sums */
        add_distances(3, w, k, points);
    for (; K - k >= 2; k += 2)
        add_distances(2, w, k, points);
    if (k < K)
        add_distances(1, w, k, points);
}

INLINE void add_residuals(const ptrdiff_t D, const gm_workspace *w, const int32_t *label, const double *weights,
                          const real *points, double *restrict first, double *restrict weight)
{
    const char *row = w->x;
    for (int n = 0; n < w->rows; n++, row += w->stride) {
        const ptrdiff_t k = label[n];
        const real *x = (const real *)row, *c = points + k * D;
        const double share = weights ? weights[n] : 1;
        weight[k] += share;
        for (ptrdiff_t d = 0; d < D; d++)
            first[k * D + d] += share * ((double)x[d] - (double)c[d]);
    }
}

static void residuals(const gm_workspace *w, const int32_t *label, const double *weights, const void *points, double *first,
                      double *weight)
{
    FOR_FEATURES(w->D, add_residuals, w, label, weights, points, first, weight)
}

static void exps(void *numbers, ptrdiff_t count)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        vec v[1] = {splat(REALS(numbers)[i])};
        exp2_negative(1, v);
        REALS(numbers)[i] = lane(v[0], W - 1);
    }
}

static void logs(void *numbers, ptrdiff_t count)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        vec v = log_positive(splat(REALS(numbers)[i]));
        REALS(numbers)[i] = lane(v, W - 1);
    }
}

const gm_kernels GM_NAME = {
    .load = load,
    .density_full = density_full,
    .bound_full = bound_full,
    .find_likely = find_likely,
    .density_likely = density_likely,
    .density_rest = density_rest,
    .density_diag = density_diag,
    .normalize = normalize,
    .moments_full = moments_full,
    .moments_diag = moments_diag,
    .flush = flush,
    .responsibilities = responsibilities,
    .largest = largest,
    .distances = distances,
    .residuals = residuals,
    .exps = exps,
    .logs = logs,
};
