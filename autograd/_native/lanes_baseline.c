/* The kernels for any processor. */

#define VERSION version_baseline
#define VERSION_NAME "baseline"
#include "lanes.c"
