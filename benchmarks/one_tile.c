/* The kernels of tile.c on one tile, each called by its name as often as one likes. one_tile.py compiles this file for an instruction
 * set and a number type, and reaches what belongs to a tile by the names that kernels.h gives it.
 */
#include "tile.c"

#include <stdlib.h>

/* A tile, the arguments of the kernels, and what they return. */
typedef struct {
    gm_workspace w;
    gm_sums sums;
    const void *mean, *factor, *offset, *points;
    double constant;
    const double *row_weights; /* of `residuals` */
    int32_t *label;
    double *value;
    double *out; /* of `responsibilities`, K numbers a row */
    double total;
    int far_rows;
    const void *kept; /* K × GM_TILE: log-densities, for `restore` */
    void *numbers; /* of `exps` and `logs` */
    ptrdiff_t count;
} one_tile;

one_tile *new_tile(void) { return calloc(1, sizeof(one_tile)); }

void free_tile(one_tile *t) { free(t); }

/* The address of a member of the tile; NULL where no member has this name. */
void *member(one_tile *t, const char *name)
{
#define WORKSPACE(of) {#of, offsetof(one_tile, w.of)}
#define SUMS(of) {#of, offsetof(one_tile, sums.of)}
#define OWN(of) {#of, offsetof(one_tile, of)}
    static const struct {
        const char *name;
        size_t place;
    } members[] = {
        WORKSPACE(D), WORKSPACE(K), WORKSPACE(rows), WORKSPACE(padded), WORKSPACE(x), WORKSPACE(stride), WORKSPACE(panels),
        WORKSPACE(scratch), WORKSPACE(gamma), WORKSPACE(top), WORKSPACE(bound), WORKSPACE(likeliest), WORKSPACE(likely),
        WORKSPACE(spared), WORKSPACE(scale), WORKSPACE(log_p), WORKSPACE(least), WORKSPACE(weights), WORKSPACE(sum_only),
        WORKSPACE(pending_row), WORKSPACE(pending_root), WORKSPACE(pending_count), SUMS(reference), SUMS(weight), SUMS(first),
        SUMS(second), OWN(mean), OWN(factor), OWN(offset), OWN(points), OWN(constant), OWN(row_weights), OWN(label), OWN(value),
        OWN(out), OWN(total), OWN(far_rows), OWN(kept), OWN(numbers), OWN(count),
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (strcmp(name, members[i].name) == 0)
            return (char *)t + members[i].place;
    return NULL;
}

const int lanes = W, widest_panel = GM_WIDEST_PANEL;

/* The moments kernels, of which moments_full would choose one. */
static void tiny(gm_workspace *w, ptrdiff_t k, const gm_sums *s)
{
    switch (w->D) {
    case 1: moments_tiny(1, w, k, s); return;
    case 2: moments_tiny(2, w, k, s); return;
    case 3: moments_tiny(3, w, k, s); return;
    case 4: moments_tiny(4, w, k, s); return;
    }
}

static void bands(gm_workspace *w, ptrdiff_t k, const gm_sums *s)
{
    real share[GM_TILE];
    live_shares(w, k, share, s);
    moments_bands(w, share, s);
}

static void dense(gm_workspace *w, ptrdiff_t k, const gm_sums *s)
{
    real share[GM_TILE];
    live_shares(w, k, share, s);
    moments_dense(w, share, s);
}

static void sparse(gm_workspace *w, ptrdiff_t k, const gm_sums *s)
{
    real share[GM_TILE];
    live_shares(w, k, share, s);
    moments_sparse(w, k, share, s);
}

/* Restores what normalize has overwritten. */
static void restore(one_tile *t) { memcpy(t->w.gamma, t->kept, (size_t)t->w.K * GM_TILE * sizeof(real)); }

/* Every kernel with the tile's arguments, for component k. */
#define KERNELS \
    KERNEL(load, load(w, w->x, w->stride, w->rows)) \
    KERNEL(density_full, density_full(w, k, t->mean, t->factor, t->offset, t->constant)) \
    KERNEL(bound_full, bound_full(w, k, t->mean, t->factor, t->offset, t->constant)) \
    KERNEL(find_likely, find_likely(w)) \
    KERNEL(density_likely, density_likely(w, k, t->mean, t->factor, t->offset, t->constant)) \
    KERNEL(density_rest, density_rest(w, k, t->mean, t->factor, t->offset, t->constant)) \
    KERNEL(density_diag, density_diag(w, k, t->mean, t->factor, t->offset, t->constant)) \
    KERNEL(restore, restore(t)) \
    KERNEL(normalize, t->total = normalize(w, &t->far_rows)) \
    KERNEL(restore_and_normalize, (restore(t), t->total = normalize(w, &t->far_rows))) \
    KERNEL(moments_full, moments_full(w, k, &t->sums)) \
    KERNEL(tiny, tiny(w, k, &t->sums)) \
    KERNEL(bands, bands(w, k, &t->sums)) \
    KERNEL(dense, dense(w, k, &t->sums)) \
    KERNEL(sparse, sparse(w, k, &t->sums)) \
    KERNEL(flush, flush(w, k, &t->sums)) \
    KERNEL(moments_diag, moments_diag(w, k, &t->sums)) \
    KERNEL(responsibilities, responsibilities(w, t->out, w->K)) \
    KERNEL(largest, largest(w, t->label, t->value)) \
    KERNEL(distances, distances(w, t->points)) \
    KERNEL(residuals, residuals(w, t->label, t->row_weights, t->points, t->sums.first, t->sums.weight)) \
    KERNEL(exps, exps(t->numbers, t->count)) \
    KERNEL(logs, logs(t->numbers, t->count))

#define KERNEL(name, expression) \
    static void call_##name(one_tile *t, ptrdiff_t k) \
    { \
        gm_workspace *w = &t->w; \
        (void)w, (void)k; \
        expression; \
    }
KERNELS
#undef KERNEL

static const struct {
    const char *name;
    void (*call)(one_tile *, ptrdiff_t);
} kernels[] = {
#define KERNEL(name, _) {#name, call_##name},
    KERNELS
#undef KERNEL
};

/* The processor's time stamp, which counts at one rate whatever its clock does; 0 where there is none. */
static uint64_t time_stamp(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

/* Call the kernel of this name `times` times; return by how much the time stamp grew, or −1 where no kernel has this name. */
int64_t call(one_tile *t, const char *name, ptrdiff_t k, int64_t times)
{
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (strcmp(name, kernels[i].name) == 0) {
            uint64_t begin = time_stamp();
            for (int64_t n = 0; n < times; n++)
                kernels[i].call(t, k);
            return (int64_t)(time_stamp() - begin);
        }
    return -1;
}
