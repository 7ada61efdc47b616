/* Programs and plans: which instructions all samples share, and the steps over lanes for the
   others, with their memory. A part of program.c, which includes it. */

/* A list that grows. --------------------------------------------------------------------------- */

typedef struct {
    void *items;
    size_t count, capacity;
} List;

#define ITEMS(list, type) ((type *)(list).items)

static bool extend(List *list, const void *items, size_t count, size_t size)
{
    if (count > list->capacity - list->count) {
        size_t capacity = 2 * list->capacity + count + 16;
        void *longer = PyMem_RawRealloc(list->items, capacity * size);
        if (!longer) {
            PyErr_NoMemory();
            return false;
        }
        list->items = longer;
        list->capacity = capacity;
    }
    memcpy((char *)list->items + list->count * size, items, count * size);
    list->count += count;
    return true;
}

static bool append(List *list, const void *item, size_t size)
{
    return extend(list, item, 1, size);
}

/* Programs. ------------------------------------------------------------------------------------ */

typedef struct {
    int32_t operation, a, b, c;
} Instruction;

typedef struct {
    PyObject_HEAD
    Instruction *code;
    Term *terms;
    double *constants;
    int32_t *outputs;
    size_t instruction_count, term_count, constant_count, output_count, input_count;
} Program;

static size_t first_computed(const Program *program)
{
    return program->input_count + program->constant_count;
}

static size_t slot_count(const Program *program)
{
    return first_computed(program) + program->instruction_count;
}

/* How many operands an operation of a program takes, a DOT apart. */
static int arity(int32_t operation)
{
    static const char arities[ROWS + 1] = {
#define ONE(row) [ROW_##row] = 1,
#define TWO(row) [ROW_##row] = 2,
        EACH_EXACT_UNARY_ROW(ONE) EACH_LIBRARY_UNARY_ROW(ONE)
        EACH_EXACT_BINARY_ROW(TWO) EACH_LIBRARY_BINARY_ROW(TWO)
        [SELECT] = 3,
    };
    return arities[operation];
}

/* The operands of an instruction, the start of a DOT apart. */
static size_t operands_of(const Program *program, const Instruction *i, const uint32_t **slots)
{
    if (i->operation == DOT) {
        *slots = &program->terms[i->a].x;
        return 2 * (size_t)i->b;
    }
    *slots = (const uint32_t *)&i->a;
    return (size_t)arity(i->operation);
}

/* The slot a DOT starts from; -1 where there is none. */
static int32_t start_of(const Instruction *i)
{
    return i->operation == DOT ? i->c : -1;
}

static bool check_dot(const Program *program, size_t number, int64_t slots)
{
    const Instruction *i = &program->code[number];
    if (i->a < 0 || i->b < 1 || (uint64_t)i->a + (uint64_t)i->b > program->term_count) {
        PyErr_Format(PyExc_ValueError, "instruction %zu: terms %d to %lld of %zu", number, i->a,
                     (long long)i->a + i->b, program->term_count);
        return false;
    }
    for (int32_t t = i->a; t < i->a + i->b; t++) {
        const Term *term = &program->terms[t];
        if (term->x >= slots || term->y >= slots) {
            PyErr_Format(PyExc_ValueError,
                         "instruction %zu: term %d reads slots %d and %d, allowed are 0 to %lld",
                         number, t, (int)term->x, (int)term->y, (long long)slots - 1);
            return false;
        }
    }
    if (i->c < -1 || i->c >= slots) {
        PyErr_Format(PyExc_ValueError,
                     "instruction %zu starts from slot %d, allowed are -1 to %lld", number, i->c,
                     (long long)slots - 1);
        return false;
    }
    return true;
}

static bool check_instruction(const Program *program, size_t number)
{
    const Instruction *i = &program->code[number];
    const int64_t slots = (int64_t)(first_computed(program) + number);
    if (i->operation < 0 || i->operation > DOT) {
        PyErr_Format(PyExc_ValueError, "instruction %zu: operation %d, allowed are 0 to %d",
                     number, i->operation, DOT);
        return false;
    }
    if (i->operation == DOT) {
        return check_dot(program, number, slots);
    }
    const int32_t operands[] = {i->a, i->b, i->c};
    for (int place = 0; place < 3; place++) {
        bool used = place < arity(i->operation);
        if (used ? operands[place] < 0 || operands[place] >= slots : operands[place] != -1) {
            PyErr_Format(PyExc_ValueError, "instruction %zu: operand %d is %d, allowed %s %lld",
                         number, place, operands[place], used ? "are slots 0 to" : "is",
                         used ? (long long)slots - 1 : -1LL);
            return false;
        }
    }
    return true;
}

/* Every instruction reads earlier slots only, and the dot products have a bounded length. */
static bool check_program(const Program *program)
{
    uint64_t products = 0;
    for (size_t number = 0; number < program->instruction_count; number++) {
        if (!check_instruction(program, number)) {
            return false;
        }
        const Instruction *i = &program->code[number];
        products += i->operation == DOT ? (uint64_t)i->b : 0;
        if (products > INT32_MAX) {
            PyErr_SetString(PyExc_ValueError, "dot products of more than 2**31 terms in all");
            return false;
        }
    }
    for (size_t k = 0; k < program->output_count; k++) {
        int32_t slot = program->outputs[k];
        if (slot < 0 || (size_t)slot >= slot_count(program)) {
            PyErr_Format(PyExc_ValueError, "output %zu is slot %d, allowed are 0 to %zd", k, slot,
                         (Py_ssize_t)slot_count(program) - 1);
            return false;
        }
    }
    return true;
}

/* Plans. --------------------------------------------------------------------------------------- */

/* What a result holds of a batch of n: each sample, each divided by n, their sum, the sum divided
   by n. */
enum { MODE_EACH = 'e', MODE_EACH_DIVIDED = 'd', MODE_SUM = 's', MODE_MEAN = 'm' };

static bool is_summed(char mode)
{
    return mode == MODE_SUM || mode == MODE_MEAN;
}

typedef struct {
    List shared;       /* Shared, HALT at the end */
    List shared_terms; /* pairs of slots */
    List steps;        /* Step, one without a kernel at the end */
    List terms;        /* pairs of vectors, or of a vector and a slot */
    List wide;         /* the slots whose numbers fill the first vectors of the memory */
    List summed;       /* the output of each sum */
    size_t slots;      /* with those of the plan's own after the program's */
    size_t lanes;      /* how many varying numbers are alive at a time */
    size_t vectors;    /* in a block */
} Plan;

static void free_plan(Plan *plan)
{
    List *lists[] = {&plan->shared, &plan->shared_terms, &plan->steps,
                     &plan->terms,  &plan->wide,         &plan->summed};
    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
        PyMem_RawFree(lists[i]->items);
    }
}

static size_t memory_vectors(const Plan *plan)
{
    return plan->wide.count + plan->lanes * plan->vectors;
}

enum { NOWHERE = UINT32_MAX };

/* What is known while a plan is made. */
typedef struct {
    const Program *program;
    const char *modes; /* of each output; NULL where there is one sample */
    Plan *plan;
    char *varying;          /* by slot: whether samples differ in it */
    uint32_t *place;        /* by slot: its lanes, or its vector among the wide ones */
    uint32_t *last_use;     /* by slot: the last instruction over lanes that reads it */
    uint32_t *first_output; /* by slot, and then by output the next one of that slot */
    uint32_t *next_output;
    List unused;      /* lanes free for reuse */
    uint32_t neutral; /* the slot that holds -0.0, from which sums start */
} Planner;

static bool plan_shared(Planner *planner, Shared instruction)
{
    return append(&planner->plan->shared, &instruction, sizeof(instruction));
}

static bool plan_step(Planner *planner, Kernel kernel, Operand z, Operand x, Operand y, Operand w)
{
    Step step = {kernel, z, x, y, w};
    return append(&planner->plan->steps, &step, sizeof(step));
}

static const Operand NONE = {0, NO_VECTOR};

static Operand number_of(size_t number)
{
    return (Operand){(uint32_t)number, NO_VECTOR};
}

/* Lanes for the numbers of a slot. */
static Operand take_lanes(Planner *planner, size_t slot)
{
    List *unused = &planner->unused;
    planner->place[slot] = unused->count ? ITEMS(*unused, uint32_t)[--unused->count]
                                         : (uint32_t)planner->plan->lanes++;
    return (Operand){planner->place[slot], EACH};
}

/* Give back the lanes of an operand that no later instruction than `number` reads. */
static bool release(Planner *planner, size_t slot, uint32_t number)
{
    if (!planner->varying[slot] || planner->place[slot] == NOWHERE ||
        (planner->last_use[slot] != NOWHERE && planner->last_use[slot] > number)) {
        return true;
    }
    uint32_t place = planner->place[slot];
    planner->place[slot] = NOWHERE;
    return append(&planner->unused, &place, sizeof(place));
}

static bool release_operands(Planner *planner, const Instruction *i, uint32_t number)
{
    const uint32_t *slots;
    const size_t count = operands_of(planner->program, i, &slots);
    const int32_t start = start_of(i);
    for (size_t k = 0; k < count; k++) {
        if (!release(planner, slots[k], number)) {
            return false;
        }
    }
    return start < 0 || release(planner, (size_t)start, number);
}

/* Write out, or add up, what the slot has just been given. */
static bool plan_outputs(Planner *planner, size_t slot, Operand x)
{
    for (uint32_t k = planner->first_output[slot]; k != NOWHERE; k = planner->next_output[k]) {
        const Kernel kernels[] = {version->store, version->store_divided, version->add_up};
        const char mode = planner->modes[k];
        const int which = is_summed(mode) ? 2 : mode == MODE_EACH_DIVIDED;
        Operand z = number_of(which == 2 ? planner->plan->summed.count : k);
        if ((which == 2 && !append(&planner->plan->summed, &k, sizeof(k))) ||
            !plan_step(planner, kernels[which], z, x, NONE, NONE)) {
            return false;
        }
    }
    return true;
}

/* Where the lanes of a slot are; an input is loaded, a shared number spread, where first used. */
static bool find(Planner *planner, size_t slot, Operand *operand)
{
    if (planner->place[slot] != NOWHERE) {
        *operand = (Operand){planner->place[slot], planner->varying[slot] ? EACH : SAME};
        return true;
    }
    if (!planner->varying[slot]) {
        uint32_t shared = (uint32_t)slot;
        planner->place[slot] = (uint32_t)planner->plan->wide.count;
        *operand = (Operand){planner->place[slot], SAME};
        return append(&planner->plan->wide, &shared, sizeof(shared));
    }
    *operand = take_lanes(planner, slot);
    return plan_step(planner, version->load, *operand, number_of(slot), NONE, NONE) &&
           plan_outputs(planner, slot, *operand);
}

/* A slot of the plan's own, beside those of the program. */
static bool own_slot(Planner *planner, uint32_t *slot)
{
    *slot = (uint32_t)planner->plan->slots++;
    return *slot != NOWHERE;
}

/* z = start + the terms, on shared numbers. */
static bool plan_shared_dot(Planner *planner, uint32_t z, const Term *terms, size_t count,
                            uint32_t start)
{
    List *list = &planner->plan->shared_terms;
    const size_t first = list->count;
    return extend(list, terms, count, sizeof(*terms)) &&
           plan_shared(planner, (Shared){DOT, z, (uint32_t)first, (uint32_t)count, start});
}

/* How many of a term's factors vary. */
static int variety(const Planner *planner, const Term *term)
{
    return planner->varying[term->x] + planner->varying[term->y];
}

/* z = w + the terms, all of one variety, over lanes. */
static bool plan_run(Planner *planner, Operand z, const Term *terms, size_t count,
                     Operand w)
{
    List *list = &planner->plan->terms;
    const size_t first = list->count;
    const bool both = variety(planner, terms) == 2;
    for (const Term *term = terms; term < terms + count; term++) {
        const bool swapped = !planner->varying[term->x];
        Operand x, y = number_of(swapped ? term->x : term->y);
        if (!find(planner, swapped ? term->y : term->x, &x) ||
            (both && !find(planner, term->y, &y))) {
            return false;
        }
        const Term placed = {x.vector, y.vector};
        if (!append(list, &placed, sizeof(placed))) {
            return false;
        }
    }
    return plan_step(planner, both ? version->dot_varying : version->dot_shared, z,
                     number_of(first), number_of(count), w);
}

/* z = w + the products of shared numbers, one by one. */
static bool plan_shared_run(Planner *planner, Operand z, const Term *terms, size_t count,
                            Operand w)
{
    for (size_t t = 0; t < count; t++) {
        uint32_t slot;
        Operand product = {(uint32_t)planner->plan->wide.count, SAME};
        if (!own_slot(planner, &slot) ||
            !plan_shared_dot(planner, slot, terms + t, 1, planner->neutral) ||
            !append(&planner->plan->wide, &slot, sizeof(slot)) ||
            !plan_step(planner, version->rows[ROW_add], z, w, product, NONE)) {
            return false;
        }
        w = z;
    }
    return true;
}

static uint32_t start_slot(const Planner *planner, const Instruction *i)
{
    return i->c < 0 ? planner->neutral : (uint32_t)i->c;
}

/* A dot product over lanes: runs of terms of one variety, the first of shared numbers apart. */
static bool plan_dot(Planner *planner, const Instruction *i, size_t slot, uint32_t number)
{
    const Term *terms = planner->program->terms + i->a;
    const size_t count = (size_t)i->b;
    size_t done = 0;
    const uint32_t start = start_slot(planner, i);
    Operand w, ignored;
    while (!planner->varying[start] && done < count && variety(planner, &terms[done]) == 0) {
        done++;
    }
    if (done) {
        uint32_t sum;
        w = (Operand){(uint32_t)planner->plan->wide.count, SAME};
        if (!own_slot(planner, &sum) || !plan_shared_dot(planner, sum, terms, done, start) ||
            !append(&planner->plan->wide, &sum, sizeof(sum))) {
            return false;
        }
    }
    else if (!find(planner, start, &w)) {
        return false;
    }
    for (size_t t = done; t < count; t++) { /* every load comes before z takes its lanes */
        if ((planner->varying[terms[t].x] && !find(planner, terms[t].x, &ignored)) ||
            (planner->varying[terms[t].y] && !find(planner, terms[t].y, &ignored))) {
            return false;
        }
    }
    const Operand z = take_lanes(planner, slot);
    while (done < count) {
        size_t end = done + 1;
        while (end < count && variety(planner, &terms[end]) == variety(planner, &terms[done])) {
            end++;
        }
        if (!(variety(planner, &terms[done]) ? plan_run : plan_shared_run)(
                planner, z, terms + done, end - done, w)) {
            return false;
        }
        w = z;
        done = end;
    }
    return release_operands(planner, i, number) && plan_outputs(planner, slot, z) &&
           release(planner, slot, number);
}

/* Whether the slot is one sum over the batch, and nothing else. */
static bool only_summed(const Planner *planner, size_t slot)
{
    const uint32_t k = planner->first_output[slot];
    return k != NOWHERE && planner->next_output[k] == NOWHERE && is_summed(planner->modes[k]) &&
           planner->last_use[slot] == NOWHERE;
}

/* A row or a SELECT over lanes. */
static bool plan_row(Planner *planner, const Instruction *i, size_t slot, uint32_t number)
{
    const uint32_t *slots;
    const size_t count = operands_of(planner->program, i, &slots);
    Operand found[3] = {NONE, NONE, NONE};
    for (size_t place = 0; place < count; place++) {
        if (!find(planner, slots[place], &found[place])) {
            return false;
        }
    }
    if (!release_operands(planner, i, number)) {
        return false;
    }
    if (i->operation == ROW_mul && only_summed(planner, slot)) {
        List *summed = &planner->plan->summed;
        const Operand z = number_of(summed->count);
        return append(summed, &planner->first_output[slot], sizeof(uint32_t)) &&
               plan_step(planner, version->add_up_products, z, found[0], found[1], NONE);
    }
    const Operand z = take_lanes(planner, slot);
    return plan_step(planner, version->rows[i->operation], z, found[0], found[1], found[2]) &&
           plan_outputs(planner, slot, z) && release(planner, slot, number);
}

static bool plan_instruction(Planner *planner, uint32_t number)
{
    const Program *program = planner->program;
    Instruction i = program->code[number];
    const uint32_t slot = (uint32_t)(first_computed(program) + number);
    if (i.operation == DOT && i.b == 1 && i.c < 0) {
        const Term *term = &program->terms[i.a];
        i = (Instruction){ROW_mul, (int32_t)term->x, (int32_t)term->y, -1};
    }
    if (planner->varying[slot]) {
        return i.operation == DOT ? plan_dot(planner, &i, slot, number)
                                  : plan_row(planner, &i, slot, number);
    }
    if (i.operation == DOT) {
        const Term *terms = program->terms + i.a;
        return plan_shared_dot(planner, slot, terms, (size_t)i.b, start_slot(planner, &i));
    }
    const int32_t second = arity(i.operation) == 1 ? i.a : i.b;
    return plan_shared(planner, (Shared){(uint32_t)i.operation, slot, (uint32_t)i.a,
                                         (uint32_t)second, (uint32_t)i.c});
}

/* Which slots vary with the sample, and which instruction reads each of those last. */
static void survey(Planner *planner)
{
    const Program *program = planner->program;
    for (uint32_t number = 0; number < program->instruction_count; number++) {
        const Instruction *i = &program->code[number];
        const uint32_t *slots;
        const size_t count = operands_of(program, i, &slots);
        const int32_t start = start_of(i);
        char varying = start >= 0 && planner->varying[start];
        for (size_t k = 0; k < count; k++) {
            varying |= planner->varying[slots[k]];
        }
        planner->varying[first_computed(program) + number] = varying;
        for (size_t k = 0; varying && k < count; k++) {
            planner->last_use[slots[k]] = number;
        }
        if (varying && start >= 0) {
            planner->last_use[start] = number;
        }
    }
    for (size_t k = program->output_count; planner->modes && k-- > 0;) {
        const int32_t slot = program->outputs[k];
        planner->next_output[k] = planner->first_output[slot];
        planner->first_output[slot] = (uint32_t)k;
    }
}

/* Outputs that no instruction computes over lanes: inputs that none has loaded, shared numbers. */
static bool plan_other_outputs(Planner *planner)
{
    const size_t slots = slot_count(planner->program);
    for (size_t slot = 0; slot < slots; slot++) {
        const bool loaded = planner->last_use[slot] != NOWHERE;
        if (planner->first_output[slot] == NOWHERE) {
            continue;
        }
        Operand x;
        if (!planner->varying[slot]) {
            if (!find(planner, slot, &x) || !plan_outputs(planner, slot, x)) {
                return false;
            }
        }
        else if (slot < planner->program->input_count && !loaded) {
            if (!find(planner, slot, &x) || !release(planner, slot, 0)) {
                return false;
            }
        }
    }
    return true;
}

/* As many vectors in a block as keep its memory in the nearest cache. */
enum { VECTOR_BYTES = VECTOR * sizeof(double), NEAR_BYTES = 48 * 1024 };

static void settle(Plan *plan)
{
    size_t vectors = MOST_VECTORS;
    while (vectors > GROUP && plan->lanes * vectors * VECTOR_BYTES > NEAR_BYTES) {
        vectors /= 2;
    }
    plan->vectors = vectors;
    const uint32_t first = (uint32_t)plan->wide.count;
    Step *steps = ITEMS(plan->steps, Step);
    Term *terms = ITEMS(plan->terms, Term);
    for (size_t s = 0; s < plan->steps.count; s++) {
        Operand *operands[] = {&steps[s].z, &steps[s].x, &steps[s].y, &steps[s].w};
        for (int i = 0; i < 4; i++) {
            if (operands[i]->stride == EACH) {
                operands[i]->vector = first + operands[i]->vector * (uint32_t)vectors;
            }
        }
        const bool both = steps[s].kernel == version->dot_varying;
        if (both || steps[s].kernel == version->dot_shared) {
            for (size_t t = 0; t < steps[s].y.vector; t++) {
                Term *term = &terms[steps[s].x.vector + t];
                term->x = first + term->x * (uint32_t)vectors;
                term->y = both ? first + term->y * (uint32_t)vectors : term->y;
            }
        }
    }
}

static bool plan_all(Planner *planner)
{
    for (uint32_t number = 0; number < planner->program->instruction_count; number++) {
        if (!plan_instruction(planner, number)) {
            return false;
        }
    }
    if (!plan_shared(planner, (Shared){HALT, 0, 0, 0, 0}) ||
        (planner->modes && !plan_other_outputs(planner)) ||
        !plan_step(planner, NULL, NONE, NONE, NONE, NONE)) {
        return false;
    }
    settle(planner->plan);
    if (memory_vectors(planner->plan) > INT32_MAX) {
        PyErr_NoMemory();
        return false;
    }
    return true;
}

/* The plan of a program over a batch in which the marked inputs vary; over one sample, where modes
   is NULL. */
static bool make_plan(Plan *plan, const Program *program, const char *varying_inputs,
                      const char *modes)
{
    const size_t slots = slot_count(program);
    plan->slots = slots + 1;
    Planner planner = {
        .program = program,
        .modes = modes,
        .plan = plan,
        .varying = PyMem_RawCalloc(slots + 1, 1),
        .place = PyMem_RawMalloc((slots + 1) * sizeof(uint32_t)),
        .last_use = PyMem_RawMalloc((slots + 1) * sizeof(uint32_t)),
        .first_output = PyMem_RawMalloc((slots + 1) * sizeof(uint32_t)),
        .next_output = PyMem_RawMalloc((program->output_count + 1) * sizeof(uint32_t)),
        .neutral = (uint32_t)slots,
    };
    bool done = planner.varying && planner.place && planner.last_use && planner.first_output &&
                planner.next_output;
    if (!done) {
        PyErr_NoMemory();
    }
    else {
        memcpy(planner.varying, varying_inputs, program->input_count);
        uint32_t *tables[] = {planner.place, planner.last_use, planner.first_output};
        for (int i = 0; i < 3; i++) {
            memset(tables[i], 0xff, (slots + 1) * sizeof(uint32_t)); /* NOWHERE */
        }
        survey(&planner);
        done = plan_all(&planner);
    }
    PyMem_RawFree(planner.varying);
    PyMem_RawFree(planner.place);
    PyMem_RawFree(planner.last_use);
    PyMem_RawFree(planner.first_output);
    PyMem_RawFree(planner.next_output);
    PyMem_RawFree(planner.unused.items);
    return done;
}
