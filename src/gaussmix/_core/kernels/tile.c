/* The kernels of kernels.h for one number type: compiled with GM_REAL = float or double and GM_NAME, the table's name. */
#include "kernels.h"

#include <float.h>
#include <math.h>
#include <string.h>

typedef GM_REAL real;

enum { LANES = 8, PANELS = GM_TILE / LANES };

/* Log-densities at or below this are those of rows so far out that squares overflow: the caller treats them. */
static const real FAR = sizeof(real) == 8 ? (real)-1e300 : (real)-1e37f;

static void load(const void *x, ptrdiff_t stride, int rows, ptrdiff_t D, void *panels)
{
    real *panel = panels;
    for (int n = 0; n < GM_TILE; n++) {
        const real *row = (const real *)((const char *)x + (n < rows ? n : rows - 1) * stride);
        real *column = panel + (n / LANES) * D * LANES + n % LANES;
        for (ptrdiff_t d = 0; d < D; d++)
            column[d * LANES] = row[d];
    }
}

static void store_log_density(const real *square, double constant, real *log_density)
{
    for (int l = 0; l < LANES; l++) {
        real value = (real)constant - square[l] / 2;
        log_density[l] = value > 4 * FAR ? value : 4 * FAR; /* also where the square is NaN: ∞ − ∞ */
    }
}

static void density_full(const void *panels, ptrdiff_t D, const void *mean, const void *factor, const void *offset,
                         double constant, void *log_density)
{
    const real *m = mean, *z = offset;
    for (int g = 0; g < PANELS; g++) {
        const real *x = (const real *)panels + g * D * LANES;
        real square[LANES] = {0};
        for (ptrdiff_t i = 0; i < D; i++) {
            const real *row = (const real *)factor + i * D;
            real y[LANES];
            for (int l = 0; l < LANES; l++)
                y[l] = -z[i];
            for (ptrdiff_t j = 0; j <= i; j++)
                for (int l = 0; l < LANES; l++)
                    y[l] += row[j] * (x[j * LANES + l] - m[j]);
            for (int l = 0; l < LANES; l++)
                square[l] += y[l] * y[l];
        }
        store_log_density(square, constant, (real *)log_density + g * LANES);
    }
}

static void density_diag(const void *panels, ptrdiff_t D, const void *mean, const void *factor, const void *offset,
                         double constant, void *log_density)
{
    const real *m = mean, *f = factor, *z = offset;
    for (int g = 0; g < PANELS; g++) {
        const real *x = (const real *)panels + g * D * LANES;
        real square[LANES] = {0};
        for (ptrdiff_t d = 0; d < D; d++)
            for (int l = 0; l < LANES; l++) {
                real y = f[d] * (x[d * LANES + l] - m[d]) - z[d];
                square[l] += y * y;
            }
        store_log_density(square, constant, (real *)log_density + g * LANES);
    }
}

static double normalize(void *log_density, ptrdiff_t K, int rows, const double *weights, void *log_p, int *far_rows)
{
    real *gamma = log_density, *logs = log_p;
    double total = 0;
    *far_rows = 0;
    for (int n = 0; n < GM_TILE; n++) {
        real top = gamma[n], sum = 0;
        for (ptrdiff_t k = 1; k < K; k++)
            top = gamma[k * GM_TILE + n] > top ? gamma[k * GM_TILE + n] : top;
        if (n < rows && !(top > FAR))
            ++*far_rows;
        for (ptrdiff_t k = 0; k < K; k++)
            sum += gamma[k * GM_TILE + n] = (real)exp(gamma[k * GM_TILE + n] - top);
        for (ptrdiff_t k = 0; k < K; k++)
            gamma[k * GM_TILE + n] *= (real)(weights[n] / sum);
        logs[n] = (real)(top + log(sum));
        if (weights[n] > 0)
            total += weights[n] * (top + log(sum));
    }
    return total;
}

static void moments_full(const void *panels, ptrdiff_t D, const void *reference, const void *gamma, double *weight,
                         double *first, double *second)
{
    const real *m = reference;
    for (int g = 0; g < PANELS; g++) {
        const real *x = (const real *)panels + g * D * LANES;
        const real *responsibility = (const real *)gamma + g * LANES;
        for (int l = 0; l < LANES; l++)
            *weight += responsibility[l];
        for (ptrdiff_t i = 0; i < D; i++) {
            real product[LANES];
            for (int l = 0; l < LANES; l++)
                product[l] = responsibility[l] * (x[i * LANES + l] - m[i]);
            for (int l = 0; l < LANES; l++)
                first[i] += product[l];
            for (ptrdiff_t j = 0; j <= i; j++) {
                double sum = 0;
                for (int l = 0; l < LANES; l++)
                    sum += product[l] * (x[j * LANES + l] - m[j]);
                second[i * D + j] += sum;
            }
        }
    }
}

static void moments_diag(const void *panels, ptrdiff_t D, const void *reference, const void *gamma, double *weight,
                         double *first, double *second)
{
    const real *m = reference;
    for (int g = 0; g < PANELS; g++) {
        const real *x = (const real *)panels + g * D * LANES;
        const real *responsibility = (const real *)gamma + g * LANES;
        for (int l = 0; l < LANES; l++)
            *weight += responsibility[l];
        for (ptrdiff_t i = 0; i < D; i++)
            for (int l = 0; l < LANES; l++) {
                real residual = x[i * LANES + l] - m[i];
                first[i] += responsibility[l] * residual;
                second[i] += responsibility[l] * residual * residual;
            }
    }
}

const gm_kernels GM_NAME = {
    "plain", sizeof(real), LANES, load, density_full, density_diag, normalize, moments_full, moments_diag,
};
