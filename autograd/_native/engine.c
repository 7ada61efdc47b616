/* The native engine: recording, the walk, the sweep and freeing, over plain structs.

   value.py, graph.py, backward.py and functional.py are the specification. Whatever is not hot
   stays there: `autograd/_native/__init__.py` gives the type the cold methods of the pure `Value`,
   and each function here hands what it does not serve to the pure function of the same name. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "kernels.h"

#ifndef FREE_LIST_CAPACITY
#define FREE_LIST_CAPACITY (1 << 17)
#endif

#if defined(__GNUC__)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define NOINLINE __attribute__((noinline))
#define COLD __attribute__((noinline, cold))
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define UNLIKELY(condition) (condition)
#define NOINLINE
#define COLD
#define ALWAYS_INLINE inline
#define PREFETCH(address) ((void)(address))
#endif

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
_Static_assert(ROWS <= 1 << (STAMP_SHIFT - ROW_SHIFT), "the row has 8 bits");

static PyTypeObject *value_type;
static PyObject *row_objects[ROWS]; /* the rows of the table; NULL for LEAF */
static PyObject *pure;              /* by name, what the pure engine serves */
static PyObject *modes_thread;      /* modes.thread */
static int modes_active;            /* mirrors modes.active */
static uint64_t clock_word;         /* the stamp last given, in its place in the word */

static Value *free_list;
static Py_ssize_t free_count, allocated_count;

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

/* A plain Value whose data, grad, slots, label and word are still to be set. The type outlives
   every node, so that a plain node holds no reference to it. Nor does the collector know a plain
   node: it points to older nodes only. (One cycle is therefore never collected: that of a node
   which an attribute of a subclass holds, and which was computed from the object it is on.) */
static inline Value *allocate(void)
{
    Value *node = free_list;
    if (UNLIKELY(!node)) {
        node = PyObject_Malloc(sizeof(Value));
        if (!node) {
            PyErr_NoMemory();
            return NULL;
        }
        allocated_count++;
        node->ob_base.ob_type = value_type;
    }
    else {
        free_list = node->next;
        free_count--;
    }
    node->ob_base.ob_refcnt = 1; /* Py_SET_REFCNT could take what fresh memory holds for immortal */
    return node;
}

static inline void release(Value *node)
{
    if (UNLIKELY(free_count >= FREE_LIST_CAPACITY)) {
        allocated_count--;
        PyObject_Free(node);
        return;
    }
    node->next = free_list;
    free_list = node;
    free_count++;
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
    allocated_count--;
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
        allocated_count += self != NULL;
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

/* The walk. ---------------------------------------------------------------------------------- */

/* Nodes by reference: nothing here runs Python while they are in use, so nothing dies. */
typedef struct {
    Value **items;
    size_t count, capacity;
} Nodes;

static int append(Nodes *nodes, Value *node)
{
    if (nodes->count == nodes->capacity) {
        size_t capacity = nodes->capacity ? 2 * nodes->capacity : 256;
        Value **items = PyMem_RawRealloc(nodes->items, capacity * sizeof(Value *));
        if (!items) {
            PyErr_NoMemory();
            return -1;
        }
        nodes->items = items;
        nodes->capacity = capacity;
    }
    nodes->items[nodes->count++] = node;
    return 0;
}

static int find(Nodes *found, Value *node)
{
    if (has(node, FOUND)) {
        return 0;
    }
    if (append(found, node) < 0) {
        return -1;
    }
    node->word |= FOUND;
    return 0;
}

static void forget(Nodes *found)
{
    for (size_t i = 0; i < found->count; i++) {
        found->items[i]->word &= ~(uint64_t)(FOUND | WANTED);
    }
}

/* A computed node that was not recorded before the stamp `since`: what the walk goes through. */
static inline bool is_operation(const Value *node, uint64_t since)
{
    return row_of(node) != LEAF && node->word >> STAMP_SHIFT >= since;
}

/* Find all nodes below those that are found already. Then `*stale` tells whether one of them was
   written after it was used. */
static int walk(Nodes *found, uint64_t since, bool *stale)
{
    for (size_t i = 0; i < found->count; i++) {
        Value *node = found->items[i];
        if (!is_operation(node, since)) {
            continue;
        }
        if (has(node, X_NODE)) {
            *stale |= is_stale(node, node->x.node);
            if (find(found, node->x.node) < 0) {
                return -1;
            }
        }
        if (has(node, Y_NODE)) {
            *stale |= is_stale(node, node->y.node);
            if (find(found, node->y.node) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

static int by_word(const void *left, const void *right)
{
    uint64_t a = (*(Value *const *)left)->word, b = (*(Value *const *)right)->word;
    return (a > b) - (a < b);
}

/* The operations among the nodes in the order of their recording: one bucket for each over the
   range of their stamps, so that the nodes of one computation have a bucket each; what shares a
   bucket is sorted by comparing. */
static int sort_operations(const Nodes *found, uint64_t since, Nodes *sorted)
{
    uint64_t first = UINT64_MAX, last = 0;
    size_t count = 0;
    for (size_t i = 0; i < found->count; i++) {
        uint64_t word = found->items[i]->word;
        if (is_operation(found->items[i], since)) {
            first = word < first ? word : first;
            last = word > last ? word : last;
            count++;
        }
    }
    if (count == 0) {
        return 0;
    }
    int shift = STAMP_SHIFT;
    while ((last >> shift) - (first >> shift) >= 2 * count) {
        shift++;
    }
    size_t buckets = (size_t)((last >> shift) - (first >> shift)) + 1;
    uint32_t *ends = PyMem_RawCalloc(buckets + 1, sizeof(uint32_t));
    sorted->items = PyMem_RawMalloc(count * sizeof(Value *));
    if (!ends || !sorted->items || count > UINT32_MAX) {
        PyMem_RawFree(ends);
        PyErr_NoMemory();
        return -1;
    }
    sorted->count = sorted->capacity = count;
#define BUCKET(node) ((size_t)(((node)->word >> shift) - (first >> shift)))
    for (size_t i = 0; i < found->count; i++) {
        if (is_operation(found->items[i], since)) {
            ends[BUCKET(found->items[i]) + 1]++;
        }
    }
    for (size_t bucket = 1; bucket <= buckets; bucket++) {
        ends[bucket] += ends[bucket - 1];
    }
    for (size_t i = 0; i < found->count; i++) {
        if (is_operation(found->items[i], since)) {
            sorted->items[ends[BUCKET(found->items[i])]++] = found->items[i];
        }
    }
#undef BUCKET
    if (shift > STAMP_SHIFT) {
        for (size_t bucket = 0; bucket < buckets; bucket++) {
            size_t start = bucket ? ends[bucket - 1] : 0;
            if (ends[bucket] - start > 1) {
                qsort(sorted->items + start, ends[bucket] - start, sizeof(Value *), by_word);
            }
        }
    }
    PyMem_RawFree(ends);
    return 0;
}

/* The sweeps. -------------------------------------------------------------------------------- */

/* What a sweep notes of the nodes that it reaches. */
typedef struct {
    Value **nodes; /* NULL where nothing is noted */
    double *grads; /* before the sweep */
    size_t count;
} Reached;

/* A sweep sums contributions in place: a leaf's in its left slot, a computed node's in its grad. */
static inline double *sum_of(Value *node)
{
    return row_of(node) == LEAF ? &node->x.number : &node->grad;
}

/* The first contribution is assigned, later ones are added. */
static ALWAYS_INLINE void contribute(Value *node, double contribution, Reached *reached)
{
    double *sum = sum_of(node);
    if (!has(node, FOUND)) {
        *sum += contribution;
        return;
    }
    node->word &= ~(uint64_t)FOUND;
    if (reached->nodes) {
        reached->nodes[reached->count] = node;
        reached->grads[reached->count++] = node->grad;
    }
    *sum = contribution;
}

/* From the last operation to the first, operands from left to right. The wanted operands are
   those with all the flags of `wanted`. */
static void sweep(const Nodes *sorted, uint64_t wanted, Reached *reached)
{
    for (size_t i = sorted->count; i-- > 0;) {
        Value *node = sorted->items[i];
        if (i >= 8) {
            PREFETCH(sorted->items[i - 8]);
        }
        if (has(node, FOUND)) {
            node->word &= ~(uint64_t)FOUND; /* no wanted path leads here */
            continue;
        }
        enum Row row = row_of(node);
        double upstream = node->grad, x = x_data(node), y = y_data(node), z = node->data;
        if (has(node, X_NODE) && (node->x.node->word & wanted) == wanted) {
            contribute(node->x.node, upstream * local_x(row, x, y, z), reached);
        }
        if (has(node, Y_NODE) && (node->y.node->word & wanted) == wanted) {
            contribute(node->y.node, upstream * local_y(row, x, y, z), reached);
        }
    }
}

/* Whether detect_anomaly() is on in this thread; -1 with an error set. */
static int detecting_anomaly(void)
{
    if (!modes_active) {
        return 0;
    }
    PyObject *anomaly = PyObject_GetAttrString(modes_thread, "anomaly");
    if (!anomaly) {
        return -1;
    }
    int detecting = anomaly != Py_None;
    Py_DECREF(anomaly);
    return detecting;
}

/* Add what the leaves among the nodes received to their grads. */
static void accumulate(const Nodes *found)
{
    for (size_t i = 0; i < found->count; i++) {
        Value *node = found->items[i];
        if (row_of(node) != LEAF) {
            continue;
        }
        if (has(node, FOUND)) {
            node->word &= ~(uint64_t)FOUND; /* no gradient came here */
            continue;
        }
        node->grad = node->grad != 0.0 ? node->grad + node->x.number : node->x.number;
        node->x.number = 0.0;
    }
}

static void keep_leaves(Nodes *found)
{
    size_t count = 0;
    for (size_t i = 0; i < found->count; i++) {
        if (row_of(found->items[i]) == LEAF) {
            found->items[count++] = found->items[i];
        }
    }
    found->count = count;
}

/* Write the gradients of the root: what the pure backward does. 1 where a leaf is stale, and then
   nothing was written; -1 with an error set. */
static int backward(Value *root, double upstream)
{
    Nodes found = {0}, sorted = {0};
    Reached nothing_noted = {0};
    bool stale = false;
    int status = find(&found, root);
    if (status == 0) {
        status = walk(&found, 0, &stale);
    }
    if (status == 0 && !stale) {
        status = sort_operations(&found, 0, &sorted);
    }
    if (status < 0 || stale) {
        forget(&found);
    }
    else {
        keep_leaves(&found);
        contribute(root, upstream, &nothing_noted);
        sweep(&sorted, REQUIRES_GRAD, &nothing_noted);
        accumulate(&found);
        status = PyErr_Occurred() ? -1 : 0;
    }
    PyMem_RawFree(found.items);
    PyMem_RawFree(sorted.items);
    return stale ? 1 : status;
}

static PyObject *function_backward(PyObject *Py_UNUSED(module), PyObject *const *args,
                                   Py_ssize_t count, PyObject *names)
{
    int detecting = detecting_anomaly();
    if (detecting < 0) {
        return NULL;
    }
    if (!detecting && count == 2 && !names && is_value(args[0]) && PyFloat_CheckExact(args[1]) &&
        has((Value *)args[0], REQUIRES_GRAD)) {
        int status = backward((Value *)args[0], PyFloat_AS_DOUBLE(args[1]));
        if (status <= 0) {
            return status < 0 ? NULL : Py_NewRef(Py_None);
        }
    }
    return call_pure("backward", args, (size_t)count, names);
}

static void flag_wanted(PyObject *wrt, bool wanted)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(wrt); i++) {
        Value *node = (Value *)PyList_GET_ITEM(wrt, i);
        node->word = wanted ? node->word | WANTED : node->word & ~(uint64_t)WANTED;
    }
}

/* What was computed from a wanted node is wanted. */
static void spread_wanted(const Nodes *sorted)
{
    for (size_t i = 0; i < sorted->count; i++) {
        Value *node = sorted->items[i];
        if ((has(node, X_NODE) && has(node->x.node, WANTED)) ||
            (has(node, Y_NODE) && has(node->y.node, WANTED))) {
            node->word |= WANTED;
        }
    }
}

/* Take what the reached nodes received, and put their grads back. */
static void take_gradients(Reached *reached)
{
    for (size_t i = 0; i < reached->count; i++) {
        Value *node = reached->nodes[i];
        double gradient = *sum_of(node);
        *sum_of(node) = 0.0;
        node->grad = reached->grads[i];
        reached->grads[i] = gradient;
    }
}

/* The reached nodes and what they received. Python may run here: the collector, and the hash of a
   subclass. */
static PyObject *gradients_dict(const Reached *reached)
{
    for (size_t i = 0; i < reached->count; i++) {
        Py_INCREF(reached->nodes[i]);
    }
    PyObject *dict = PyDict_New();
    for (size_t i = 0; i < reached->count; i++) {
        PyObject *gradient = dict ? PyFloat_FromDouble(reached->grads[i]) : NULL;
        if (dict && (!gradient || PyDict_SetItem(dict, (PyObject *)reached->nodes[i], gradient))) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(gradient);
        Py_DECREF(reached->nodes[i]);
    }
    return dict;
}

/* The arguments of pullback, where C can serve them. */
typedef struct {
    PyObject *seeds; /* a dict of Values and floats */
    PyObject *wrt;   /* a list of Values, or NULL */
    uint64_t since;
    bool allow_stale;
} Pull;

/* NULL without an error set where a leaf is stale. From the start of the sweep until every grad
   is put back no Python runs. */
static PyObject *pullback(Pull pull)
{
    Nodes found = {0}, sorted = {0};
    Reached reached = {0};
    PyObject *key, *seed, *gradients = NULL;
    Py_ssize_t position = 0;
    bool stale = false;
    int status = 0;
    while (status == 0 && PyDict_Next(pull.seeds, &position, &key, &seed)) {
        status = find(&found, (Value *)key);
    }
    if (status == 0) {
        status = walk(&found, pull.since, &stale);
    }
    if (status == 0 && (!stale || pull.allow_stale)) {
        status = sort_operations(&found, pull.since, &sorted);
        reached.nodes = PyMem_RawMalloc((found.count + 1) * sizeof(Value *));
        reached.grads = PyMem_RawMalloc((found.count + 1) * sizeof(double));
        if (status == 0 && !(reached.nodes && reached.grads)) {
            PyErr_NoMemory();
            status = -1;
        }
        if (status == 0) {
            if (pull.wrt) {
                flag_wanted(pull.wrt, true);
                spread_wanted(&sorted);
            }
            for (position = 0; PyDict_Next(pull.seeds, &position, &key, &seed);) {
                contribute((Value *)key, PyFloat_AS_DOUBLE(seed), &reached);
            }
            sweep(&sorted, REQUIRES_GRAD | (pull.wrt ? WANTED : 0), &reached);
            take_gradients(&reached);
            if (pull.wrt) {
                flag_wanted(pull.wrt, false);
            }
            status = PyErr_Occurred() ? -1 : 0;
        }
    }
    forget(&found);
    if (status == 0 && reached.nodes) {
        gradients = gradients_dict(&reached);
    }
    PyMem_RawFree(found.items);
    PyMem_RawFree(sorted.items);
    PyMem_RawFree(reached.nodes);
    PyMem_RawFree(reached.grads);
    return gradients;
}

/* A stamp from an argument, where C can serve it. */
static bool take_stamp(PyObject *object, uint64_t *stamp)
{
    int overflow;
    long long number =
        PyLong_CheckExact(object) ? PyLong_AsLongLongAndOverflow(object, &overflow) : -1;
    *stamp = (uint64_t)number;
    return number >= 0;
}

/* The parameters of pullback in their order; false where there are others. */
static bool take_values(PyObject *const *args, Py_ssize_t count, PyObject *names,
                        PyObject *values[5])
{
    static const char *const parameters[] = {"seeds", "wrt", "create_graph", "allow_stale",
                                             "since"};
    for (Py_ssize_t i = 0; i < count && count <= 5; i++) {
        values[i] = args[i];
    }
    bool known = count <= 5;
    for (Py_ssize_t i = 0; known && names && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        Py_ssize_t j = count;
        while (j < 5 && PyUnicode_CompareWithASCIIString(name, parameters[j]) != 0) {
            j++;
        }
        known = j < 5;
        if (known) {
            values[j] = args[count + i];
        }
    }
    return known;
}

static bool take_pull(PyObject *const *args, Py_ssize_t count, PyObject *names, Pull *pull)
{
    PyObject *values[] = {NULL, Py_None, Py_False, Py_False, NULL};
    if (!take_values(args, count, names, values)) {
        return false;
    }
    *pull = (Pull){values[0], values[1] == Py_None ? NULL : values[1], 0, values[3] == Py_True};
    PyObject *key, *seed;
    bool plain = values[2] == Py_False && PyBool_Check(values[3]) && values[0] &&
                 PyDict_CheckExact(values[0]) && (!pull->wrt || PyList_CheckExact(pull->wrt)) &&
                 (!values[4] || take_stamp(values[4], &pull->since));
    for (Py_ssize_t position = 0; plain && PyDict_Next(values[0], &position, &key, &seed);) {
        plain = is_value(key) && has((Value *)key, READY) && PyFloat_CheckExact(seed);
    }
    for (Py_ssize_t i = 0; plain && pull->wrt && i < PyList_GET_SIZE(pull->wrt); i++) {
        plain = is_value(PyList_GET_ITEM(pull->wrt, i));
    }
    return plain;
}

static PyObject *function_pullback(PyObject *Py_UNUSED(module), PyObject *const *args,
                                   Py_ssize_t count, PyObject *names)
{
    Pull pull;
    int detecting = detecting_anomaly();
    if (detecting < 0) {
        return NULL;
    }
    if (!detecting && take_pull(args, count, names, &pull)) {
        PyObject *gradients = pullback(pull);
        if (gradients || PyErr_Occurred()) {
            return gradients;
        }
    }
    return call_pure("pullback", args, (size_t)count, names);
}

/* A list of the nodes. Making it may run the collector, and that Python. */
static PyObject *list_of(const Nodes *nodes)
{
    for (size_t i = 0; i < nodes->count; i++) {
        Py_INCREF(nodes->items[i]);
    }
    PyObject *list = PyList_New((Py_ssize_t)nodes->count);
    for (size_t i = 0; i < nodes->count; i++) {
        if (list) {
            PyList_SET_ITEM(list, (Py_ssize_t)i, (PyObject *)nodes->items[i]);
        }
        else {
            Py_DECREF(nodes->items[i]);
        }
    }
    return list;
}

/* operations(*roots, since=0) of graph.py. */
static PyObject *function_operations(PyObject *Py_UNUSED(module), PyObject *const *args,
                                     Py_ssize_t count, PyObject *names)
{
    Nodes found = {0}, sorted = {0};
    uint64_t since = 0;
    bool stale = false;
    bool plain = !names || (PyTuple_GET_SIZE(names) == 1 &&
                                   PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0),
                                                                    "since") == 0 &&
                                   take_stamp(args[count], &since));
    for (Py_ssize_t i = 0; plain && i < count; i++) {
        plain = is_value(args[i]) && has((Value *)args[i], READY);
    }
    if (!plain) {
        return call_pure("operations", args, (size_t)count, names);
    }
    int status = 0;
    for (Py_ssize_t i = 0; i < count && status == 0; i++) {
        status = find(&found, (Value *)args[i]);
    }
    if (status == 0) {
        status = walk(&found, since, &stale);
    }
    if (status == 0) {
        status = sort_operations(&found, since, &sorted);
    }
    forget(&found);
    PyMem_RawFree(found.items);
    PyObject *list = NULL;
    if (status == 0) {
        list = list_of(&sorted);
    }
    PyMem_RawFree(sorted.items);
    return list;
}

/* Attributes. -------------------------------------------------------------------------------- */

/* The attribute of a slot of the pure Value; reading it before __init__ is an error there. */
#define READ(attribute, expression)                                                            \
    static PyObject *get_##attribute(PyObject *self, void *Py_UNUSED(closure))                 \
    {                                                                                          \
        Value *node = (Value *)self;                                                           \
        if (UNLIKELY(!has(node, READY))) {                                                     \
            not_ready(node, #attribute);                                                       \
            return NULL;                                                                       \
        }                                                                                      \
        return expression;                                                                     \
    }

static PyObject *operand_object(bool is_node, Slot slot)
{
    return is_node ? Py_NewRef(slot.node) : PyFloat_FromDouble(slot.number);
}

READ(_data, PyFloat_FromDouble(node->data))
READ(_grad, PyFloat_FromDouble(node->grad))
READ(_op, Py_NewRef(row_of(node) == LEAF ? Py_None : row_objects[row_of(node)]))
READ(_x, operand_object(has(node, X_NODE), node->x))
READ(_y, operand_object(has(node, Y_NODE), node->y))
READ(_label, Py_NewRef(node->label ? node->label : Py_None))
READ(_stamp, PyLong_FromUnsignedLongLong(node->word >> STAMP_SHIFT))
READ(_requires_grad, PyBool_FromLong(has(node, REQUIRES_GRAD)))

static int no_deleter(const char *name)
{
    PyErr_Format(PyExc_AttributeError, "%s cannot be deleted", name);
    return -1;
}

static int set__grad(PyObject *self, PyObject *grad, void *Py_UNUSED(closure))
{
    if (!grad) {
        return no_deleter("_grad");
    }
    double number = PyFloat_AsDouble(grad);
    if (number == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    ((Value *)self)->grad = number;
    return 0;
}

static int set__label(PyObject *self, PyObject *label, void *Py_UNUSED(closure))
{
    if (!label) {
        return no_deleter("_label");
    }
    PyObject *before = ((Value *)self)->label;
    ((Value *)self)->label = label == Py_None ? NULL : Py_NewRef(label);
    Py_XDECREF(before);
    return 0;
}

static int set__requires_grad(PyObject *self, PyObject *requires_grad, void *Py_UNUSED(closure))
{
    if (!requires_grad) {
        return no_deleter("_requires_grad");
    }
    int is_true = PyObject_IsTrue(requires_grad);
    if (is_true < 0) {
        return -1;
    }
    Value *node = (Value *)self;
    node->word = is_true ? node->word | REQUIRES_GRAD : node->word & ~(uint64_t)REQUIRES_GRAD;
    return 0;
}

/* Makes a leaf of a node, as recording under no_grad() does; nothing else can be written. */
static int set__op(PyObject *self, PyObject *op, void *Py_UNUSED(closure))
{
    if (op != Py_None) {
        PyErr_SetString(PyExc_AttributeError, "_op can only be written with None");
        return -1;
    }
    drop_operands((Value *)self);
    return 0;
}

/* Writing 0.0 into the slots of a leaf changes nothing. */
static int set_operand(PyObject *self, PyObject *operand, void *Py_UNUSED(closure))
{
    if (row_of((Value *)self) != LEAF || !operand || !PyFloat_CheckExact(operand) ||
        PyFloat_AS_DOUBLE(operand) != 0.0) {
        PyErr_SetString(PyExc_AttributeError, "operands cannot be written");
        return -1;
    }
    return 0;
}

/* The error of the pure property, which refuses what comes here. */
static COLD int refused(const char *property, PyObject *self, PyObject *value)
{
    PyObject *type = pure_named("Value");
    PyObject *object = type ? PyObject_GetAttrString(type, property) : NULL;
    int status = object ? Py_TYPE(object)->tp_descr_set(object, self, value) : -1;
    Py_XDECREF(object);
    return status;
}

static PyObject *get_data(PyObject *self, void *Py_UNUSED(closure))
{
    return get__data(self, NULL);
}

static int set_data(PyObject *self, PyObject *data, void *Py_UNUSED(closure))
{
    Value *node = (Value *)self;
    if (!has(node, READY)) {
        return not_ready(node, "_op");
    }
    if (!data || row_of(node) != LEAF) {
        return refused("data", self, data);
    }
    double number;
    if (PyFloat_CheckExact(data)) {
        number = PyFloat_AS_DOUBLE(data);
    }
    else if (to_number(data, "data", &number) < 0) {
        return -1;
    }
    node->data = number;
    node->word = tick() | (node->word & ((UINT64_C(1) << STAMP_SHIFT) - 1));
    return 0;
}

static PyObject *get_grad(PyObject *self, void *Py_UNUSED(closure))
{
    return get__grad(self, NULL);
}

static int set_grad(PyObject *self, PyObject *grad, void *Py_UNUSED(closure))
{
    if (!grad) {
        return refused("grad", self, grad);
    }
    double number;
    if (PyFloat_CheckExact(grad)) {
        number = PyFloat_AS_DOUBLE(grad);
    }
    else if (to_number(grad, "grad", &number) < 0) {
        return -1;
    }
    ((Value *)self)->grad = number;
    return 0;
}

/* Construction. ------------------------------------------------------------------------------ */

/* Value.__init__ of value.py. */
static int initialise(PyObject *self, PyObject *data, PyObject *label, PyObject *requires_grad)
{
    Value *node = (Value *)self;
    double number;
    if (PyFloat_CheckExact(data)) {
        number = PyFloat_AS_DOUBLE(data);
    }
    else if (PyLong_CheckExact(data)) {
        number = int_to_number(data);
    }
    else if (to_number(data, "data", &number) < 0) {
        return -1;
    }
    drop_operands(node);
    node->data = number;
    node->grad = 0.0;
    bool plain = Py_IS_TYPE(self, value_type) && (label == Py_None || PyUnicode_CheckExact(label));
    if (plain ? set__label(self, label, NULL) : PyObject_SetAttrString(self, "label", label)) {
        return -1;
    }
    int requires = PyObject_IsTrue(requires_grad);
    if (requires < 0) {
        return -1;
    }
    node->word = tick() | READY | (requires ? REQUIRES_GRAD : 0);
    return 0;
}

static int value_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *parameters[] = {"data", "label", "requires_grad", NULL};
    PyObject *data, *label = Py_None, *requires_grad = Py_True;
    if (PyArg_ParseTupleAndKeywords(args, kwargs, "O|OO", parameters, &data, &label,
                                    &requires_grad)) {
        return initialise(self, data, label, requires_grad);
    }
    PyErr_Clear(); /* the pure __init__ words it better */
    PyObject *type = pure_named("Value"), *result = NULL;
    PyObject *init = type ? PyObject_GetAttrString(type, "__init__") : NULL;
    PyObject *bound = init ? PyMethod_New(init, self) : NULL;
    if (bound) {
        result = PyObject_Call(bound, args, kwargs);
    }
    Py_XDECREF(init);
    Py_XDECREF(bound);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

/* Value(data), Value(data, label), Value(data, label, requires_grad). */
static PyObject *value_vectorcall(PyObject *type, PyObject *const *args, size_t nargsf,
                                  PyObject *names)
{
    Py_ssize_t count = PyVectorcall_NARGS(nargsf);
    if (names || count < 1 || count > 3) {
        PyObject *tuple = PyTuple_New(count), *kwargs = names ? PyDict_New() : NULL, *self = NULL;
        bool ready = tuple && (kwargs || !names);
        for (Py_ssize_t i = 0; ready && i < count; i++) {
            PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i]));
        }
        for (Py_ssize_t i = 0; ready && names && i < PyTuple_GET_SIZE(names); i++) {
            ready = !PyDict_SetItem(kwargs, PyTuple_GET_ITEM(names, i), args[count + i]);
        }
        if (ready) {
            self = PyType_Type.tp_call(type, tuple, kwargs);
        }
        Py_XDECREF(tuple);
        Py_XDECREF(kwargs);
        return self;
    }
    PyObject *self = value_new((PyTypeObject *)type, NULL, NULL);
    if (self && initialise(self, args[0], count > 1 ? args[1] : Py_None,
                           count > 2 ? args[2] : Py_True)) {
        Py_CLEAR(self);
    }
    return self;
}

/* The module. -------------------------------------------------------------------------------- */

#define METHOD_ENTRY(name) {#name, method_##name, METH_NOARGS, ""},
#define FAST(function) ((PyCFunction)(void (*)(void))(function))
#define FUNCTION_ENTRY(name) {#name, FAST(function_##name), METH_FASTCALL | METH_KEYWORDS, ""},

static PyMethodDef value_methods[] = {EACH_UNARY_ROW(METHOD_ENTRY){NULL, NULL, 0, NULL}};

#define BINARY_METHOD_ENTRY(name) {#name, method_##name, METH_O, ""},

static PyMethodDef binary_methods[] = {EACH_BINARY_ROW(BINARY_METHOD_ENTRY){NULL, NULL, 0, NULL}};

static PyGetSetDef value_attributes[] = {
    {"data", get_data, set_data, "", NULL},
    {"grad", get_grad, set_grad, "", NULL},
    {"_data", get__data, NULL, NULL, NULL},
    {"_grad", get__grad, set__grad, NULL, NULL},
    {"_op", get__op, set__op, NULL, NULL},
    {"_x", get__x, set_operand, NULL, NULL},
    {"_y", get__y, set_operand, NULL, NULL},
    {"_label", get__label, set__label, NULL, NULL},
    {"_stamp", get__stamp, NULL, NULL, NULL},
    {"_requires_grad", get__requires_grad, set__requires_grad, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#define SLOT(slot, function) {slot, (void *)(function)}

static PyType_Slot value_slots[] = {
    SLOT(Py_tp_new, value_new),
    SLOT(Py_tp_init, value_init),
    SLOT(Py_tp_dealloc, value_dealloc),
    SLOT(Py_tp_free, value_free),
    SLOT(Py_tp_methods, value_methods),
    SLOT(Py_tp_getset, value_attributes),
    SLOT(Py_tp_hash, value_hash),
    SLOT(Py_tp_richcompare, operator_compare),
    SLOT(Py_nb_add, operator_add),
    SLOT(Py_nb_subtract, operator_sub),
    SLOT(Py_nb_multiply, operator_mul),
    SLOT(Py_nb_true_divide, operator_div),
    SLOT(Py_nb_power, operator_pow),
    SLOT(Py_nb_negative, operator_neg),
    SLOT(Py_nb_positive, operator_pos),
    SLOT(Py_nb_absolute, operator_abs),
    SLOT(Py_nb_bool, operator_bool),
    {0, NULL},
};

static PyType_Spec value_spec = {
    .name = "autograd.value.Value",
    .basicsize = sizeof(Value),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = value_slots,
};

static PyObject *function_connect(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *name, *object;
    if (!PyArg_ParseTuple(args, "UO", &name, &object) || PyDict_SetItem(pure, name, object)) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *function_connect_rows(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *rows;
    if (!PyArg_ParseTuple(args, "O!", &PyTuple_Type, &rows)) {
        return NULL;
    }
    if (PyTuple_GET_SIZE(rows) != ROWS - 1) {
        return PyErr_Format(PyExc_ValueError, "expected %d rows", ROWS - 1);
    }
    for (int row = 1; row < ROWS; row++) {
        Py_XSETREF(row_objects[row], Py_NewRef(PyTuple_GET_ITEM(rows, row - 1)));
    }
    Py_RETURN_NONE;
}

static PyObject *function_connect_modes(PyObject *Py_UNUSED(module), PyObject *thread)
{
    Py_XSETREF(modes_thread, Py_NewRef(thread));
    Py_RETURN_NONE;
}

static PyObject *function_set_modes_active(PyObject *Py_UNUSED(module), PyObject *active)
{
    int number = PyObject_IsTrue(active);
    if (number < 0) {
        return NULL;
    }
    modes_active = number;
    Py_RETURN_NONE;
}

/* Give a method, function or attribute of ours the documentation of its pure twin. The texts stay
   for the life of the process, as the definitions that point to them do. */
static PyObject *function_document(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *object, *text;
    if (!PyArg_ParseTuple(args, "OU", &object, &text)) {
        return NULL;
    }
    const char *document = PyUnicode_AsUTF8(text);
    if (!document) {
        return NULL;
    }
    Py_INCREF(text);
    if (PyCFunction_CheckExact(object)) {
        ((PyCFunctionObject *)object)->m_ml->ml_doc = document;
    }
    else if (Py_IS_TYPE(object, &PyMethodDescr_Type)) {
        ((PyMethodDescrObject *)object)->d_method->ml_doc = document;
    }
    else if (Py_IS_TYPE(object, &PyGetSetDescr_Type)) {
        ((PyGetSetDescrObject *)object)->d_getset->doc = document;
    }
    Py_RETURN_NONE;
}

static PyObject *function_live(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromSsize_t(allocated_count - free_count);
}

static PyMethodDef functions[] = {
    EACH_UNARY_ROW(FUNCTION_ENTRY)
    EACH_BINARY_ROW(FUNCTION_ENTRY)
    FUNCTION_ENTRY(sum)
    FUNCTION_ENTRY(dot)
    FUNCTION_ENTRY(backward)
    FUNCTION_ENTRY(pullback)
    FUNCTION_ENTRY(operations)
    {"record", FAST(function_record), METH_FASTCALL, ""},
    {"connect", function_connect, METH_VARARGS, "Name a function that the pure engine serves."},
    {"connect_rows", function_connect_rows, METH_VARARGS, "Tell the rows of the table."},
    {"connect_modes", function_connect_modes, METH_O, "Tell the modes of the running thread."},
    {"set_modes_active", function_set_modes_active, METH_O, "Tell whether a mode is on."},
    {"document", function_document, METH_VARARGS, "Give a function its documentation."},
    {"live", function_live, METH_NOARGS, "How many nodes there are."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "autograd._native.engine",
    .m_doc = "The native twins of the hot parts of the pure engine.",
    .m_size = -1,
    .m_methods = functions,
};

/* The texts of the rows that the kernels were made from. */
static PyObject *row_texts_tuple(void)
{
    PyObject *texts = PyTuple_New(ROWS - 1);
    for (int row = 1; texts && row < ROWS; row++) {
        PyObject *text = Py_BuildValue("(sss)", row_texts[row][0], row_texts[row][1],
                                       row_texts[row][2]);
        if (!text) {
            Py_CLEAR(texts);
            break;
        }
        PyTuple_SET_ITEM(texts, row - 1, text);
    }
    return texts;
}

static PyObject *binary_methods_dict(void)
{
    PyObject *methods = PyDict_New();
    for (PyMethodDef *definition = binary_methods; methods && definition->ml_name; definition++) {
        PyObject *method = PyDescr_NewMethod(value_type, definition);
        if (!method || PyDict_SetItemString(methods, definition->ml_name, method)) {
            Py_CLEAR(methods);
        }
        Py_XDECREF(method);
    }
    return methods;
}

/* Add an object to the module, and give up our reference to it. */
static int add(PyObject *module, const char *name, PyObject *object)
{
    int status = object ? PyModule_AddObjectRef(module, name, object) : -1;
    Py_XDECREF(object);
    return status;
}

static int fill_module(PyObject *module)
{
    PyObject *name = PyUnicode_FromString("Value");
    pure = PyDict_New();
    value_type = (PyTypeObject *)PyType_FromSpec(&value_spec);
    if (!name || !pure || !value_type) {
        return -1;
    }
    value_type->tp_vectorcall = value_vectorcall;
    int status = PyObject_SetAttrString((PyObject *)value_type, "__name__", name);
    Py_DECREF(name); /* errors print the name without the module, as for the pure class */
    return status || add(module, "Value", Py_NewRef(value_type)) ||
                   add(module, "binary_methods", binary_methods_dict()) ||
                   add(module, "row_texts", row_texts_tuple())
               ? -1
               : 0;
}

PyMODINIT_FUNC PyInit_engine(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module && fill_module(module) < 0) {
        Py_CLEAR(module);
    }
    return module;
}
