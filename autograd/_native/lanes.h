/* What compiled programs run on: the steps over samples, and the numbers all samples share. */

#ifndef AUTOGRAD_LANES_H
#define AUTOGRAD_LANES_H

#include <stddef.h>
#include <stdint.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* Samples go side by side in vectors of this many numbers, whatever registers there are, so that
   all instruction sets compute the same sums. Sums over a batch are taken by groups of vectors; a
   block holds whole groups. */
enum { VECTOR = 8, GROUP = 4, MOST_VECTORS = 16 };

#include "lane_rows.h"

/* Instructions beyond the rows of the table; HALT is a plan's alone. */
enum { SELECT = ROWS, DOT, HALT };

/* A product of a dot product, by slots or by vectors. */
typedef struct {
    uint32_t x, y;
} Term;

/* An instruction on the numbers all samples share, by slot; a row of one operand has it twice.
   A DOT has `y` terms from `x` on and starts from `w`. */
typedef struct {
    uint32_t operation, z, x, y, w;
} Shared;

/* Where the numbers of one input or result lie: that of sample i at data + i * stride. */
typedef struct {
    char *data;
    ptrdiff_t stride;
} Column;

/* What a worker runs the steps on: one block of samples after the other. */
typedef struct {
    double *memory, *sums; /* vectors */
    const double *shared;
    const Term *terms;
    const Column *inputs, *results;
    size_t first, count; /* of the block's samples */
    size_t vectors;      /* that hold them; what is left over repeats the last sample */
    double divisor;      /* the size of the batch */
    int64_t last[VECTOR] __attribute__((aligned(64))); /* -1 in the last vector's that count */
} Block;

/* An operand: its first vector in the memory, and how far the next one is; or, where it is
   NO_VECTOR, the number of an input, a result, a sum or a term. */
enum { SAME = 0, EACH = 1, NO_VECTOR = 2 };
typedef struct {
    uint32_t vector, stride;
} Operand;

typedef struct Step Step;
typedef void (*Kernel)(const Step *step, const Block *block);

struct Step {
    Kernel kernel; /* NULL after the last step */
    Operand z;     /* the vectors, or the result or sum, that are written */
    Operand x, y, w;
};

typedef double (*Number)(double x, double y);

/* What is compiled once for each instruction set. */
typedef struct {
    const char *name;
    Kernel rows[ROWS + 1]; /* and SELECT */
    Number numbers[ROWS];  /* the same for one number, with the same bits */
    Kernel load;                       /* z = input x.vector */
    Kernel store, store_divided;       /* result z = x */
    Kernel add_up, add_up_products;    /* sum z += x, += x * y, over the samples */
    Kernel dot_shared, dot_varying;    /* z = w + terms x.vector …, y.vector of them */
    double (*sum_of_products)(const Term *terms, size_t count, const double *slots, double sum);
    void (*interpret)(const Shared *instruction, const Term *terms, double *slots);
    void (*fold)(const double *sums, double *totals, size_t count);
} Version;

extern const Version version_baseline;
#if defined(__x86_64__)
extern const Version version_avx2, version_avx512;
#endif

#endif
