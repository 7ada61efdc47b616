/* The node: its memory, what the pure engine serves of it, making and freeing. A part of engine.c, which includes it. */

/* The node. ---------------------------------------------------------------------------------- */

typedef struct Value Value;

typedef union {
    double number; /* on a leaf 0.0, and while a sweep runs the sum of its contributions */
    Value *node;
} Slot;

struct Value {
    PyObject_HEAD
    double data;
    union {
        double grad;
        Value *next; /* of a node that is being freed, or is free */
    };
    Slot x, y;
    PyObject *label; /* NULL where there is none */
    uint64_t word;   /* stamp, row and flags */
};

/* The word: 50 bits of stamp (half a year of recording without a pause), 8 of row, 6 flags. Of two
   words the larger has the later stamp, for no two nodes share one. */
enum {
    READY = 1 << 0,         /* __init__ has run */
    REQUIRES_GRAD = 1 << 1, /* gradients reach this node */
    X_NODE = 1 << 2,        /* the left slot holds a node */
    Y_NODE = 1 << 3,
    FOUND = 1 << 4,  /* by the walk that is running, and without a gradient yet */
    WANTED = 1 << 5, /* by the sweep that is running */
    ROW_SHIFT = 6,
    STAMP_SHIFT = 14,
};

_Static_assert(sizeof(void *) != 8 || sizeof(Value) == 64, "a node is 64 bytes");
/* Beside the rows of the table those of a selection: SELECT and then OPTIONS of ops.py. */
enum { ALL_ROWS = ROWS + 2 };

_Static_assert(ALL_ROWS <= 1 << (STAMP_SHIFT - ROW_SHIFT), "the row has 8 bits");

static PyTypeObject *value_type;
static PyObject *row_objects[ALL_ROWS]; /* by row; NULL for LEAF */
static PyObject *pure;              /* by name, what the pure engine serves */
static PyObject *modes_thread;      /* modes.thread */
static int modes_active;            /* mirrors modes.active */
static int tracing;                 /* mirrors modes.tracing */
static uint64_t clock_word;         /* the stamp last given, in its place in the word */

static Py_ssize_t live_count;       /* nodes in use */

static inline enum Row row_of(const Value *node)
{
    return (enum Row)(node->word >> ROW_SHIFT & 0xff);
}

static inline bool has(const Value *node, uint64_t flags)
{
    return (node->word & flags) != 0;
}

static inline uint64_t tick(void)
{
    return clock_word += UINT64_C(1) << STAMP_SHIFT;
}

static inline bool is_stale(const Value *node, const Value *operand)
{
    return operand->word > node->word;
}

static inline bool is_value(PyObject *object)
{
    return Py_IS_TYPE(object, value_type) || PyObject_TypeCheck(object, value_type);
}

static inline double x_data(const Value *node)
{
    return has(node, X_NODE) ? node->x.node->data : node->x.number;
}

static inline double y_data(const Value *node)
{
    return has(node, Y_NODE) ? node->y.node->data : node->y.number;
}

/* What the pure engine serves. --------------------------------------------------------------- */

static PyObject *pure_named(const char *name)
{
    PyObject *object = PyDict_GetItemString(pure, name);
    if (!object) {
        PyErr_Format(PyExc_SystemError, "the native engine is not connected to %s", name);
    }
    return object;
}

static COLD PyObject *call_pure(const char *name, PyObject *const *args, size_t count,
                                PyObject *names)
{
    PyObject *function = pure_named(name);
    return function ? PyObject_Vectorcall(function, args, count, names) : NULL;
}

/* _refuse_traced(self, use) of value.py; 0, or -1 with an error set. */
static COLD int refuse_traced(PyObject *self, const char *use)
{
    PyObject *function = pure_named("_refuse_traced");
    PyObject *result = function ? PyObject_CallFunction(function, "Os", self, use) : NULL;
    Py_XDECREF(result);
    return result ? 0 : -1;
}

/* number(x, name) of value.py; 0, or -1 with an error set. */
static COLD int to_number(PyObject *x, const char *name, double *number)
{
    PyObject *function = pure_named("number");
    PyObject *result = function ? PyObject_CallFunction(function, "Os", x, name) : NULL;
    if (!result) {
        return -1;
    }
    *number = PyFloat_AsDouble(result);
    Py_DECREF(result);
    return 0;
}

/* The float nearest to an exact int; beyond all floats ±inf. */
static double int_to_number(PyObject *x)
{
    int overflow;
    long long small = PyLong_AsLongLongAndOverflow(x, &overflow);
    if (!overflow) {
        return (double)small;
    }
    double number = PyLong_AsDouble(x);
    if (number == -1.0 && PyErr_Occurred()) {
        PyErr_Clear();
        return overflow * INFINITY;
    }
    return number;
}

/* Primitives whose bits are CPython's own; nan with an error set where the call fails. */
static double call_primitive(const char *name, const double *operands, int arity)
{
    PyObject *function = PyErr_Occurred() ? NULL : pure_named(name);
    PyObject *args[2] = {NULL, NULL}, *result = NULL;
    bool ready = function != NULL;
    for (int i = 0; ready && i < arity; i++) {
        ready = (args[i] = PyFloat_FromDouble(operands[i])) != NULL;
    }
    if (ready) {
        result = PyObject_Vectorcall(function, args, (size_t)arity, NULL);
    }
    Py_XDECREF(args[0]);
    Py_XDECREF(args[1]);
    double number = result ? PyFloat_AsDouble(result) : NAN;
    Py_XDECREF(result);
    return number;
}

/* Whether a kernel failed in such a primitive. */
static inline bool failed(double result)
{
    return UNLIKELY(isnan(result)) && PyErr_Occurred();
}

/* Making and freeing. ------------------------------------------------------------------------ */

/* Plain nodes live in slabs: blocks of memory at a multiple of their size, so that a node's address
   tells its slab. A slab gives out its nodes in the order of their addresses, and again from the
   first when all of them are dead. So a graph lies in memory as it was recorded, however often one
   is recorded and freed, and each node in one line of the cache. */
typedef struct Slab Slab;

struct Slab {
    Slab *next, **link; /* in the list that it is in; link is NULL in none */
    Value *dead;        /* of the nodes that were given out, those that are dead */
    uint32_t given, living;
};

enum {
    SLAB_SIZE = 1 << 18,
    SLAB_NODES = SLAB_SIZE / sizeof(Value) - 1, /* the slab itself stands in the place of one */
    SPARE_SLABS = 1 << 5,                       /* 8 MB */
};

_Static_assert(sizeof(Slab) <= sizeof(Value), "a slab stands in the place of a node");

static Slab *current; /* gives out the next node */
static Slab *spare;   /* slabs without a living node, so many: */
static int spare_count;
static Slab *mixed; /* slabs with living nodes and dead ones */

static void enlist(Slab *slab, Slab **list)
{
    slab->next = *list;
    slab->link = list;
    if (slab->next) {
        slab->next->link = &slab->next;
    }
    *list = slab;
}

static void delist(Slab *slab)
{
    *slab->link = slab->next;
    if (slab->next) {
        slab->next->link = slab->link;
    }
    slab->link = NULL;
}

/* Another slab becomes the current one. */
static NOINLINE bool change_slab(void)
{
    Slab *slab = spare ? spare : mixed;
    if (slab) {
        spare_count -= slab == spare;
        delist(slab);
    }
    else {
        slab = ALIGNED_ALLOC(SLAB_SIZE);
        if (!slab) {
            return false;
        }
        *slab = (Slab){0};
    }
    current = slab;
    return true;
}

/* A slab that is not the current one has lost a node. */
static NOINLINE void sort_slab(Slab *slab)
{
    if (slab->link) {
        delist(slab);
    }
    if (slab->living) {
        enlist(slab, &mixed);
    }
    else if (spare_count < SPARE_SLABS) {
        enlist(slab, &spare);
        spare_count++;
    }
    else {
        ALIGNED_FREE(slab);
    }
}

/* The next node of the current slab, or where all were given out, the one that died last. */
static ALWAYS_INLINE Value *take_node(void)
{
    if (UNLIKELY(!current || (current->given == SLAB_NODES && !current->dead)) && !change_slab()) {
        return NULL;
    }
    current->living++;
    if (current->given < SLAB_NODES) {
        return (Value *)current + ++current->given;
    }
    Value *node = current->dead;
    current->dead = node->next;
    return node;
}

static ALWAYS_INLINE void give_node(Value *node)
{
    Slab *slab = (Slab *)((uintptr_t)node & ~(uintptr_t)(SLAB_SIZE - 1));
    node->next = slab->dead;
    slab->dead = node;
    slab->living--;
    if (UNLIKELY(!slab->living)) {
        slab->dead = NULL;
        slab->given = 0;
    }
    if (UNLIKELY(slab != current && (!slab->link || !slab->living))) {
        sort_slab(slab);
    }
}

/* A plain Value whose data, grad, slots, label and word are still to be set. The type outlives
   every node, so that a plain node holds no reference to it. Nor does the collector know a plain
   node: it points to older nodes only. (One cycle is therefore never collected: that of a node
   which an attribute of a subclass holds, and which was computed from the object it is on.) */
static inline Value *allocate(void)
{
    Value *node = RECYCLE_NODES ? take_node() : PyMem_RawMalloc(sizeof(Value));
    if (UNLIKELY(!node)) {
        PyErr_NoMemory();
        return NULL;
    }
    live_count++;
    node->ob_base.ob_type = value_type;
    node->ob_base.ob_refcnt = 1; /* Py_SET_REFCNT could take what fresh memory holds for immortal */
    return node;
}

static inline void release(Value *node)
{
    live_count--;
    if (RECYCLE_NODES) {
        give_node(node);
    }
    else {
        PyMem_RawFree(node);
    }
}

/* Give up one reference to an operand; a plain node that dies of it joins the pending ones. */
static inline void give_up(Value *operand, Value **pending)
{
    if (Py_REFCNT(operand) == 1 && Py_IS_TYPE((PyObject *)operand, value_type)) {
        operand->next = *pending;
        *pending = operand;
    }
    else {
        Py_DECREF(operand);
    }
}

/* Free plain nodes and all that only they kept alive, without recursion. */
static void free_nodes(Value *pending)
{
    while (pending) {
        Value *node = pending;
        pending = node->next;
        if (has(node, X_NODE)) {
            give_up(node->x.node, &pending);
        }
        if (has(node, Y_NODE)) {
            give_up(node->y.node, &pending);
        }
        PyObject *label = node->label;
        release(node);
        Py_XDECREF(label);
    }
}

/* Make a node a leaf, which holds no operands. */
static void drop_operands(Value *node)
{
    Value *pending = NULL, *x = has(node, X_NODE) ? node->x.node : NULL,
          *y = has(node, Y_NODE) ? node->y.node : NULL;
    node->word &= ~(uint64_t)(X_NODE | Y_NODE | 0xff << ROW_SHIFT);
    node->x.number = node->y.number = 0.0;
    if (x) {
        give_up(x, &pending);
    }
    if (y) {
        give_up(y, &pending);
    }
    free_nodes(pending);
}

static void value_dealloc(PyObject *self)
{
    Value *node = (Value *)self;
    if (Py_IS_TYPE(self, value_type)) {
        node->next = NULL;
        free_nodes(node);
        return;
    }
    PyTypeObject *type = Py_TYPE(self);
    drop_operands(node);
    Py_CLEAR(node->label);
    type->tp_free(self);
    live_count--;
    Py_DECREF(type);
}

/* A function of its own keeps `__class__` from being written between Value and its subclasses:
   only their objects hold a reference to their type. */
static void value_free(void *memory)
{
    PyObject_Free(memory);
}

static PyObject *value_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kw))
{
    if (type != value_type) {
        PyObject *self = type->tp_alloc(type, 0);
        live_count += self != NULL;
        return self;
    }
    Value *node = allocate();
    if (node) {
        node->data = node->grad = node->x.number = node->y.number = 0.0;
        node->label = NULL;
        node->word = 0;
    }
    return (PyObject *)node;
}
