/* The innermost loops: the work on one tile of rows, for one number type and one instruction set.
 *
 * A tile is up to GM_TILE rows. The E step has one sample in each lane of a vector, so that a tile is first transposed into panels of
 * three vectors: panel g holds x[d][sample] for every feature d of its samples, and the panels follow each other. The last panel is
 * filled up with copies of the last row, which have weight zero. docs/core.md has a drawing of this, and lists in which order kernels
 * are called and what each of them sets.
 *
 * `void *` stands for float * or double *. Each of the two types has a table of kernels of its own. Sums are always double.
 */
#ifndef GAUSSMIX_KERNELS_H
#define GAUSSMIX_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* A multiple of every panel width, and small enough that a tile of a hundred features stays in the second-level cache. */
#define GM_TILE 192

/* The most samples that a panel has, and the most features that it has in the M step. */
#define GM_WIDEST_PANEL 48

/* One thread's memory for a pass, and the tile that it works on. */
typedef struct {
    ptrdiff_t D, K;
    int rows;           /* how many samples of the tile are rows */
    int padded;         /* how many samples its panels hold */
    const char *x;      /* the first row, and the distance between rows in bytes */
    ptrdiff_t stride;
    void *panels;       /* D × GM_TILE: the tile, transposed */
    void *scratch;      /* (D + GM_WIDEST_PANEL) × GM_TILE: residuals, padded to whole panels */
    void *gamma;        /* K × GM_TILE: first log2 π_k N(x_n); after `normalize`, gamma times `scale` is w_n γ_nk */
    void *top;          /* GM_TILE: the largest log2 π_k N(x_n) of each sample */
    void *bound;        /* GM_TILE: the largest of the bounds of each sample's log2 π_k N(x_n) */
    void *likeliest;    /* GM_TILE integers as wide as a real: the component with that bound */
    uint64_t *likely;   /* K: a bit for each panel in which this is the likeliest component of some sample */
    double spared;      /* what bounds spared: the sum of D² − i² over samples and components, where i of the D rows were computed */
    void *scale;        /* GM_TILE: w_n over the sum of gamma over components */
    void *log_p;        /* GM_TILE: ln p(x_n) */
    double least;       /* gamma counts as zero up to this */
    void *weights;      /* GM_TILE: w_n, zero for the copies that fill the last panel; the caller sets them */
    int sum_only;       /* the caller promises: all weights are one, there are no copies, and only the sum of log_p is wanted */
    /* Rows that wait until there are enough of them to update second moments; 2 · GM_TILE places for each component. */
    const char **pending_row;
    void *pending_root; /* √(w_n γ_nk) */
    int *pending_count; /* K */
} gm_workspace;

/* One component's sums, about `reference`: weight, first (D), second (D × D lower triangle, or D). */
typedef struct {
    const void *reference;
    double *weight, *first, *second;
} gm_sums;

/* A function that fills row k of gamma from one component's mean, factor, offset and constant. */
typedef void (*gm_density)(gm_workspace *w, ptrdiff_t k, const void *mean, const void *factor, const void *offset,
                           double constant);

typedef struct {
    /* Load `rows` rows at `x`, `stride` bytes apart, into the workspace's tile. */
    void (*load)(gm_workspace *w, const char *x, ptrdiff_t stride, int rows);

    /* Row k of gamma: log2 π_k N(x | μ_k, Σ_k) = constant − |factor (x − mean) + offset|²; factor lower triangular D × D. */
    gm_density density_full;
    /* The same in four steps, where each sample is near to few components only. It needs 16 features or more, as the first step takes
     * up to 15 rows of a factor. The square of these rows of the whitened residual bounds the density from above (bound_full, for all
     * k). These bounds tell each sample's likeliest component (find_likely), whose density is then computed (density_likely, for all
     * k). The other densities are computed (density_rest, for all k) until it is certain that none in a panel counts. For those gamma
     * keeps the bound. Densities that count have the same bits as from density_full. */
    gm_density bound_full;
    void (*find_likely)(gm_workspace *w);
    gm_density density_likely;
    gm_density density_rest;
    /* density_full with a diagonal factor of D numbers. */
    gm_density density_diag;

    /* From log-densities to responsibilities (5) and, unless sum_only, log_p, in nats; returns Σ_n w_n ln p(x_n) (6). *far_rows tells
     * whether there are samples whose densities have all left the range of their number type. These are left out, and the caller
     * computes them. */
    double (*normalize)(gm_workspace *w, int *far_rows);

    /* Add component k's moments of the tile. Where few samples count, these may wait in the workspace until `flush`. */
    void (*moments_full)(gm_workspace *w, ptrdiff_t k, const gm_sums *sums);
    void (*moments_diag)(gm_workspace *w, ptrdiff_t k, const gm_sums *sums);
    void (*flush)(gm_workspace *w, ptrdiff_t k, const gm_sums *sums);

    /* γ_nk of the tile's rows, `stride` doubles apart, where the weights are one. */
    void (*responsibilities)(const gm_workspace *w, double *out, ptrdiff_t stride);
    /* The component with the largest gamma, and that gamma, for each of GM_TILE samples. */
    void (*largest)(const gm_workspace *w, int32_t *label, double *value);
    /* Row k of gamma: −½ |x − c_k|² for K points. */
    void (*distances)(gm_workspace *w, const void *points);
    /* Add w_n (x_n − c_k) and w_n of each row of the tile to `first` (K × D) and `weight` (K), k being its label; NULL for w_n = 1. */
    void (*residuals)(const gm_workspace *w, const int32_t *label, const double *weights, const void *points, double *first,
                      double *weight);

    /* In place, for tests: 2^x of numbers ≤ 0, and ln of positive normal numbers. */
    void (*exps)(void *numbers, ptrdiff_t count);
    void (*logs)(void *numbers, ptrdiff_t count);
} gm_kernels;

/* A log-density at or below this belongs to a row so far out that squares overflow or nearly do. Four times this number is still
 * finite. */
#define GM_FAR_DOUBLE (-1e300)
#define GM_FAR_SINGLE (-1e37)

#endif
