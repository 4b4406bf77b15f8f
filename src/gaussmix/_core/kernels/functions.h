/* 2^x and ln x of vectors, within 2 units in the last place; no call into libm.
 *
 * The polynomials interpolate at Chebyshev nodes; their coefficients were computed in 60 digits, and their own error is
 * 2.7e-17 and 4.5e-18 (double), 8.6e-9 and 2.8e-9 (float), relative. Even and odd powers, or pairs of them, are evaluated side by
 * side. Horner's scheme is one chain of dependent operations, for which the arithmetic units would have to wait.
 */
#ifndef GAUSSMIX_FUNCTIONS_H
#define GAUSSMIX_FUNCTIONS_H

#include "vector.h"

/* 2^x of `count` vectors in place, for x ≤ 0. Results go down through the subnormal numbers to zero; NaN gives 0.
 *
 * x = n + r with |r| ≤ ½, exactly. Adding 1.5 · 2^(fraction bits) + B leaves n + B in the lowest bits, from where a shift puts it
 * into the exponent. The result is multiplied by 2^−B, so that 2^n need not be normal and the result is rounded once. Where the
 * result is zero, as for most pairs of clustered data, this product is not computed, as underflow is slow on many machines.
 *
 * The 1 is added last, so that results below 1 are not rounded as coarsely as those above. Every step is done for all vectors before
 * the next step. One chain of dependent operations after the other would fill the processor's queue with waiting operations.
 */
INLINE void exp2_negative(const int count, vec *x)
{
#define EACH UNROLL for (int c = 0; c < count; c++)
#define NEXT(a, b) EACH p[c] = (real)(a) + r2[c] * p[c]; EACH q[c] = (real)(b) + r2[c] * q[c]
    vec t[COLUMNS], r2[COLUMNS], p[COLUMNS], q[COLUMNS];
    if (DOUBLE) {
        const double magic = 6755399441055744.0 + 64; /* 1.5 · 2^52 */
        EACH x[c] = larger(x[c], splat((real)-1080.0));
        EACH t[c] = x[c] + (real)magic;
        EACH x[c] -= t[c] - (real)magic;
        EACH r2[c] = x[c] * x[c];
        EACH p[c] = (real)1.0178067267449427e-07 + r2[c] * (real)4.45410341058704e-10;
        EACH q[c] = (real)1.3215451633221434e-06 + r2[c] * (real)7.070977866508138e-09;
        NEXT(1.5252733820795803e-05, 0.00015403530424776529);
        NEXT(0.0013333558146423213, 0.009618129107618665);
        NEXT(0.05550410866482158, 0.24022650695910075);
        EACH p[c] = (real)0.6931471805599453 + r2[c] * p[c];
        EACH p[c] += x[c] * q[c];
        EACH p[c] = (real)1.0 + x[c] * p[c];
        EACH p[c] = as_vec(as_bits(p[c]) + (as_bits(t[c]) << (DOUBLE ? 52 : 0)));
        EACH x[c] = as_vec(as_bits(p[c]) & above(t[c], splat((real)(magic - 1076.0)))) * (real)5.421010862427522e-20; /* 2^-64 */
    } else {
        const float magic = 12582912.0f + 32; /* 1.5 · 2^23 */
        EACH x[c] = larger(x[c], splat((real)-152.0f));
        EACH t[c] = x[c] + (real)magic;
        EACH x[c] -= t[c] - (real)magic;
        EACH r2[c] = x[c] * x[c];
        EACH p[c] = splat((real)0.0013381302123889327f);
        EACH q[c] = (real)0.009618103504180908f + r2[c] * (real)0.00015444883320014924f;
        NEXT(0.055503811687231064f, 0.24022650718688965f);
        EACH p[c] = (real)0.6931471824645996f + r2[c] * p[c];
        EACH p[c] += x[c] * q[c];
        EACH p[c] = (real)1.0f + x[c] * p[c];
        EACH p[c] = as_vec(as_bits(p[c]) + (as_bits(t[c]) << (DOUBLE ? 0 : 23)));
        EACH x[c] = as_vec(as_bits(p[c]) & above(t[c], splat((real)(magic - 151.0f)))) * (real)2.3283064365386963e-10f; /* 2^-32 */
    }
#undef NEXT
#undef EACH
}

/* ln x of positive normal numbers.
 *
 * x = 2^n m with m in [√½, √2), and ln m = 2 s + s³ R(s²) with s = (m − 1) / (m + 1). n comes out of the exponent by
 * the same trick as in exp: as the low bits of a large number.
 */
INLINE vec log_positive(vec x)
{
    if (DOUBLE) {
        const double ln2_high = 0.6931471803691238, ln2_low = 1.9082149292705877e-10;
        bits b = as_bits(x) - (word)0x3fe6a09e667f3bcdull; /* √½: the exponent of what is left is n, without bias */
        bits n_bits = (b + ((word)1024 << (DOUBLE ? 52 : 0))) >> (DOUBLE ? 52 : 0);
        vec n = as_vec(n_bits | (word)0x4330000000000000ull) - (real)4503599627371520.0; /* 2^52 + 1024 */
        vec m = as_vec((b & (word)0x000fffffffffffffull) + (word)0x3fe6a09e667f3bcdull);
        vec f = m - (real)1.0;
        vec s = f / (m + (real)1.0), u = s * s, u2 = u * u;
        vec p = ((real)0.66666666666666697 + u * (real)0.39999999999899382)
            + u2 * ((real)0.28571428626031067 + u * (real)0.22222211125722809)
            + (u2 * u2) * (((real)0.18182889786191043 + u * (real)0.15331699633543859) + u2 * (real)0.14616721179861816);
        return n * (real)ln2_high + ((s + s) + (s * u * p + n * (real)ln2_low));
    } else {
        const float ln2_high = 0.693359375f, ln2_low = -0.00021219444005469057f;
        bits b = as_bits(x) - (word)0x3f3504f3u;
        bits n_bits = (b + ((word)128 << (DOUBLE ? 0 : 23))) >> (DOUBLE ? 0 : 23);
        vec n = as_vec(n_bits | (word)0x4b000000u) - (real)8388736.0f; /* 2^23 + 128 */
        vec m = as_vec((b & (word)0x007fffffu) + (word)0x3f3504f3u);
        vec f = m - (real)1.0f;
        vec s = f / (m + (real)1.0f), u = s * s;
        vec p = ((real)0.6666668505073791f + u * (real)0.3998877599783465f) + (u * u) * (real)0.2958015670534363f;
        return n * (real)ln2_high + ((s + s) + (s * u * p + n * (real)ln2_low));
    }
}

#endif
