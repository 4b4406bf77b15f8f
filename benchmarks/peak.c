/* The best rate of fused multiply-adds: independent chains in registers, nothing read from memory. */

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#define CHAINS 12 /* at least latency times units (4 to 5, times 2); together with two constants they fit 16 registers */

typedef double doubles __attribute__((vector_size(BYTES)));
typedef float floats __attribute__((vector_size(BYTES)));

#define PEAK(NAME, VECTOR, REAL)                                                       \
    double NAME(long repeats) /* returns the number of operations done */              \
    {                                                                                  \
        VECTOR chain[CHAINS], factor, addend, sum;                                     \
        for (int i = 0; i < (int)(BYTES / sizeof(REAL)); i++) {                        \
            factor[i] = (REAL)0.5, addend[i] = (REAL)(1 + i);                          \
        }                                                                              \
        for (int c = 0; c < CHAINS; c++) chain[c] = addend * (REAL)c;                  \
        for (long r = 0; r < repeats; r++) {                                           \
            _Pragma("GCC unroll 12") for (int c = 0; c < CHAINS; c++)                  \
                chain[c] = chain[c] * factor + addend;                                 \
        }                                                                              \
        sum = chain[0];                                                                \
        for (int c = 1; c < CHAINS; c++) sum += chain[c];                              \
        volatile REAL kept = sum[0];                                                   \
        (void)kept;                                                                    \
        return 2.0 * repeats * CHAINS * (BYTES / sizeof(REAL));                        \
    }

PEAK(peak_double, doubles, double)
PEAK(peak_float, floats, float)
