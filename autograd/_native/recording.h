/* Recording: operators, methods and functions that make nodes. A part of engine.c, which includes it. */

/* Recording. --------------------------------------------------------------------------------- */

/* What stands in an operand slot, and the number it stands for. */
typedef struct {
    Value *node; /* NULL for a number */
    double number;
} Operand;

static const Operand nothing = {NULL, 0.0};

/* CPython's own error for a slot that was never written. */
static COLD int not_ready(Value *node, const char *attribute)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyErr_Format(PyExc_AttributeError, "'%T' object has no attribute '%s'", node, attribute);
#else
    PyErr_Format(PyExc_AttributeError, "'%.200s' object has no attribute '%s'",
                 Py_TYPE(node)->tp_name, attribute);
#endif
    return -1;
}

/* The number of a node; -1 with an error set where __init__ has not run. */
static ALWAYS_INLINE int read_node(Operand *operand)
{
    operand->number = operand->node->data;
    return UNLIKELY(!has(operand->node, READY)) ? not_ready(operand->node, "_data") : 0;
}

/* The kinds of plain operands that are not the most frequent. */
static NOINLINE bool cool_operand(PyObject *object, Operand *operand)
{
    if (PyLong_CheckExact(object)) {
        *operand = (Operand){NULL, int_to_number(object)};
        return true;
    }
    if (!PyObject_TypeCheck(object, value_type)) {
        return false;
    }
    *operand = (Operand){(Value *)object, ((Value *)object)->data};
    return has(operand->node, READY);
}

/* Whether object is a Value that __init__ has made, a float or an int, and then the operand that
   it is. Neither this nor recording it runs Python. */
static ALWAYS_INLINE bool plain_operand(PyObject *object, Operand *operand)
{
    if (Py_IS_TYPE(object, value_type)) {
        *operand = (Operand){(Value *)object, ((Value *)object)->data};
        return has(operand->node, READY);
    }
    if (PyFloat_CheckExact(object)) {
        *operand = (Operand){NULL, PyFloat_AS_DOUBLE(object)};
        return true;
    }
    if (Py_TYPE(object)->tp_base == value_type) { /* such as a Parameter */
        *operand = (Operand){(Value *)object, ((Value *)object)->data};
        return has(operand->node, READY);
    }
    return cool_operand(object, operand);
}

/* 1 for a Value, whose number is still to be read, or a real number; 0 for anything else; -1 with
   an error set. */
static int any_operand(PyObject *object, Operand *operand)
{
    *operand = nothing;
    if (is_value(object)) {
        operand->node = (Value *)object;
        return 1;
    }
    if (plain_operand(object, operand)) {
        return 1;
    }
    PyObject *number = call_pure("_constant", &object, 1, NULL);
    if (!number) {
        return -1;
    }
    int taken = number != Py_NotImplemented;
    operand->number = taken ? PyFloat_AsDouble(number) : 0.0;
    Py_DECREF(number);
    return taken;
}

/* The same for both operands. Nodes are read last, for the __float__ of a foreign number may run
   any Python. */
static COLD int any_operands(PyObject *left, PyObject *right, Operand *x, Operand *y)
{
    int taken = any_operand(left, x);
    if (taken > 0) {
        taken = any_operand(right, y);
    }
    if (taken > 0 && ((x->node && read_node(x) < 0) || (y->node && read_node(y) < 0))) {
        taken = -1;
    }
    return taken;
}

/* What the modes of this thread ask of recording. */
typedef struct {
    bool anomaly, recording, trace;
} Modes;

/* Read them; false with an error set where that fails. */
static COLD bool read_modes(Modes *modes)
{
    PyObject *anomaly = PyObject_GetAttrString(modes_thread, "anomaly");
    PyObject *recording = PyObject_GetAttrString(modes_thread, "recording");
    PyObject *trace = PyObject_GetAttrString(modes_thread, "trace");
    bool read = anomaly && recording && trace;
    if (read) {
        *modes = (Modes){anomaly != Py_None, recording != Py_False, trace != Py_None};
    }
    Py_XDECREF(anomaly);
    Py_XDECREF(recording);
    Py_XDECREF(trace);
    return read;
}

/* _under_modes(node) of value.py; takes over the reference to the node. */
static COLD PyObject *under_modes(Value *node)
{
    Modes modes;
    PyObject *result = NULL;
    if (!read_modes(&modes)) {
        Py_DECREF(node);
    }
    else if (modes.anomaly) {
        result = call_pure("_under_modes", (PyObject *const *)&node, 1, NULL);
        Py_DECREF(node);
    }
    else {
        if (!modes.recording) {
            if (!modes.trace) {
                drop_operands(node);
            }
            node->word &= ~(uint64_t)REQUIRES_GRAD;
        }
        result = (PyObject *)node;
    }
    return result;
}

/* Put an operand into a slot, with the reference to it; the flags it brings. */
static ALWAYS_INLINE uint64_t fill(Slot *slot, Operand operand, uint64_t is_node)
{
    if (!operand.node) {
        slot->number = operand.number;
        return 0;
    }
    slot->node = operand.node;
    return is_node | (operand.node->word & REQUIRES_GRAD);
}

/* record, which takes over the references to the operands. */
static ALWAYS_INLINE PyObject *record_taking(enum Row row, double data, Operand x, Operand y)
{
    Value *node = allocate();
    if (UNLIKELY(!node)) {
        Py_XDECREF(x.node);
        Py_XDECREF(y.node);
        return NULL;
    }
    node->data = data;
    node->grad = 0.0;
    node->label = NULL;
    uint64_t flags = fill(&node->x, x, X_NODE) | fill(&node->y, y, Y_NODE);
    node->word = tick() | (uint64_t)row << ROW_SHIFT | READY | flags;
    return UNLIKELY(modes_active) ? under_modes(node) : (PyObject *)node;
}

static ALWAYS_INLINE PyObject *record(enum Row row, double data, Operand x, Operand y)
{
    Py_XINCREF(x.node);
    Py_XINCREF(y.node);
    return record_taking(row, data, x, y);
}

#define TAKE_OPERANDS(left, right)                                                             \
    Operand x, y;                                                                              \
    if (UNLIKELY(!plain_operand(left, &x) || !plain_operand(right, &y))) {                     \
        int taken = any_operands(left, right, &x, &y);                                         \
        if (taken <= 0) {                                                                      \
            return taken < 0 ? NULL : Py_NewRef(Py_NotImplemented);                            \
        }                                                                                      \
    }

#define BINARY_OPERATOR(name)                                                                  \
    static PyObject *operator_##name(PyObject *left, PyObject *right)                          \
    {                                                                                          \
        TAKE_OPERANDS(left, right)                                                             \
        return record(ROW_##name, value_##name(x.number, y.number), x, y);                     \
    }

BINARY_OPERATOR(add)
BINARY_OPERATOR(sub)
BINARY_OPERATOR(mul)
BINARY_OPERATOR(div)

static PyObject *operator_pow(PyObject *left, PyObject *right, PyObject *modulus)
{
    if (modulus != Py_None) {
        return Py_NewRef(Py_NotImplemented);
    }
    TAKE_OPERANDS(left, right)
    if (!y.node && y.number == 2.0) {
        return record(ROW_square, value_square(x.number), x, nothing);
    }
    return record(ROW_pow, value_pow(x.number, y.number), x, y);
}

/* The unary rows as methods. */
#define METHOD(name)                                                                           \
    static PyObject *method_##name(PyObject *self, PyObject *Py_UNUSED(ignored))               \
    {                                                                                          \
        Operand x = {(Value *)self, 0.0};                                                      \
        if (read_node(&x) < 0) {                                                               \
            return NULL;                                                                       \
        }                                                                                      \
        double z = value_##name(x.number);                                                     \
        return failed(z) ? NULL : record(ROW_##name, z, x, nothing);                           \
    }

EACH_UNARY_ROW(METHOD)

/* The binary rows as methods; `_native/__init__.py` picks those that the pure Value has. */
#define BINARY_METHOD(name)                                                                    \
    static PyObject *method_##name(PyObject *left, PyObject *right)                            \
    {                                                                                          \
        TAKE_OPERANDS(left, right)                                                             \
        double z = value_##name(x.number, y.number);                                           \
        return failed(z) ? NULL : record(ROW_##name, z, x, y);                                 \
    }

EACH_BINARY_ROW(BINARY_METHOD)

static PyObject *operator_neg(PyObject *self)
{
    return method_neg(self, NULL);
}

static PyObject *operator_pos(PyObject *self)
{
    return method_pos(self, NULL);
}

static PyObject *operator_abs(PyObject *self)
{
    return method_abs(self, NULL);
}

static int operator_bool(PyObject *self)
{
    Operand x = {(Value *)self, 0.0};
    if (read_node(&x) < 0 || (UNLIKELY(tracing) && refuse_traced(self, "bool") < 0)) {
        return -1;
    }
    return x.number != 0.0;
}

static Py_hash_t value_hash(PyObject *self)
{
    return PyBaseObject_Type.tp_hash(self);
}

/* The comparison of the pure Value, which gives a predicate while a function is traced. */
static COLD PyObject *compare_traced(PyObject *left, PyObject *right, int comparison)
{
    static const char *const names[] = {"__lt__", "__le__", "__eq__", "__ne__", "__gt__", "__ge__"};
    PyObject *type = pure_named("Value"), *args[] = {left, right};
    PyObject *method = type ? PyObject_GetAttrString(type, names[comparison]) : NULL;
    PyObject *result = method ? PyObject_Vectorcall(method, args, 2, NULL) : NULL;
    Py_XDECREF(method);
    return result;
}

static PyObject *operator_compare(PyObject *left, PyObject *right, int comparison)
{
    if (UNLIKELY(tracing)) {
        return compare_traced(left, right, comparison);
    }
    TAKE_OPERANDS(left, right)
    Py_RETURN_RICHCOMPARE(x.number, y.number, comparison);
}

/* Functions of functional.py: what they do with Values, floats and ints; the rest is the pure
   function's. */

#define UNARY_FUNCTION(name)                                                                   \
    static PyObject *function_##name(PyObject *Py_UNUSED(module), PyObject *const *args,       \
                                     Py_ssize_t count, PyObject *names)                        \
    {                                                                                          \
        Operand x;                                                                             \
        if (count != 1 || names || !plain_operand(args[0], &x)) {                             \
            return call_pure(#name, args, (size_t)count, names);                               \
        }                                                                                      \
        double z = value_##name(x.number);                                                     \
        if (failed(z)) {                                                                       \
            return NULL;                                                                       \
        }                                                                                      \
        return x.node ? record(ROW_##name, z, x, nothing) : PyFloat_FromDouble(z);             \
    }

#define BINARY_FUNCTION(name)                                                                  \
    static PyObject *function_##name(PyObject *Py_UNUSED(module), PyObject *const *args,       \
                                     Py_ssize_t count, PyObject *names)                        \
    {                                                                                          \
        Operand x, y;                                                                          \
        if (count != 2 || names || !plain_operand(args[0], &x) ||                             \
            !plain_operand(args[1], &y)) {                                                    \
            return call_pure(#name, args, (size_t)count, names);                               \
        }                                                                                      \
        double z = value_##name(x.number, y.number);                                           \
        if (failed(z)) {                                                                       \
            return NULL;                                                                       \
        }                                                                                      \
        return x.node || y.node ? record(ROW_##name, z, x, y) : PyFloat_FromDouble(z);         \
    }

EACH_UNARY_ROW(UNARY_FUNCTION)
EACH_BINARY_ROW(BINARY_FUNCTION)

/* An operand that may be a result on the way. Those that made it give up their references. */
static ALWAYS_INLINE int step_with(Operand *result, enum Row row, double data, Operand x, Operand y)
{
    *result = (Operand){NULL, data};
    if (x.node || y.node) {
        result->node = (Value *)record_taking(row, data, x, y);
        return result->node ? 0 : -1;
    }
    return 0;
}

static ALWAYS_INLINE int add_to(Operand *total, Operand y)
{
    return step_with(total, ROW_add, value_add(total->number, y.number), *total, y);
}

static PyObject *finish(Operand total)
{
    return total.node ? (PyObject *)total.node : PyFloat_FromDouble(total.number);
}

/* Room for operands, without a call for memory where they are few. */
enum { FEW = 64 };

typedef struct {
    Operand few[FEW], *items;
    Py_ssize_t count;
} Operands;

static bool make_room(Operands *operands, Py_ssize_t count)
{
    operands->count = count;
    operands->items = count <= FEW ? operands->few : PyMem_New(Operand, (size_t)count);
    if (!operands->items) {
        PyErr_NoMemory();
    }
    return operands->items != NULL;
}

static void free_room(Operands *operands)
{
    if (operands->items != operands->few) {
        PyMem_Free(operands->items);
    }
}

/* How a function of lists records under the modes of this thread. The pure one serves where a mode
   runs Python for each node, which may change a list. */
enum Manner { RECORDED, CONSTANT, PURE };

static enum Manner manner_of_recording(void)
{
    Modes modes;
    if (!UNLIKELY(modes_active)) {
        return RECORDED;
    }
    if (!read_modes(&modes)) {
        PyErr_Clear(); /* the pure one meets it again */
        return PURE;
    }
    if (modes.anomaly || (modes.trace && !modes.recording)) {
        return PURE;
    }
    return modes.recording ? RECORDED : CONSTANT;
}

/* A result that was computed just now, as the manner wants it. */
static PyObject *in_manner(enum Manner manner, PyObject *result)
{
    if (manner == CONSTANT && result && is_value(result)) {
        drop_operands((Value *)result);
        ((Value *)result)->word &= ~(uint64_t)REQUIRES_GRAD;
    }
    return result;
}

/* The operands of a list or tuple of Values, floats and ints; false, perhaps with an error set,
   where it holds anything else. */
static bool take_list(PyObject *sequence, Operands *operands)
{
    if (!(PyList_CheckExact(sequence) || PyTuple_CheckExact(sequence))) {
        operands->items = NULL;
        return false;
    }
    PyObject **items = PySequence_Fast_ITEMS(sequence);
    bool plain = make_room(operands, PySequence_Fast_GET_SIZE(sequence));
    for (Py_ssize_t i = 0; plain && i < operands->count; i++) {
        plain = plain_operand(items[i], &operands->items[i]);
    }
    return plain;
}

static PyObject *function_sum(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs,
                              PyObject *names)
{
    Operands xs;
    xs.items = NULL;
    PyObject *result = NULL;
    enum Manner manner = manner_of_recording();
    if (nargs == 1 && !names && manner != PURE && take_list(args[0], &xs) && xs.count > 1 &&
        xs.items[0].node) {
        int active = modes_active;
        modes_active = 0; /* what they ask is done at the end */
        Operand total = xs.items[0];
        Py_INCREF(total.node);
        int status = 0;
        for (Py_ssize_t i = 1; i < xs.count && status == 0; i++) {
            Py_XINCREF(xs.items[i].node);
            status = add_to(&total, xs.items[i]);
        }
        modes_active = active;
        result = status < 0 ? NULL : in_manner(manner, finish(total));
    }
    else if (!PyErr_Occurred()) {
        result = call_pure("sum", args, (size_t)nargs, names);
    }
    free_room(&xs);
    return result;
}

/* The products, then their sum, then the bias: the nodes of the pure dot, in its order. */
static PyObject *dot(const Operands *a, const Operands *b, Operand bias, bool biased)
{
    Operands products;
    if (!make_room(&products, a->count)) {
        return NULL;
    }
    Operand total = nothing;
    int status = 0;
    Py_ssize_t made = 0, added = 0;
    for (; made < a->count && status == 0; made++) {
        Operand x = a->items[made], y = b->items[made];
        Py_XINCREF(x.node);
        Py_XINCREF(y.node);
        status = step_with(&products.items[made], ROW_mul, value_mul(x.number, y.number), x, y);
    }
    if (a->count && status == 0) {
        total = products.items[added++];
    }
    for (; added < a->count && status == 0; added++) {
        status = add_to(&total, products.items[added]);
    }
    if (biased && status == 0) {
        Py_XINCREF(bias.node);
        status = add_to(&total, bias);
    }
    for (; added < made; added++) {
        Py_XDECREF(products.items[added].node);
    }
    free_room(&products);
    return status < 0 ? NULL : finish(total);
}

static PyObject *function_dot(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs,
                              PyObject *names)
{
    Operands a, b;
    a.items = b.items = NULL;
    Operand bias = nothing;
    bool biased = nargs == 3 && args[2] != Py_None;
    PyObject *result = NULL;
    enum Manner manner = manner_of_recording();
    if (manner != PURE && (nargs == 2 || nargs == 3) && !names && (!biased || plain_operand(args[2], &bias)) &&
        take_list(args[0], &a) && take_list(args[1], &b) && a.count == b.count) {
        int active = modes_active;
        modes_active = 0; /* what they ask is done at the end */
        result = dot(&a, &b, bias, biased);
        modes_active = active;
        result = in_manner(manner, result);
    }
    else if (!PyErr_Occurred()) {
        result = call_pure("dot", args, (size_t)nargs, names);
    }
    free_room(&a);
    free_room(&b);
    return result;
}

/* record(op, data, x, y) of value.py, for whatever builds nodes in Python. */
static PyObject *function_record(PyObject *Py_UNUSED(module), PyObject *const *args,
                                 Py_ssize_t count)
{
    Operand x, y;
    if (count != 4) {
        return PyErr_Format(PyExc_TypeError, "record takes 4 arguments, received %zd", count);
    }
    double data = PyFloat_AsDouble(args[1]);
    if (data == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    if (!plain_operand(args[2], &x) || !plain_operand(args[3], &y)) {
        return PyErr_Format(PyExc_TypeError, "x and y must be Values or floats, received %R and %R",
                            args[2], args[3]);
    }
    for (int row = ALL_ROWS - 1; row > LEAF; row--) { /* those of a selection first */
        if (row_objects[row] == args[0]) {
            return record((enum Row)row, data, x, y);
        }
    }
    return PyErr_Format(PyExc_TypeError, "op must be a row, received %R", args[0]);
}
