/* exp and ln of vectors, within 2 units in the last place; no call into libm.
 *
 * The polynomials interpolate at Chebyshev nodes; their coefficients were computed in 60 digits, and their own error is
 * 1.7e-17 and 4.5e-18 (double), 1.0e-8 and 2.8e-9 (float), relative. They are evaluated in Estrin's form, pairs first: Horner's
 * chain of dependent operations would leave the arithmetic units waiting.
 */
#ifndef GAUSSMIX_FUNCTIONS_H
#define GAUSSMIX_FUNCTIONS_H

#include "vector.h"

/* exp x for x ≤ 0, down to zero by way of the subnormal numbers; NaN gives 0.
 *
 * x = n ln 2 + r with |r| ≤ ½ ln 2. Adding 1.5 · 2^(fraction bits) leaves n in the lowest bits, from where a shift puts it into
 * the exponent. So that 2^n need not be normal, 2^(n + B) is made, and 2^−B multiplied to the result: it rounds once. Where the
 * result is zero, as for most pairs of clustered data, no such product is made: underflow is slow on many machines.
 */
INLINE vec exp_negative(vec x)
{
    if (DOUBLE) {
        const double magic = 6755399441055744.0, log2e = 1.4426950408889634;
        const double ln2_high = 0.6931471803691238, ln2_low = 1.9082149292705877e-10;
        bits alive = above(x, splat((real)-745.1332191019412)); /* 2^-1075 */
        x = as_vec(as_bits(x) & alive);
        vec t = x * (real)log2e + (real)magic;
        vec n = t - (real)magic;
        vec r = (x - n * (real)ln2_high) - n * (real)ln2_low;
        vec r2 = r * r, r4 = r2 * r2;
        vec low = ((real)0.5000000000000001 + r * (real)0.16666666666666667)
            + r2 * ((real)0.04166666666662413 + r * (real)0.008333333333330062);
        vec middle = ((real)0.0013888888917213717 + r * (real)0.00019841269863053617)
            + r2 * ((real)2.4801521295954376e-05 + r * (real)2.7557268459997065e-06);
        vec high = (real)2.762008844540975e-07 + r * (real)2.510038549551032e-08;
        vec p = (real)1.0 + (r + r2 * ((low + r4 * middle) + (r4 * r4) * high));
        bits power = as_bits(t) + 64;
        vec e = as_vec(as_bits(p) + (power << (DOUBLE ? 52 : 0))) * (real)5.421010862427522e-20; /* 2^-64 */
        return as_vec(as_bits(e) & alive);
    } else {
        const float magic = 12582912.0f, log2e = 1.4426950408889634f;
        const float ln2_high = 0.693359375f, ln2_low = -0.00021219444005469057f;
        bits alive = above(x, splat((real)-103.97208f)); /* 2^-150 */
        x = as_vec(as_bits(x) & alive);
        vec t = x * (real)log2e + (real)magic;
        vec n = t - (real)magic;
        vec r = (x - n * (real)ln2_high) - n * (real)ln2_low;
        vec r2 = r * r;
        vec low = (real)0.5f + r * (real)0.1666657698969878f;
        vec high = (real)0.04166655461720457f + r * (real)0.008363179052722577f;
        vec p = (real)1.0f + (r + r2 * ((low + r2 * high) + (r2 * r2) * (real)0.0013926183587713494f));
        bits power = as_bits(t) + 32;
        vec e = as_vec(as_bits(p) + (power << (DOUBLE ? 0 : 23))) * (real)2.3283064365386963e-10f; /* 2^-32 */
        return as_vec(as_bits(e) & alive);
    }
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
