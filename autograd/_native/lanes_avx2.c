/* The kernels for processors with AVX2. */

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif
#define VERSION_AVX2
#define VERSION version_avx2
#define VERSION_NAME "avx2"
#include "lanes.c"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
