/* The kernels of compiled programs for the instruction set that VERSION names: each of the files
   lanes_*.c chooses one and includes this. */

#include "lanes.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Lanes: as many samples as a register holds. -------------------------------------------------- */

#if defined(VERSION_AVX512)
enum { WIDTH = 8 };
#elif defined(VERSION_AVX2)
enum { WIDTH = 4 };
#else
enum { WIDTH = 2 };
#endif
enum { PARTS = VECTOR / WIDTH };

typedef double lanes __attribute__((vector_size(WIDTH * sizeof(double)), may_alias));
typedef int64_t lanes_mask __attribute__((vector_size(WIDTH * sizeof(int64_t)), may_alias));

static ALWAYS_INLINE lanes all_lanes(double x)
{
    return x - (lanes){0.0};
}

static ALWAYS_INLINE lanes each_where(lanes_mask condition, lanes a, lanes b)
{
    return (lanes)((condition & (lanes_mask)a) | (~condition & (lanes_mask)b));
}

/* In a loop over an array the compiler finds the instruction that serves all lanes, if any. */
#define EACH_LANE(name, function)                                                                  \
    static ALWAYS_INLINE lanes each_##name(lanes x)                                                \
    {                                                                                              \
        double numbers[WIDTH];                                                                     \
        memcpy(numbers, &x, sizeof(x));                                                            \
        for (int i = 0; i < WIDTH; i++) {                                                          \
            numbers[i] = function(numbers[i]);                                                     \
        }                                                                                          \
        memcpy(&x, numbers, sizeof(x));                                                            \
        return x;                                                                                  \
    }

EACH_LANE(abs, fabs)
EACH_LANE(sqrt, sqrt)
EACH_LANE(floor, floor)
EACH_LANE(ceil, ceil)
EACH_LANE(round, nearbyint)
EACH_LANE(cbrt, cbrt) /* that of libmvec may be further from the true value than 4 ulp */

#define EACH_FUNCTION_OF_ONE(F)                                                                    \
    F(acos) F(acosh) F(asin) F(asinh) F(atan) F(atanh) F(cos) F(cosh) F(erf) F(exp) F(expm1)       \
    F(log) F(log10) F(log1p) F(log2) F(sin) F(sinh) F(tan) F(tanh)
#define EACH_FUNCTION_OF_TWO(F) F(atan2) F(hypot) F(pow)

#if defined(HAVE_LIBMVEC)

/* glibc's functions of vectors: e in a name says AVX-512, d AVX2, b SSE. */
#if defined(VERSION_AVX512)
#define LIBMVEC(name) _ZGVeN8##name
#elif defined(VERSION_AVX2)
#define LIBMVEC(name) _ZGVdN4##name
#else
#define LIBMVEC(name) _ZGVbN2##name
#endif

/* The same of the same, so that what a formula says twice is computed once. */
#define CONSTANT __attribute__((const))

#define FUNCTION_OF_ONE(name)                                                                      \
    extern CONSTANT lanes LIBMVEC(v_##name)(lanes);                                                \
    static ALWAYS_INLINE lanes each_##name(lanes x)                                                \
    {                                                                                              \
        return LIBMVEC(v_##name)(x);                                                               \
    }

#define FUNCTION_OF_TWO(name)                                                                      \
    extern CONSTANT lanes LIBMVEC(vv_##name)(lanes, lanes);                                        \
    static ALWAYS_INLINE lanes each_##name(lanes x, lanes y)                                       \
    {                                                                                              \
        return LIBMVEC(vv_##name)(x, y);                                                           \
    }

/* A denormal of libmvec may be one unit off, which a factor makes many: such lanes ask libm. */
#define EXACT_DENORMALS(name)                                                                      \
    extern CONSTANT lanes LIBMVEC(v_##name)(lanes);                                                \
    static ALWAYS_INLINE lanes each_##name(lanes x)                                                \
    {                                                                                              \
        lanes result = LIBMVEC(v_##name)(x);                                                       \
        for (int i = 0; i < WIDTH; i++) {                                                          \
            if (result[i] < DBL_MIN) {                                                             \
                result[i] = name(x[i]);                                                            \
            }                                                                                      \
        }                                                                                          \
        return result;                                                                             \
    }

#else

#define EXACT_DENORMALS(name) EACH_LANE(name, name)
#define FUNCTION_OF_ONE(name) EACH_LANE(name, name)
#define FUNCTION_OF_TWO(name)                                                                      \
    static ALWAYS_INLINE lanes each_##name(lanes x, lanes y)                                       \
    {                                                                                              \
        for (int i = 0; i < WIDTH; i++) {                                                          \
            x[i] = name(x[i], y[i]);                                                               \
        }                                                                                          \
        return x;                                                                                  \
    }

#endif

EACH_FUNCTION_OF_ONE(FUNCTION_OF_ONE)
EACH_FUNCTION_OF_TWO(FUNCTION_OF_TWO)
EXACT_DENORMALS(erfc)

#include "lane_values.h"

/* Steps: one instruction over the samples of a block. ------------------------------------------ */

#define FIRST(operand) ((const lanes *)(block->memory + (size_t)step->operand.vector * VECTOR))
#define RESULT ((lanes *)(block->memory + (size_t)step->z.vector * VECTOR))

#define UNARY_STEP(row)                                                                            \
    static void step_##row(const Step *step, const Block *block)                                   \
    {                                                                                              \
        lanes *z = RESULT;                                                                         \
        const lanes *x = FIRST(x);                                                                 \
        for (size_t v = 0; v < block->vectors * PARTS; v++) {                                      \
            z[v] = lanes_##row(x[v]);                                                              \
        }                                                                                          \
    }

#define BINARY_STEP(row)                                                                           \
    static void step_##row(const Step *step, const Block *block)                                   \
    {                                                                                              \
        lanes *z = RESULT;                                                                         \
        const lanes *x = FIRST(x), *y = FIRST(y);                                                  \
        const size_t x_stride = step->x.stride, y_stride = step->y.stride;                         \
        for (size_t v = 0; v < block->vectors * PARTS; v++, x += x_stride, y += y_stride) {        \
            z[v] = lanes_##row(*x, *y);                                                            \
        }                                                                                          \
    }

EACH_EXACT_UNARY_ROW(UNARY_STEP)
EACH_LIBRARY_UNARY_ROW(UNARY_STEP)
EACH_EXACT_BINARY_ROW(BINARY_STEP)
EACH_LIBRARY_BINARY_ROW(BINARY_STEP)

static void step_select(const Step *step, const Block *block)
{
    lanes *z = RESULT;
    const lanes *x = FIRST(x), *y = FIRST(y), *w = FIRST(w);
    for (size_t v = 0; v < block->vectors * PARTS; v++) {
        z[v] = each_where(*x != all_lanes(0.0), *y, *w);
        x += step->x.stride;
        y += step->y.stride;
        w += step->w.stride;
    }
}

/* Some lanes of a dot product at a time stay in registers; the order of each sum is kept. */
#define DOT_LANES(count, product)                                                                  \
    for (; v + (count) <= lanes_count; v += (count)) {                                             \
        lanes sums[count];                                                                         \
        for (int i = 0; i < (count); i++) {                                                        \
            sums[i] = w[(v + i) * w_stride];                                                       \
        }                                                                                          \
        for (const Term *term = terms; term < end; term++) {                                       \
            const lanes *x = (const lanes *)(memory + (size_t)term->x * VECTOR) + v;               \
            FACTORS_##product;                                                                     \
            for (int i = 0; i < (count); i++) {                                                    \
                sums[i] += x[i] * FACTOR_##product;                                                \
            }                                                                                      \
        }                                                                                          \
        for (int i = 0; i < (count); i++) {                                                        \
            z[v + i] = sums[i];                                                                    \
        }                                                                                          \
    }

#define FACTORS_shared const lanes y = all_lanes(block->shared[term->y])
#define FACTOR_shared y
#define FACTORS_varying const lanes *y = (const lanes *)(memory + (size_t)term->y * VECTOR) + v
#define FACTOR_varying y[i]

#define DOT_STEP(product)                                                                          \
    static void dot_##product(const Step *step, const Block *block)                                \
    {                                                                                              \
        lanes *z = RESULT;                                                                         \
        const lanes *w = FIRST(w);                                                                 \
        const double *memory = block->memory;                                                      \
        const size_t w_stride = step->w.stride, lanes_count = block->vectors * PARTS;              \
        const Term *terms = block->terms + step->x.vector, *end = terms + step->y.vector;          \
        size_t v = 0;                                                                              \
        DOT_LANES(8, product)                                                                      \
        DOT_LANES(4, product)                                                                      \
        DOT_LANES(2, product)                                                                      \
        DOT_LANES(1, product)                                                                      \
    }

DOT_STEP(shared)
DOT_STEP(varying)

/* In and out. --------------------------------------------------------------------------------- */

static void load(const Step *step, const Block *block)
{
    double *z = (double *)RESULT;
    const Column column = block->inputs[step->x.vector];
    const char *from = column.data + (ptrdiff_t)block->first * column.stride;
    const size_t count = block->count;
    for (size_t i = 0; i < count; i++, from += column.stride) {
        memcpy(z + i, from, sizeof(double));
    }
    for (size_t i = count; i < block->vectors * VECTOR; i++) {
        z[i] = z[count - 1];
    }
}

static ALWAYS_INLINE void store_lanes(const Step *step, const Block *block, bool divided)
{
    const double *x = (const double *)FIRST(x);
    const Column column = block->results[step->z.vector];
    char *to = column.data + (ptrdiff_t)block->first * column.stride;
    const size_t count = block->count, among = step->x.stride ? SIZE_MAX : VECTOR - 1;
    for (size_t i = 0; i < count; i++, to += column.stride) {
        const double number = divided ? x[i & among] / block->divisor : x[i & among];
        memcpy(to, &number, sizeof(double));
    }
}

static void store(const Step *step, const Block *block)
{
    store_lanes(step, block, false);
}

static void store_divided(const Step *step, const Block *block)
{
    store_lanes(step, block, true);
}

/* Sums over the samples. ---------------------------------------------------------------------- */

/* Lane by lane, by groups: sum += (a + b) + (c + d); lanes that are no sample's do not count. */
#define ADD_UP(name, ADDEND)                                                                       \
    static ALWAYS_INLINE void name##_part(lanes *sum, const lanes *x, size_t x_stride,             \
                                          const lanes *y, size_t y_stride, size_t left,            \
                                          lanes_mask last)                                         \
    {                                                                                              \
        (void)y, (void)y_stride;                                                                   \
        for (; left > GROUP; left -= GROUP, x += GROUP * x_stride, y += GROUP * y_stride) {        \
            *sum += (ADDEND(0) + ADDEND(1)) + (ADDEND(2) + ADDEND(3));                             \
        }                                                                                          \
        switch (left) {                                                                            \
        case 1:                                                                                    \
            *sum += COUNTED(ADDEND(0));                                                            \
            break;                                                                                 \
        case 2:                                                                                    \
            *sum += ADDEND(0) + COUNTED(ADDEND(1));                                                \
            break;                                                                                 \
        case 3:                                                                                    \
            *sum += (ADDEND(0) + ADDEND(1)) + COUNTED(ADDEND(2));                                  \
            break;                                                                                 \
        default:                                                                                   \
            *sum += (ADDEND(0) + ADDEND(1)) + (ADDEND(2) + COUNTED(ADDEND(3)));                    \
        }                                                                                          \
    }                                                                                              \
    static void name(const Step *step, const Block *block)                                         \
    {                                                                                              \
        const lanes *x = FIRST(x), *y = FIRST(y);                                                  \
        lanes *sums = (lanes *)(block->sums + (size_t)step->z.vector * VECTOR);                    \
        const lanes_mask *last = (const lanes_mask *)block->last;                                  \
        const size_t x_stride = PARTS * step->x.stride, y_stride = PARTS * step->y.stride;         \
        for (int part = 0; part < PARTS; part++) {                                                 \
            lanes sum = sums[part];                                                                \
            name##_part(&sum, x + part, x_stride, y + part, y_stride, block->vectors, last[part]); \
            sums[part] = sum;                                                                      \
        }                                                                                          \
    }

#define COUNTED(addend) ((lanes)((lanes_mask)(addend) & last))
#define ADDEND_X(v) x[(v) * x_stride]
#define ADDEND_PRODUCT(v) (x[(v) * x_stride] * y[(v) * y_stride])

ADD_UP(add_up, ADDEND_X)
ADD_UP(add_up_products, ADDEND_PRODUCT)

/* The numbers of each sum's vector added up, always in the same order. */
static void fold(const double *sums, double *totals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const double *s = sums + i * VECTOR;
        totals[i] = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
    }
}

/* Numbers all samples share. ------------------------------------------------------------------- */

#define EXACT_NUMBER_OF_ONE(row)                                                                   \
    static double number_##row(double x, double y)                                                 \
    {                                                                                              \
        (void)y;                                                                                   \
        return value_##row(x);                                                                     \
    }
#define EXACT_NUMBER_OF_TWO(row)                                                                   \
    static double number_##row(double x, double y)                                                 \
    {                                                                                              \
        return value_##row(x, y);                                                                  \
    }

/* A library row runs over lanes here too, for the same bits. */
#define LIBRARY_NUMBER_OF_ONE(row)                                                                 \
    static double number_##row(double x, double y)                                                 \
    {                                                                                              \
        (void)y;                                                                                   \
        return lanes_##row(all_lanes(x))[0];                                                       \
    }
#define LIBRARY_NUMBER_OF_TWO(row)                                                                 \
    static double number_##row(double x, double y)                                                 \
    {                                                                                              \
        return lanes_##row(all_lanes(x), all_lanes(y))[0];                                         \
    }

EACH_EXACT_UNARY_ROW(EXACT_NUMBER_OF_ONE)
EACH_EXACT_BINARY_ROW(EXACT_NUMBER_OF_TWO)
EACH_LIBRARY_UNARY_ROW(LIBRARY_NUMBER_OF_ONE)
EACH_LIBRARY_BINARY_ROW(LIBRARY_NUMBER_OF_TWO)

#define EACH_ROW(F)                                                                                \
    EACH_EXACT_UNARY_ROW(F)                                                                        \
    EACH_LIBRARY_UNARY_ROW(F) EACH_EXACT_BINARY_ROW(F) EACH_LIBRARY_BINARY_ROW(F)

static double sum_of_products(const Term *terms, size_t count, const double *slots, double sum)
{
    for (const Term *term = terms; term < terms + count; term++) {
        sum += slots[term->x] * slots[term->y];
    }
    return sum;
}

static void interpret(const Shared *i, const Term *terms, double *slots)
{
#define CASE(row)                                                                                  \
    case ROW_##row:                                                                                \
        slots[i->z] = number_##row(slots[i->x], slots[i->y]);                                      \
        break;
    for (;; i++) {
        switch (i->operation) {
            EACH_ROW(CASE)
        case SELECT:
            slots[i->z] = slots[i->x] != 0.0 ? slots[i->y] : slots[i->w];
            break;
        case DOT:
            slots[i->z] = sum_of_products(terms + i->x, i->y, slots, slots[i->w]);
            break;
        default: /* HALT */
            return;
        }
    }
}

#define ROW_STEP(row) [ROW_##row] = step_##row,
#define ROW_NUMBER(row) [ROW_##row] = number_##row,

const Version VERSION = {
    .name = VERSION_NAME,
    .rows = {EACH_ROW(ROW_STEP)[SELECT] = step_select},
    .numbers = {EACH_ROW(ROW_NUMBER)},
    .load = load,
    .store = store,
    .store_divided = store_divided,
    .add_up = add_up,
    .add_up_products = add_up_products,
    .dot_shared = dot_shared,
    .dot_varying = dot_varying,
    .sum_of_products = sum_of_products,
    .interpret = interpret,
    .fold = fold,
};
