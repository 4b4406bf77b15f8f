/* Types and functions for vectors of one number type `real` (GM_REAL) and one width (GM_VECTOR bytes).
 *
 * They use the vector extensions of GCC and Clang. Arithmetic is then written with the plain operators. A scalar beside a vector
 * stands for a vector of its copies. A comparison gives all ones or all zeros. Without the extensions (GM_VECTOR undefined) a vector
 * is one number.
 */
#ifndef GAUSSMIX_VECTOR_H
#define GAUSSMIX_VECTOR_H

#include <stdint.h>
#include <string.h>

typedef GM_REAL real;
typedef GM_BITS word; /* an unsigned integer as wide as a real */

#define DOUBLE (sizeof(real) == 8)

#ifdef GM_VECTOR

#ifdef __x86_64__
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Makes the compiler forget what it knows of the memory at p. It then loads the numbers there again, as operands of operations,
 * instead of keeping them in registers that the sums need. */
#define FORGET(p) __asm__("" : "+r"(p))

#define PREFETCH(p) __builtin_prefetch(p, 0, 2)

typedef real vec __attribute__((vector_size(GM_VECTOR)));
typedef real vec_anywhere __attribute__((vector_size(GM_VECTOR), aligned(sizeof(real)), may_alias));
typedef word bits __attribute__((vector_size(GM_VECTOR)));
enum { W = GM_VECTOR / sizeof(real) };

INLINE vec at(const real *p) { return *(const vec_anywhere *)p; }
INLINE void put(real *p, vec v) { *(vec_anywhere *)p = v; }
INLINE vec splat(real x) { return x - (vec){0}; } /* not plus, as −0 + 0 is not −0 */
/* The first `count` numbers at p, fewer than W, and no others: the memory behind them may not be readable. */
INLINE vec first_few(const real *p, int count)
{
#if defined(__AVX512F__) && GM_VECTOR == 64
    return DOUBLE ? (vec)_mm512_maskz_loadu_pd((__mmask8)((1u << count) - 1), p)
                  : (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
#elif defined(__AVX2__) && GM_VECTOR == 32
    static const int32_t ones_then_zeros[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    __m256i mask = _mm256_loadu_si256((const __m256i *)(ones_then_zeros + 8 - count * (DOUBLE ? 2 : 1)));
    return DOUBLE ? (vec)_mm256_maskload_pd((const double *)p, mask) : (vec)_mm256_maskload_ps((const float *)p, mask);
#else
    vec v = {0};
    for (int i = 0; i < count; i++)
        v[i] = p[i];
    return v;
#endif
}
/* The numbers at index i of W arrays. */
INLINE vec gathered(const real *const *p, ptrdiff_t i)
{
    vec v;
    UNROLL for (int l = 0; l < W; l++)
        v[l] = p[l][i];
    return v;
}
/* The larger of two; b where either is NaN. */
INLINE vec larger(vec a, vec b)
{
#if defined(__AVX512F__) && GM_VECTOR == 64
    return DOUBLE ? (vec)_mm512_max_pd((__m512d)a, (__m512d)b) : (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__) && GM_VECTOR == 32
    return DOUBLE ? (vec)_mm256_max_pd((__m256d)a, (__m256d)b) : (vec)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__x86_64__) && GM_VECTOR == 16
    return DOUBLE ? (vec)_mm_max_pd((__m128d)a, (__m128d)b) : (vec)_mm_max_ps((__m128)a, (__m128)b);
#else
    bits m = (bits)(a > b);
    return (vec)(((bits)a & m) | ((bits)b & ~m));
#endif
}
/* All ones where a > b, zero elsewhere. */
INLINE bits above(vec a, vec b) { return (bits)(a > b); }
/* Whether all lanes are all ones. */
INLINE int everywhere(bits b)
{
#if defined(__AVX512F__) && GM_VECTOR == 64
    return _mm512_cmpeq_epi64_mask((__m512i)b, _mm512_set1_epi64(-1)) == 0xff;
#elif defined(__AVX2__) && GM_VECTOR == 32
    return _mm256_movemask_epi8((__m256i)b) == -1;
#elif defined(__x86_64__) && GM_VECTOR == 16
    return _mm_movemask_epi8((__m128i)b) == 0xffff;
#else
    word all = (word)-1;
    for (int i = 0; i < W; i++)
        all &= b[i];
    return all == (word)-1;
#endif
}
INLINE bits as_bits(vec a) { return (bits)a; }
INLINE vec as_vec(bits a) { return (vec)a; }
INLINE real lane(vec v, int i) { return v[i]; }
INLINE word lane_bits(bits b, int i) { return b[i]; }

#else

#define INLINE static inline
#define UNROLL
#define FORGET(p) (void)0
#define PREFETCH(p) (void)0

typedef real vec;
typedef word bits;
enum { W = 1 };

INLINE vec at(const real *p) { return *p; }
INLINE void put(real *p, vec v) { *p = v; }
INLINE vec splat(real x) { return x; }
INLINE vec first_few(const real *p, int count)
{
    (void)count;
    return *p;
}
INLINE vec gathered(const real *const *p, ptrdiff_t i) { return p[0][i]; }
INLINE vec larger(vec a, vec b) { return a > b ? a : b; }
INLINE bits above(vec a, vec b) { return a > b ? (bits)-1 : 0; }
INLINE int everywhere(bits b) { return b == (bits)-1; }
INLINE bits as_bits(vec a)
{
    bits b;
    memcpy(&b, &a, sizeof b);
    return b;
}
INLINE vec as_vec(bits b)
{
    vec a;
    memcpy(&a, &b, sizeof a);
    return a;
}
INLINE real lane(vec v, int i)
{
    (void)i;
    return v;
}
INLINE word lane_bits(bits b, int i)
{
    (void)i;
    return b;
}

#endif

INLINE double sum_lanes(vec v)
{
    real part[W];
    put(part, v);
    UNROLL for (int half = W / 2; half; half /= 2)
        UNROLL for (int i = 0; i < half; i++)
            part[i] += part[i + half];
    return (double)part[0];
}

/* The lower half of a vector plus its upper half, down to 32 bytes. */
#if defined(__AVX512F__) && GM_VECTOR == 64
typedef real short_vec __attribute__((vector_size(32)));
INLINE short_vec folded(vec v)
{
    return (short_vec)_mm512_castpd512_pd256((__m512d)v) + (short_vec)_mm512_extractf64x4_pd((__m512d)v, 1);
}
#elif defined(__AVX2__) && GM_VECTOR == 32
typedef vec short_vec;
INLINE short_vec folded(vec v) { return v; }
#endif

/* Add the lanes of `count` vectors, each to its own double. */
INLINE void add_lanes(const int count, const vec *v, double *sums)
{
#if (defined(__AVX512F__) && GM_VECTOR == 64) || (defined(__AVX2__) && GM_VECTOR == 32)
    if (count == 4) { /* all four together, in a third of the operations */
        short_vec h[4];
        UNROLL for (int i = 0; i < 4; i++)
            h[i] = folded(v[i]);
        __m256d total;
        if (DOUBLE) {
            __m256d a = _mm256_hadd_pd((__m256d)h[0], (__m256d)h[1]), b = _mm256_hadd_pd((__m256d)h[2], (__m256d)h[3]);
            total = _mm256_add_pd(_mm256_permute2f128_pd(a, b, 0x20), _mm256_permute2f128_pd(a, b, 0x31));
        } else {
            __m256 a = _mm256_hadd_ps((__m256)h[0], (__m256)h[1]), b = _mm256_hadd_ps((__m256)h[2], (__m256)h[3]);
            a = _mm256_hadd_ps(a, b);
            total = _mm256_cvtps_pd(_mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1)));
        }
        _mm256_storeu_pd(sums, _mm256_add_pd(_mm256_loadu_pd(sums), total));
        return;
    }
#endif
    UNROLL for (int i = 0; i < count; i++)
        sums[i] += sum_lanes(v[i]);
}

#endif
