/* Bound programs: their memory, and running them over one sample or the segments of a batch. A part
   of program.c, which includes it. */

/* Bound programs. ------------------------------------------------------------------------------ */

/* Where a scalar or an array of the results is. */
typedef struct {
    const Spec *spec;
    Py_ssize_t first; /* its first output */
    char mode;
    bool is_array;
} Leaf;

typedef struct Workspace Workspace;

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    Program *program;
    Plan plan;
    Machine machine;
    Py_ssize_t argument_count, leaf_count, held_capacity;
    Spec *arguments;
    char *mapped; /* by argument */
    bool batched;
    Spec results;
    Leaf *leaves;
    char *modes;     /* by output */
    bool has_arrays; /* among the results */
    PyObject *captured, *otherwise;
    bool captured_native; /* their numbers lie where the native engine's are */
    size_t threads;
    Workspace *idle;
} Bound;

/* The memory of one thread: the lanes of a block, and the sums over a segment. */
typedef struct {
    void *allocated;
    double *memory, *sums;
} Worker;

/* All that a call writes to; kept for the next call. */
struct Workspace {
    Workspace *next;
    double *slots;
    Batch batch;
    Column *results;    /* by output */
    PyObject **objects; /* by leaf: the arrays among the results */
    double *totals;     /* by output: its sum over the batch */
    double *partials;   /* of each sum, segment by segment */
    size_t partial_capacity;
    Py_ssize_t arguments_held; /* of the arrays held: the rest are results */
    Worker *workers;
};

static void free_workspace(const Bound *bound, Workspace *space)
{
    for (size_t i = 0; space->batch.copies && i < bound->program->input_count; i++) {
        PyMem_RawFree(space->batch.copies[i].numbers);
    }
    for (size_t i = 0; space->workers && i < bound->threads; i++) {
        PyMem_RawFree(space->workers[i].allocated);
    }
    PyMem_RawFree(space->slots);
    PyMem_RawFree(space->batch.columns);
    PyMem_RawFree(space->batch.copies);
    PyMem_RawFree(space->batch.held);
    PyMem_RawFree(space->results);
    PyMem_RawFree(space->objects);
    PyMem_RawFree(space->totals);
    PyMem_RawFree(space->partials);
    PyMem_RawFree(space->workers);
    PyMem_RawFree(space);
}

static Workspace *new_workspace(const Bound *bound)
{
    const Program *program = bound->program;
    const size_t inputs = program->input_count;
    Workspace *space = PyMem_RawCalloc(1, sizeof(Workspace));
    if (!space) {
        PyErr_NoMemory();
        return NULL;
    }
#define ALLOCATE(place, count) (place = PyMem_RawCalloc((size_t)(count) + 1, sizeof(*place)))
    if (!(ALLOCATE(space->slots, bound->plan.slots) && ALLOCATE(space->batch.columns, inputs) &&
          ALLOCATE(space->batch.copies, inputs) &&
          ALLOCATE(space->batch.held, bound->held_capacity) &&
          ALLOCATE(space->results, program->output_count) &&
          ALLOCATE(space->objects, bound->leaf_count) &&
          ALLOCATE(space->totals, program->output_count) &&
          ALLOCATE(space->workers, bound->threads))) {
        PyErr_NoMemory();
        free_workspace(bound, space);
        return NULL;
    }
    memcpy(space->slots + inputs, program->constants, program->constant_count * sizeof(double));
    space->slots[slot_count(program)] = -0.0; /* the neutral element of sums */
    return space;
}

/* An idle workspace, or one more where calls overlap. The interpreter's lock guards the list. */
static Workspace *take_workspace(Bound *bound)
{
    Workspace *space = bound->idle;
    if (!space) {
        return new_workspace(bound);
    }
    bound->idle = space->next;
    return space;
}

static void give_back(Bound *bound, Workspace *space)
{
    Batch *batch = &space->batch;
    for (Py_ssize_t i = 0; i < batch->held_count; i++) {
        PyBuffer_Release(&batch->held[i].view);
    }
    batch->held_count = 0;
    for (Py_ssize_t i = 0; bound->has_arrays && i < bound->leaf_count; i++) {
        Py_CLEAR(space->objects[i]);
    }
    space->next = bound->idle;
    bound->idle = space;
}

/* Running a batch. ----------------------------------------------------------------------------- */

/* A batch is summed in segments, which the number of samples alone determines, so that neither
   the threads nor the size of a block change a sum. */
enum {
    SEGMENT_UNIT = MOST_VECTORS * VECTOR,
    LEAST_UNITS = 4,
    MOST_SEGMENTS = 64,
    THREAD_WORK = 1 << 18,  /* steps times samples that make a thread worth starting */
    UNLOCKED_WORK = 1 << 15 /* and for which other Python threads may run meanwhile */
};

static size_t divide_up(size_t number, size_t by)
{
    return (number + by - 1) / by;
}

static size_t segment_samples(size_t samples)
{
    const size_t units = divide_up(divide_up(samples, SEGMENT_UNIT), MOST_SEGMENTS);
    return SEGMENT_UNIT * (units < LEAST_UNITS ? LEAST_UNITS : units);
}

typedef struct {
    const Bound *bound;
    Workspace *space;
    size_t samples, per_segment, segments;
    size_t *next; /* the segment nobody has begun */
    Worker *worker;
} Job;

static void run_segment(const Job *job, size_t segment)
{
    const Plan *plan = &job->bound->plan;
    const size_t sums = plan->summed.count, begin = segment * job->per_segment;
    const size_t end = begin + job->per_segment < job->samples ? begin + job->per_segment
                                                               : job->samples;
    Block block = {
        .memory = job->worker->memory,
        .sums = job->worker->sums,
        .shared = job->space->slots,
        .terms = ITEMS(plan->terms, Term),
        .inputs = job->space->batch.columns,
        .results = job->space->results,
        .divisor = (double)job->samples,
    };
    memset(block.sums, 0, sums * VECTOR_BYTES);
    for (block.first = begin; block.first < end; block.first += block.count) {
        const size_t most = plan->vectors * VECTOR, left = end - block.first;
        block.count = left < most ? left : most;
        block.vectors = divide_up(block.count, VECTOR);
        for (size_t i = 0; i < VECTOR; i++) {
            block.last[i] = (block.vectors - 1) * VECTOR + i < block.count ? -1 : 0;
        }
        for (const Step *step = ITEMS(plan->steps, Step); step->kernel; step++) {
            step->kernel(step, &block);
        }
    }
    version->fold(block.sums, job->space->partials + segment * sums, sums);
}

static void *work(void *arg)
{
    const Job *job = arg;
    for (;;) {
        const size_t segment = __atomic_fetch_add(job->next, 1, __ATOMIC_RELAXED);
        if (segment >= job->segments) {
            return NULL;
        }
        run_segment(job, segment);
    }
}

/* Memory for a thread, its first vectors filled with the shared numbers that steps read. */
static bool prepare_worker(const Bound *bound, Workspace *space, size_t number)
{
    const Plan *plan = &bound->plan;
    Worker *worker = &space->workers[number];
    const size_t vectors = memory_vectors(plan) + plan->summed.count;
    if (!worker->allocated) {
        worker->allocated = PyMem_RawMalloc((vectors + 1) * VECTOR_BYTES);
        if (!worker->allocated) {
            PyErr_NoMemory();
            return false;
        }
        const uintptr_t address = (uintptr_t)worker->allocated + VECTOR_BYTES - 1;
        worker->memory = (double *)(address / VECTOR_BYTES * VECTOR_BYTES);
        worker->sums = worker->memory + memory_vectors(plan) * VECTOR;
    }
    const uint32_t *wide = ITEMS(plan->wide, uint32_t);
    double *memory = worker->memory;
    for (size_t i = 0; i < plan->wide.count; i++) {
        for (size_t lane = 0; lane < VECTOR; lane++) {
            *memory++ = space->slots[wide[i]];
        }
    }
    return true;
}

static void run_threads(const Job *first, size_t count)
{
    Job jobs[count];
    pthread_t threads[count];
    bool started[count];
    for (size_t i = 1; i < count; i++) {
        jobs[i] = *first;
        jobs[i].worker = &first->space->workers[i];
        started[i] = !pthread_create(&threads[i], NULL, work, &jobs[i]);
    }
    work((void *)first);
    for (size_t i = 1; i < count; i++) {
        if (started[i]) {
            pthread_join(threads[i], NULL);
        }
    }
}

/* The segments' sums added up in their order. */
static void add_partials(const Bound *bound, Workspace *space, const Job *job)
{
    const size_t sums = bound->plan.summed.count;
    const uint32_t *summed = ITEMS(bound->plan.summed, uint32_t);
    for (size_t i = 0; i < sums; i++) {
        double total = 0.0;
        for (size_t segment = 0; segment < job->segments; segment++) {
            total += space->partials[segment * sums + i];
        }
        const bool is_mean = bound->modes[summed[i]] == MODE_MEAN;
        space->totals[summed[i]] = is_mean ? total / (double)job->samples : total;
    }
}

static bool run_batch(const Bound *bound, Workspace *space)
{
    const Plan *plan = &bound->plan;
    const size_t samples = (size_t)space->batch.samples;
    size_t next = 0;
    Job job = {bound, space, samples, segment_samples(samples), 0, &next, &space->workers[0]};
    job.segments = divide_up(samples, job.per_segment);
    const size_t wanted = job.segments * plan->summed.count;
    if (wanted > space->partial_capacity) {
        double *partials = PyMem_RawRealloc(space->partials, wanted * sizeof(double));
        if (!partials) {
            PyErr_NoMemory();
            return false;
        }
        space->partials = partials;
        space->partial_capacity = wanted;
    }
    const double work_to_do = (double)samples * (double)plan->steps.count;
    size_t threads = bound->threads;
    while (threads > 1 && (threads > job.segments || work_to_do < threads * THREAD_WORK)) {
        threads--;
    }
    for (size_t i = 0; i < threads; i++) {
        if (!prepare_worker(bound, space, i)) {
            return false;
        }
    }
    PyThreadState *state = work_to_do > UNLOCKED_WORK ? PyEval_SaveThread() : NULL;
    run_threads(&job, threads);
    if (state) {
        PyEval_RestoreThread(state);
    }
    add_partials(bound, space, &job);
    return true;
}
