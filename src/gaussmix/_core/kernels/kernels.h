/* The innermost loops: what is done to one tile of rows, for one number type and one instruction set.
 *
 * A tile is GM_TILE rows. Its residuals and densities are worked on with samples along the vector lanes, so a tile is first
 * transposed into panels of `lanes` samples each: panel g holds x[d][lane] for every feature d, and the tile's
 * GM_TILE / lanes panels follow each other. A tile with fewer rows is filled up with copies of its last row, which take part with
 * weight zero.
 *
 * All `real` pointers point to float or to double, as the table's `size` says; sums are double always.
 */
#ifndef GAUSSMIX_KERNELS_H
#define GAUSSMIX_KERNELS_H

#include <stddef.h>

#define GM_TILE 96

typedef struct {
    const char *isa;   /* name of the instruction set */
    size_t size;       /* bytes in a real */
    int lanes;         /* samples in a panel */

    /* Transpose `rows` rows of D features, `stride` bytes apart, into panels. */
    void (*load)(const void *x, ptrdiff_t stride, int rows, ptrdiff_t D, void *panels);

    /* ln π_k N(x | μ_k, Σ_k) of a tile: constant − ½ |factor (x − mean) − offset|², factor lower triangular D × D. */
    void (*density_full)(const void *panels, ptrdiff_t D, const void *mean, const void *factor, const void *offset,
                         double constant, void *log_density);
    /* The same with a diagonal factor of D numbers. */
    void (*density_diag)(const void *panels, ptrdiff_t D, const void *mean, const void *factor, const void *offset,
                         double constant, void *log_density);

    /* Turn K rows of ln π_k N into w_n γ_nk in place (5), write each sample's ln p(x_n) to log_p, and return their weighted
     * sum (6). `weights` has GM_TILE numbers, zero for the samples that fill up the tile. Returns in *far_rows how
     * many of the first `rows` samples have left the range of their number type: those are left for the caller. */
    double (*normalize)(void *log_density, ptrdiff_t K, int rows, const double *weights, void *log_p, int *far_rows);

    /* Add one component's moments of a tile about `reference`: weight, first (D), second (D × D lower triangle, or D). */
    void (*moments_full)(const void *panels, ptrdiff_t D, const void *reference, const void *gamma, double *weight,
                         double *first, double *second);
    void (*moments_diag)(const void *panels, ptrdiff_t D, const void *reference, const void *gamma, double *weight,
                         double *first, double *second);
} gm_kernels;

/* The kernels in use for reals of `size` bytes (4 or 8). */
const gm_kernels *gm_kernels_for(size_t size);

#endif
