#ifndef GAUSSMIX_DISPATCH_H
#define GAUSSMIX_DISPATCH_H

#include "kernels.h"

/* The i-th instruction set that this machine can use, narrowest first; NULL where there is none. */
const char *gm_isa(int i);

/* The kernels of an instruction set for reals of `size` bytes (4 or 8); NULL where this machine cannot use them. */
const gm_kernels *gm_kernels_of(const char *isa, size_t size);

#endif
