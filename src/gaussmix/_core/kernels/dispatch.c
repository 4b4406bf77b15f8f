/* The choice of kernels: the widest instruction set that was compiled and that both the CPU and the operating system support. */
#include "dispatch.h"

#include <string.h>

#define DECLARE(isa) extern const gm_kernels gm_##isa##_f32, gm_##isa##_f64;
#define ENTRY(isa, offered) { #isa, offered, &gm_##isa##_f32, &gm_##isa##_f64 },

#if defined(__x86_64__) && defined(GM_HAVE_WIDE)
#include <cpuid.h>

/* Which register files the operating system saves: XCR0 bits 1, 2 for AVX, 5 to 7 more for AVX-512. */
static unsigned saved_state(void)
{
    unsigned a, d;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return a;
}

static int has_avx2(void)
{
    unsigned a, b, c, d, osxsave_fma_avx = 1u << 27 | 1u << 12 | 1u << 28;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & osxsave_fma_avx) != osxsave_fma_avx || (saved_state() & 0x6) != 0x6)
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 5);
}

static int has_avx512(void)
{
    unsigned a, b, c, d, f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    return has_avx2() && (saved_state() & 0xe6) == 0xe6 && __get_cpuid_count(7, 0, &a, &b, &c, &d)
        && (b & f_dq_bw_vl) == f_dq_bw_vl;
}
#endif

static int always(void) { return 1; }

typedef struct {
    const char *isa;
    int (*offered)(void);
    const gm_kernels *single, *twice;
} kernel_set;

DECLARE(baseline)
#if defined(__x86_64__) && defined(GM_HAVE_WIDE)
DECLARE(avx2)
DECLARE(avx512)
#endif

/* Narrowest first. */
static const kernel_set sets[] = {
    ENTRY(baseline, always)
#if defined(__x86_64__) && defined(GM_HAVE_WIDE)
    ENTRY(avx2, has_avx2)
    ENTRY(avx512, has_avx512)
#endif
};

enum { SETS = sizeof sets / sizeof *sets };

const char *gm_isa(int i)
{
    return i >= 0 && i < SETS && sets[i].offered() ? sets[i].isa : NULL;
}

const gm_kernels *gm_kernels_of(const char *isa, size_t size)
{
    for (int i = 0; i < SETS; i++)
        if (strcmp(sets[i].isa, isa) == 0 && sets[i].offered())
            return size == sizeof(float) ? sets[i].single : sets[i].twice;
    return NULL;
}
