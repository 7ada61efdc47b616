/* The kernels for processors with AVX-512. */

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512vl"))),                \
                             apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,avx512vl")
#endif
#define VERSION_AVX512
#define VERSION version_avx512
#define VERSION_NAME "avx512"
#include "lanes.c"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
