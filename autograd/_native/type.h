/* The type: attributes and construction. A part of engine.c, which includes it. */

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
    return UNLIKELY(tracing) && refuse_traced(self, "data") < 0 ? NULL : get__data(self, NULL);
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
    if (UNLIKELY(tracing) && refuse_traced(self, "write") < 0) {
        return -1;
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
    return UNLIKELY(tracing) && refuse_traced(self, "grad") < 0 ? NULL : get__grad(self, NULL);
}

static int set_grad(PyObject *self, PyObject *grad, void *Py_UNUSED(closure))
{
    if (!grad) {
        return refused("grad", self, grad);
    }
    if (UNLIKELY(tracing) && refuse_traced(self, "write") < 0) {
        return -1;
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
