/* The instructions on numbers all samples share as machine code, where the processor is an x86-64
   and the system lets a process write its own; elsewhere they are interpreted. A part of program.c,
   which includes it. */

/* A program as machine code. */
typedef struct {
    void (*run)(double *slots); /* NULL where there is none */
    size_t size;
} Machine;

#if defined(__x86_64__) && !defined(_WIN32)

#include <sys/mman.h>

/* Numbers are computed in registers and written to their slots at once, so that any register may
   be taken again at any time. A call finds its numbers in the slots, and leaves no register as it
   was. */
enum { SCRATCH = 15, INLINE_TERMS = 64 };

typedef struct {
    List bytes;
    uint32_t held[SCRATCH]; /* by register: the slot whose number it holds, or NOWHERE */
    int oldest;             /* the register to take next */
    uint32_t neutral;       /* the slot that holds -0.0 */
    bool failed;
} Assembler;

/* Instructions on one float64, 0x0f apart that comes first, and those with another prefix (Intel 64
   and IA-32 Architectures Software Developer's Manual, volume 2). */
enum { LOAD = 0x10, STORE = 0x11, ADD = 0x58, MUL = 0x59, SUB = 0x5c, DIV = 0x5e };
enum { COPY = 0x28, COMPARE = 0x2e, XOR = 0x57 };
enum { FLOAT64 = 0xf2, WHOLE_REGISTER = 0x66 };
/* Operands: registers have 4 bits, 3 of them here; slots lie by their offset from rbx. */
enum { IN_REGISTER = 0xc0, BY_RBX = 0x83 };

static void emit(Assembler *a, const void *bytes, size_t count)
{
    a->failed |= !extend(&a->bytes, bytes, count, 1);
}

#define EMIT(a, ...)                                                                               \
    emit(a, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void on_register(Assembler *a, int prefix, int code, int x, int y)
{
    EMIT(a, prefix, 0x40 | x >> 3 << 2 | y >> 3, 0x0f, code, IN_REGISTER | (x & 7) << 3 | (y & 7));
}

static void emit_offset(Assembler *a, uint32_t slot)
{
    const uint32_t offset = slot * (uint32_t)sizeof(double);
    emit(a, &offset, sizeof(offset));
}

static void on_slot(Assembler *a, int code, int x, uint32_t slot)
{
    EMIT(a, FLOAT64, 0x40 | x >> 3 << 2, 0x0f, code, BY_RBX | (x & 7) << 3);
    emit_offset(a, slot);
}

/* x = slot, or x = x `code` slot, from the register that holds its number, if any. */
static void apply(Assembler *a, int code, int x, uint32_t slot)
{
    for (int y = 0; y < SCRATCH; y++) {
        if (a->held[y] == slot) {
            const bool copies = code == LOAD;
            on_register(a, copies ? WHOLE_REGISTER : FLOAT64, copies ? COPY : code, x, y);
            return;
        }
    }
    on_slot(a, code, x, slot);
}

static int take_register(Assembler *a)
{
    const int x = a->oldest;
    a->oldest = (x + 1) % SCRATCH;
    a->held[x] = NOWHERE;
    return x;
}

static void keep(Assembler *a, int x, uint32_t slot)
{
    on_slot(a, STORE, x, slot);
    a->held[x] = slot;
}

static void forget_registers(Assembler *a)
{
    memset(a->held, 0xff, sizeof(a->held)); /* NOWHERE */
}

static void assemble_arithmetic(Assembler *a, const Shared *i, int code)
{
    const int z = take_register(a);
    apply(a, LOAD, z, i->x);
    apply(a, code, z, i->y);
    keep(a, z, i->z);
}

static void assemble_neg(Assembler *a, const Shared *i)
{
    const int z = take_register(a);
    apply(a, LOAD, z, i->x);
    apply(a, LOAD, SCRATCH, a->neutral); /* the bit of the sign alone */
    on_register(a, WHOLE_REGISTER, XOR, z, SCRATCH);
    keep(a, z, i->z);
}

/* z = w + the products, one after the other. */
static void assemble_products(Assembler *a, const Shared *i, const Term *terms)
{
    const int z = take_register(a);
    const bool started = i->w != a->neutral;
    if (started) {
        apply(a, LOAD, z, i->w);
    }
    for (uint32_t t = 0; t < i->y; t++) {
        const bool is_first = t == 0 && !started;
        const int product = is_first ? z : SCRATCH;
        apply(a, LOAD, product, terms[t].x);
        apply(a, MUL, product, terms[t].y);
        if (!is_first) {
            on_register(a, FLOAT64, ADD, z, product);
        }
    }
    keep(a, z, i->z);
}

/* Through rax, as it only moves bits: z = w where x is 0.0, else y, also where x is nan. */
static void assemble_select(Assembler *a, const Shared *i)
{
    const int zero = take_register(a);
    on_register(a, WHOLE_REGISTER, XOR, zero, zero);
    on_slot(a, LOAD, SCRATCH, i->x);
    on_register(a, WHOLE_REGISTER, COMPARE, SCRATCH, zero);
    EMIT(a, 0x48, 0x8b, 0x83); /* mov rax, y */
    emit_offset(a, i->y);
    EMIT(a, 0x48, 0x0f, 0x44, 0x83); /* cmove rax, w: where equal or unordered */
    emit_offset(a, i->w);
    EMIT(a, 0x48, 0x0f, 0x4a, 0x83); /* cmovp rax, y: where unordered */
    emit_offset(a, i->y);
    EMIT(a, 0x48, 0x89, 0x83); /* mov z, rax */
    emit_offset(a, i->z);
}

/* z = what the function makes of numbers in the first two registers. */
static void assemble_call(Assembler *a, uintptr_t function, uint32_t z)
{
    EMIT(a, 0x48, 0xb8); /* mov rax, function */
    emit(a, &function, sizeof(function));
    EMIT(a, 0xff, 0xd0); /* call rax */
    forget_registers(a);
    keep(a, 0, z);
}

static void assemble_row(Assembler *a, const Shared *i)
{
    on_slot(a, LOAD, 0, i->x);
    on_slot(a, LOAD, 1, i->y);
    assemble_call(a, (uintptr_t)version->numbers[i->operation], i->z);
}

static void assemble_long_dot(Assembler *a, const Shared *i, const Term *terms)
{
    EMIT(a, 0x48, 0xbf); /* mov rdi, terms */
    emit(a, &terms, sizeof(terms));
    EMIT(a, 0xbe); /* mov esi, count */
    emit(a, &i->y, sizeof(i->y));
    EMIT(a, 0x48, 0x89, 0xda); /* mov rdx, rbx */
    on_slot(a, LOAD, 0, i->w);
    assemble_call(a, (uintptr_t)version->sum_of_products, i->z);
}

static void assemble(Assembler *a, const Shared *i, const Term *terms)
{
    switch (i->operation) {
    case ROW_add:
        assemble_arithmetic(a, i, ADD);
        break;
    case ROW_sub:
        assemble_arithmetic(a, i, SUB);
        break;
    case ROW_mul:
    case ROW_square:
        assemble_arithmetic(a, i, MUL);
        break;
    case ROW_div:
        assemble_arithmetic(a, i, DIV);
        break;
    case ROW_neg:
        assemble_neg(a, i);
        break;
    case SELECT:
        assemble_select(a, i);
        break;
    case DOT:
        (i->y > INLINE_TERMS ? assemble_long_dot : assemble_products)(a, i, terms + i->x);
        break;
    default:
        assemble_row(a, i);
    }
}

/* The bytes as a function, if the system allows it. */
static Machine make_executable(const List *bytes)
{
    const Machine none = {NULL, 0};
    void *code = mmap(NULL, bytes->count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                      -1, 0);
    if (code == MAP_FAILED) {
        return none;
    }
    memcpy(code, bytes->items, bytes->count);
    if (mprotect(code, bytes->count, PROT_READ | PROT_EXEC)) {
        munmap(code, bytes->count);
        return none;
    }
    return (Machine){(void (*)(double *))(uintptr_t)code, bytes->count};
}

static Machine make_machine(const Plan *plan, uint32_t neutral)
{
    const Term *terms = ITEMS(plan->shared_terms, Term);
    const bool is_empty = plan->shared.count == 1; /* HALT */
    Assembler a = {.neutral = neutral};
    Machine machine = {NULL, 0};
    if (version == &version_interpreted || is_empty ||
        plan->slots > INT32_MAX / sizeof(double)) {
        return machine;
    }
    forget_registers(&a);
    EMIT(&a, 0xf3, 0x0f, 0x1e, 0xfa, 0x53); /* endbr64; push rbx */
    EMIT(&a, 0x48, 0x89, 0xfb);             /* mov rbx, slots */
    for (const Shared *i = ITEMS(plan->shared, Shared); i->operation != HALT; i++) {
        assemble(&a, i, terms);
    }
    EMIT(&a, 0x5b, 0xc3); /* pop rbx; ret */
    if (a.failed) {
        PyErr_Clear(); /* too little memory: it is interpreted */
    }
    else {
        machine = make_executable(&a.bytes);
    }
    PyMem_RawFree(a.bytes.items);
    return machine;
}

static void free_machine(Machine *machine)
{
    if (machine->run) {
        munmap((void *)(uintptr_t)machine->run, machine->size);
    }
}

#else

static Machine make_machine(const Plan *plan, uint32_t neutral)
{
    (void)plan, (void)neutral;
    return (Machine){NULL, 0};
}

static void free_machine(Machine *machine)
{
    (void)machine;
}

#endif
