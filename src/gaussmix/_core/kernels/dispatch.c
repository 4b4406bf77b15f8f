#include "kernels.h"

extern const gm_kernels gm_plain_f32, gm_plain_f64;

const gm_kernels *gm_kernels_for(size_t size)
{
    return size == sizeof(float) ? &gm_plain_f32 : &gm_plain_f64;
}
