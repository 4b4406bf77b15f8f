/* The kernels of kernels.h, for one number type and one instruction set.
 *
 * Compiled once for each pair, with
 *   GM_REAL, GM_BITS   float and uint32_t, or double and uint64_t
 *   GM_VECTOR          bytes of a vector: 16 (SSE2, NEON), 32 (AVX2), 64 (AVX-512); undefined for plain C
 *   GM_ROWS            rows of the register tile
 *   GM_NAME            what the table is called
 *
 * The register tile. Both steps are products whose inner loop is GM_ROWS × COLUMNS vectors of sums in registers, to which
 * each turn adds GM_ROWS scalars times COLUMNS vectors. Three vectors are loaded and GM_ROWS numbers broadcast for
 * 3 GM_ROWS multiply-adds, so that loads never hold the arithmetic back, and the sums, the vectors and a broadcast fit
 * the registers: 4 × 3 + 3 + 1 = 16 with AVX2, 8 × 3 + 3 + 1 = 28 of 32 with AVX-512.
 *
 * E step, samples along the lanes: the sums are GM_ROWS rows of L⁻¹ (x − μ) for PANEL samples; only the lower triangle of
 * L⁻¹ is visited. A panel's residuals stay in the first-level cache while L⁻¹ streams by, once for PANEL samples.
 *
 * M step, up to TINY features: samples along the lanes too, each sum one pair of features, all of them in registers at once
 * and their lanes added up at the end of the tile. From there on features along the lanes: the sums are a GM_ROWS × PANEL
 * piece of Σ √γ (x − m) √γ (x − m)ᵀ, and only pieces that touch the lower triangle are visited. There the rows are gathered,
 * so that dead ones cost nothing.
 */
#include "kernels.h"

#include <math.h>
#include <string.h>

#include "functions.h"

enum {
    R = GM_ROWS,
    COLUMNS = 3,
    PANEL = COLUMNS * W,
    PANELS = GM_TILE / PANEL,
    TINY = 4, /* features: 10 second moments, 4 first and the weight fill the registers of AVX2 */
};

/* What keeps every loop inside its memory. */
_Static_assert(PANEL <= GM_WIDEST_PANEL && PANEL % R == 0 && GM_TILE % PANEL == 0 && GM_TILE % 4 == 0, "register tile");

/* Responsibilities below this, before they are divided by their sum, count as zero: what they would add to any sum is below
 * rounding even over 1e8 rows (float: 1e4 tiles whose own rounding is 1e-7). */
#define DEAD ((real)(DOUBLE ? 1e-24 : 1e-14))
#define FAR ((real)(DOUBLE ? GM_FAR_DOUBLE : GM_FAR_SINGLE))

#define REALS(p) ((real *)(p))

static void load(gm_workspace *w, const char *x, ptrdiff_t stride, int rows)
{
    const ptrdiff_t D = w->D;
    w->x = x;
    w->stride = stride;
    w->rows = rows;
    for (int n = 0; n < GM_TILE; n++) { /* a row at a time, in the order of memory */
        const real *row = (const real *)(x + (n < rows ? n : rows - 1) * stride);
        real *column = REALS(w->panels) + n / PANEL * D * PANEL + n % PANEL;
        for (ptrdiff_t d = 0; d < D; d++)
            column[d * PANEL] = row[d];
    }
}

/* constant − ½ square, kept above −∞ (also where the square is NaN, ∞ − ∞), and the running maximum. */
INLINE void put_log_density(gm_workspace *w, ptrdiff_t k, int n, vec square, double constant)
{
    vec value = larger((real)constant - square * (real)0.5, splat(4 * FAR));
    put(REALS(w->gamma) + k * GM_TILE + n, value);
    real *top = REALS(w->top) + n;
    put(top, k ? larger(value, at(top)) : value);
}

/* Rows i0 … i0 + rows − 1 of the whitened residual, squared and added; i0 columns, then a triangle. */
INLINE void add_whitened(const int rows, const real *factor, ptrdiff_t D, ptrdiff_t i0, const real *r, const real *offset,
                         vec *square)
{
    vec y[R][COLUMNS];
    const real *l = factor + i0 * D;
    UNROLL for (int q = 0; q < rows; q++)
        UNROLL for (int c = 0; c < COLUMNS; c++)
            y[q][c] = splat(-offset[i0 + q]);
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
            x[c] = at(r + (i0 + j) * PANEL + c * W);
        UNROLL for (int q = j; q < rows; q++)
            UNROLL for (int c = 0; c < COLUMNS; c++)
                y[q][c] += l[q * D + i0 + j] * x[c];
    }
    UNROLL for (int q = 0; q < rows; q++)
        UNROLL for (int c = 0; c < COLUMNS; c++)
            square[c] += y[q][c] * y[q][c];
}

INLINE void density_full_of(const ptrdiff_t D, gm_workspace *w, ptrdiff_t k, const real *mean, const real *factor,
                            const real *offset, double constant)
{
    real *r = REALS(w->scratch);
    for (int g = 0; g < PANELS; g++) {
        const real *x = REALS(w->panels) + g * D * PANEL;
        vec square[COLUMNS];
        UNROLL for (int c = 0; c < COLUMNS; c++)
            square[c] = splat(0);
        for (ptrdiff_t d = 0; d < D; d++)
            UNROLL for (int c = 0; c < COLUMNS; c++)
                put(r + d * PANEL + c * W, at(x + d * PANEL + c * W) - mean[d]);
        ptrdiff_t i = 0;
        for (; i + R <= D; i += R)
            add_whitened(R, factor, D, i, r, offset, square);
        if (R > 4 && D - i >= 4) {
            add_whitened(R > 4 ? 4 : R, factor, D, i, r, offset, square);
            i += 4;
        }
        switch (D - i) {
        case 3: add_whitened(R > 3 ? 3 : R, factor, D, i, r, offset, square); break;
        case 2: add_whitened(2, factor, D, i, r, offset, square); break;
        case 1: add_whitened(1, factor, D, i, r, offset, square); break;
        }
        UNROLL for (int c = 0; c < COLUMNS; c++)
            put_log_density(w, k, g * PANEL + c * W, square[c], constant);
    }
}

static void density_full(gm_workspace *w, ptrdiff_t k, const void *mean, const void *factor, const void *offset, double constant)
{
    /* Below, D is a constant to the compiler in every case but the last. */
#define CASE(d) case d: density_full_of(d, w, k, mean, factor, offset, constant); break
    switch (w->D) {
        CASE(1); CASE(2); CASE(3); CASE(4); CASE(5); CASE(6); CASE(7); CASE(8);
    default:
        density_full_of(w->D, w, k, mean, factor, offset, constant);
    }
#undef CASE
}

static void density_diag(gm_workspace *w, ptrdiff_t k, const void *mean, const void *factor, const void *offset, double constant)
{
    const ptrdiff_t D = w->D;
    const real *m = mean, *f = factor, *z = offset;
    for (int g = 0; g < PANELS; g++) {
        const real *x = REALS(w->panels) + g * D * PANEL;
        vec square[COLUMNS];
        UNROLL for (int c = 0; c < COLUMNS; c++)
            square[c] = splat(0);
        for (ptrdiff_t d = 0; d < D; d++)
            UNROLL for (int c = 0; c < COLUMNS; c++) {
                vec y = f[d] * (at(x + d * PANEL + c * W) - m[d]) - z[d];
                square[c] += y * y;
            }
        UNROLL for (int c = 0; c < COLUMNS; c++)
            put_log_density(w, k, g * PANEL + c * W, square[c], constant);
    }
}

static double normalize(gm_workspace *w, int *far_rows)
{
    real *gamma = REALS(w->gamma), *log_p = REALS(w->log_p), *scale = REALS(w->scale);
    const real *top = REALS(w->top), *weights = REALS(w->weights);
    for (int n = 0; n < GM_TILE; n += W)
        put(scale + n, splat(0));
    w->least = (double)DEAD;
    for (ptrdiff_t k = 0; k < w->K; k++) {
        bits count = as_bits(splat(0));
        for (int n = 0; n < GM_TILE; n += W) {
            real *g = gamma + k * GM_TILE + n;
            vec e = exp_negative(at(g) - at(top + n));
            put(g, e);
            put(scale + n, at(scale + n) + e);
            count -= above(e, splat(DEAD)); /* all ones are −1 */
        }
        word live = 0;
        for (int i = 0; i < W; i++)
            live += lane_bits(count, i);
        w->live[k] = (int)live;
    }
    for (int n = 0; n < GM_TILE; n += W) {
        put(log_p + n, at(top + n) + log_positive(at(scale + n)));
        put(scale + n, at(weights + n) / at(scale + n));
    }
    double part[4] = {0}; /* sums that need not wait for each other */
    *far_rows = 0;
    for (int n = 0; n < GM_TILE; n += 4)
        for (int i = 0; i < 4; i++) {
            int near = top[n + i] > FAR;
            part[i] += near ? (double)weights[n + i] * (double)log_p[n + i] : 0;
            *far_rows += !near && n + i < w->rows;
        }
    return (part[0] + part[1]) + (part[2] + part[3]);
}

/* Up to TINY features: samples along the lanes, all sums in registers. */
INLINE void moments_tiny(const int D, gm_workspace *w, ptrdiff_t k, const gm_sums *s)
{
    const real *gamma = REALS(w->gamma) + k * GM_TILE, *scale = REALS(w->scale), *m = s->reference;
    vec weight = splat(0), first[TINY], second[TINY][TINY];
    UNROLL for (int i = 0; i < D; i++) {
        first[i] = splat(0);
        UNROLL for (int j = 0; j <= i; j++)
            second[i][j] = splat(0);
    }
    for (int g = 0; g < PANELS; g++) {
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

/* Add vectors to a row of second moments. What falls above the diagonal is nobody's, but must not run over the row's end. */
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

/* A piece of second moments: samples 0 … count − 1, features i0 … i0 + R − 1 against `vectors` vectors from j0 on.
 * `rows` holds √γ (x − m) in panels of PANEL features, one panel after the other, each GM_TILE samples long. A single vector
 * would leave the arithmetic units waiting for their last sums, so that its samples are added in two ways. */
INLINE void add_piece(const int vectors, const real *rows, int count, ptrdiff_t i0, ptrdiff_t j0, ptrdiff_t D, double *second)
{
    const int ways = vectors == 1 ? 2 : 1;
    vec sum[2][R][COLUMNS];
    const real *a = rows + (i0 / PANEL) * PANEL * GM_TILE + i0 % PANEL, *b = rows + j0 * GM_TILE;
    UNROLL for (int h = 0; h < ways; h++)
        UNROLL for (int q = 0; q < R; q++)
            UNROLL for (int c = 0; c < vectors; c++)
                sum[h][q][c] = splat(0);
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

/* Gather √γ (x − m) of `count` rows into a panel: `vectors` vectors, of whose last only `end` numbers are features (what
 * stands beyond takes part in sums that are never stored). First moments on the way. */
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

/* From there on. A tile mostly alive is added at once; of others the live rows wait until they are many. */
static void moments_large(gm_workspace *w, ptrdiff_t k, const gm_sums *s)
{
    const real *gamma = REALS(w->gamma) + k * GM_TILE, *scale = REALS(w->scale);
    real roots[GM_TILE];
    vec weight = splat(0);
    for (int n = 0; n < GM_TILE; n += W) {
        bits counts = above(at(gamma + n), splat((real)w->least));
        vec share = as_vec(as_bits(at(gamma + n) * at(scale + n)) & counts);
        weight += share;
        put(roots + n, share);
    }
    *s->weight += sum_lanes(weight);
    for (int n = 0; n < GM_TILE; n++)
        roots[n] = DOUBLE ? (real)sqrt((double)roots[n]) : (real)sqrtf((float)roots[n]);
    if (w->live[k] * 2 > GM_TILE) {
        const char *row[GM_TILE];
        for (int n = 0; n < w->rows; n++)
            row[n] = w->x + n * w->stride;
        add_rows(w, row, roots, w->rows, s);
        return;
    }
    int count = w->pending_count[k];
    const char **row = w->pending_row + k * 2 * GM_TILE;
    real *root = REALS(w->pending_root) + k * 2 * GM_TILE;
    for (int n = 0; n < w->rows; n++)
        if (roots[n] > 0) {
            row[count] = w->x + n * w->stride;
            root[count++] = roots[n];
        }
    w->pending_count[k] = count;
    if (count >= GM_TILE)
        flush(w, k, s);
}

static void moments_full(gm_workspace *w, ptrdiff_t k, const gm_sums *s)
{
    if (!w->live[k])
        return;
    switch (w->D) {
    case 1: moments_tiny(1, w, k, s); break;
    case 2: moments_tiny(2, w, k, s); break;
    case 3: moments_tiny(3, w, k, s); break;
    case 4: moments_tiny(4, w, k, s); break;
    default: moments_large(w, k, s);
    }
}

static void moments_diag(gm_workspace *w, ptrdiff_t k, const gm_sums *s)
{
    const ptrdiff_t D = w->D;
    const real *gamma = REALS(w->gamma) + k * GM_TILE, *scale = REALS(w->scale), *m = s->reference;
    real share[GM_TILE];
    if (!w->live[k])
        return;
    vec weight = splat(0);
    for (int n = 0; n < GM_TILE; n += W) {
        put(share + n, at(gamma + n) * at(scale + n));
        weight += at(share + n);
    }
    *s->weight += sum_lanes(weight);
    for (ptrdiff_t d = 0; d < D; d++) {
        vec first[COLUMNS], second[COLUMNS];
        UNROLL for (int c = 0; c < COLUMNS; c++)
            first[c] = second[c] = splat(0);
        for (int g = 0; g < PANELS; g++)
            UNROLL for (int c = 0; c < COLUMNS; c++) {
                vec residual = at(REALS(w->panels) + (g * D + d) * PANEL + c * W) - m[d];
                vec product = at(share + g * PANEL + c * W) * residual;
                first[c] += product;
                second[c] += product * residual;
            }
        s->first[d] += sum_lanes(first[0] + first[1] + first[2]);
        s->second[d] += sum_lanes(second[0] + second[1] + second[2]);
    }
}

static void responsibilities(const gm_workspace *w, double *out, ptrdiff_t stride)
{
    const real *gamma = REALS(w->gamma), *scale = REALS(w->scale);
    for (int n = 0; n < w->rows; n++)
        for (ptrdiff_t k = 0; k < w->K; k++)
            out[n * stride + k] = (double)(gamma[k * GM_TILE + n] * scale[n]);
}

/* Where gamma is largest among the components, the first of several. */
static void largest(const gm_workspace *w, int32_t *label, double *value)
{
    const real *gamma = REALS(w->gamma);
    for (int n = 0; n < GM_TILE; n += PANEL) {
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

/* −½ |x − c|² for `count` of the points, beside each other so that a sample is loaded once for all of them. */
INLINE void add_distances(const int count, gm_workspace *w, ptrdiff_t k, const real *points)
{
    const ptrdiff_t D = w->D;
    for (int g = 0; g < PANELS; g++) {
        const real *x = REALS(w->panels) + g * D * PANEL;
        vec square[3][COLUMNS];
        UNROLL for (int q = 0; q < count; q++)
            UNROLL for (int c = 0; c < COLUMNS; c++)
                square[q][c] = splat(0);
        for (ptrdiff_t d = 0; d < D; d++)
            UNROLL for (int q = 0; q < count; q++) {
                vec point = splat(points[(k + q) * D + d]);
                UNROLL for (int c = 0; c < COLUMNS; c++) {
                    vec r = at(x + d * PANEL + c * W) - point;
                    square[q][c] += r * r;
                }
            }
        UNROLL for (int q = 0; q < count; q++)
            UNROLL for (int c = 0; c < COLUMNS; c++)
                put(REALS(w->gamma) + (k + q) * GM_TILE + g * PANEL + c * W, square[q][c] * (real)-0.5);
    }
}

static void distances(gm_workspace *w, const void *points)
{
    ptrdiff_t k = 0;
    for (; k + 3 <= w->K; k += 3)
        add_distances(3, w, k, points);
    for (; k < w->K; k++)
        add_distances(1, w, k, points);
}

static void exps(void *numbers, ptrdiff_t count)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        vec v = exp_negative(splat(REALS(numbers)[i]));
        REALS(numbers)[i] = lane(v, W - 1);
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
    .density_diag = density_diag,
    .normalize = normalize,
    .moments_full = moments_full,
    .moments_diag = moments_diag,
    .flush = flush,
    .responsibilities = responsibilities,
    .largest = largest,
    .distances = distances,
    .exps = exps,
    .logs = logs,
};
