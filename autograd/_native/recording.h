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

/* _under_modes(node) of value.py; takes over the reference to the node. */
static COLD PyObject *under_modes(Value *node)
{
    PyObject *anomaly = PyObject_GetAttrString(modes_thread, "anomaly");
    PyObject *recording = PyObject_GetAttrString(modes_thread, "recording");
    PyObject *result = NULL;
    if (!anomaly || !recording) {
        Py_DECREF(node);
    }
    else if (anomaly != Py_None) {
        result = call_pure("_under_modes", (PyObject *const *)&node, 1, NULL);
        Py_DECREF(node);
    }
    else {
        if (recording == Py_False) {
            drop_operands(node);
            node->word &= ~(uint64_t)REQUIRES_GRAD;
        }
        result = (PyObject *)node;
    }
    Py_XDECREF(anomaly);
    Py_XDECREF(recording);
    return result;
}

/* Put an operand into a slot; the flags it brings. */
static ALWAYS_INLINE uint64_t fill(Slot *slot, Operand operand, uint64_t is_node)
{
    if (!operand.node) {
        slot->number = operand.number;
        return 0;
    }
    Py_INCREF(operand.node);
    slot->node = operand.node;
    return is_node | (operand.node->word & REQUIRES_GRAD);
}

static ALWAYS_INLINE PyObject *record(enum Row row, double data, Operand x, Operand y)
{
    Value *node = allocate();
    if (UNLIKELY(!node)) {
        return NULL;
    }
    node->data = data;
    node->grad = 0.0;
    node->label = NULL;
    uint64_t flags = fill(&node->x, x, X_NODE) | fill(&node->y, y, Y_NODE);
    node->word = tick() | (uint64_t)row << ROW_SHIFT | READY | flags;
    return UNLIKELY(modes_active) ? under_modes(node) : (PyObject *)node;
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
    return read_node(&x) < 0 ? -1 : x.number != 0.0;
}

static Py_hash_t value_hash(PyObject *self)
{
    return PyBaseObject_Type.tp_hash(self);
}

static PyObject *operator_compare(PyObject *left, PyObject *right, int comparison)
{
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

/* An operand that may be a result on the way: a node is then a reference of ours. */
static int step_with(Operand *total, enum Row row, double data, Operand x, Operand y)
{
    if (!x.node && !y.node) {
        *total = (Operand){NULL, data};
        return 0;
    }
    Value *node = (Value *)record(row, data, x, y);
    *total = (Operand){node, data};
    return node ? 0 : -1;
}

static int add_to(Operand *total, Operand y)
{
    Operand before = *total;
    int status = step_with(total, ROW_add, value_add(before.number, y.number), before, y);
    Py_XDECREF(before.node);
    return status;
}

static PyObject *finish(Operand total)
{
    return total.node ? (PyObject *)total.node : PyFloat_FromDouble(total.number);
}

/* The operands of a list or tuple of Values, floats and ints; NULL, perhaps with an error set,
   where it holds anything else or a mode is on: modes run Python, which may change a list. */
static Operand *operands_of(PyObject *sequence, Py_ssize_t *count)
{
    if (modes_active || !(PyList_CheckExact(sequence) || PyTuple_CheckExact(sequence))) {
        return NULL;
    }
    *count = PySequence_Fast_GET_SIZE(sequence);
    PyObject **items = PySequence_Fast_ITEMS(sequence);
    Operand *operands = PyMem_New(Operand, (size_t)*count + 1);
    if (!operands) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < *count; i++) {
        if (!plain_operand(items[i], &operands[i])) {
            PyMem_Free(operands);
            return NULL;
        }
    }
    return operands;
}

static PyObject *function_sum(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs,
                              PyObject *names)
{
    Py_ssize_t count = 0;
    Operand *operands = nargs == 1 && !names ? operands_of(args[0], &count) : NULL;
    if (!operands || count == 0 || !operands[0].node) {
        PyMem_Free(operands);
        return PyErr_Occurred() ? NULL : call_pure("sum", args, (size_t)nargs, names);
    }
    Operand total = operands[0];
    Py_INCREF(total.node);
    int status = 0;
    for (Py_ssize_t i = 1; i < count && status == 0; i++) {
        status = add_to(&total, operands[i]);
    }
    PyMem_Free(operands);
    return status < 0 ? NULL : finish(total);
}

/* The products, then their sum, then the bias: the nodes of the pure dot, in its order. */
static PyObject *dot(const Operand *a, const Operand *b, Py_ssize_t count, const Operand *bias)
{
    Operand total = nothing;
    Operand *products = PyMem_New(Operand, (size_t)count + 1);
    if (!products) {
        return PyErr_NoMemory();
    }
    int status = 0;
    Py_ssize_t made = 0, added = 0;
    for (; made < count && status == 0; made++) {
        status = step_with(&products[made], ROW_mul, value_mul(a[made].number, b[made].number),
                           a[made], b[made]);
    }
    if (count && status == 0) {
        total = products[added++];
    }
    for (; added < count && status == 0; added++) {
        status = add_to(&total, products[added]);
        Py_XDECREF(products[added].node);
    }
    if (bias && status == 0) {
        status = add_to(&total, *bias);
    }
    for (; added < made; added++) {
        Py_XDECREF(products[added].node);
    }
    PyMem_Free(products);
    return status < 0 ? NULL : finish(total);
}

static PyObject *function_dot(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs,
                              PyObject *names)
{
    Operand *a = NULL, *b = NULL, bias;
    Py_ssize_t a_count = 0, b_count = 0;
    bool biased = nargs == 3 && args[2] != Py_None;
    PyObject *result = NULL;
    if ((nargs == 2 || nargs == 3) && !names && (!biased || plain_operand(args[2], &bias))) {
        a = operands_of(args[0], &a_count);
        b = a ? operands_of(args[1], &b_count) : NULL;
    }
    if (b && a_count == b_count) {
        result = dot(a, b, a_count, biased ? &bias : NULL);
    }
    else if (!PyErr_Occurred()) {
        result = call_pure("dot", args, (size_t)nargs, names);
    }
    PyMem_Free(a);
    PyMem_Free(b);
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
    for (int row = 1; row < ROWS; row++) {
        if (row_objects[row] == args[0]) {
            return record((enum Row)row, data, x, y);
        }
    }
    return PyErr_Format(PyExc_TypeError, "op must be a row of the table, received %R", args[0]);
}
