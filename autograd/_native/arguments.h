/* Structures of numbers: their specs, reading arguments and building results. A part of program.c,
   which includes it. */

/* Specs. --------------------------------------------------------------------------------------- */

enum Kind { SCALAR, LIST, TUPLE, DICT, NAMED, ARRAY };

typedef struct Spec Spec;

struct Spec {
    enum Kind kind;
    PyObject *object; /* the keys of a dict, the type of a named tuple, the shape of an array */
    Spec *parts;
    Py_ssize_t part_count;
    Py_ssize_t scalars; /* in all */
    Py_ssize_t leaves;  /* scalars and arrays */
    bool flat;          /* all parts are scalars */
    /* Where lists and tuples make a rectangle: that of an array which may stand for it. */
    int dimensions; /* -1 where they do not */
    Py_ssize_t *shape;
};

static void clear_spec(Spec *spec)
{
    for (Py_ssize_t i = 0; i < spec->part_count; i++) {
        clear_spec(&spec->parts[i]);
    }
    PyMem_Free(spec->parts);
    PyMem_Free(spec->shape);
    Py_XDECREF(spec->object);
    *spec = (Spec){.kind = SCALAR};
}

static int visit_spec(const Spec *spec, visitproc visit, void *arg)
{
    Py_VISIT(spec->object);
    for (Py_ssize_t i = 0; i < spec->part_count; i++) {
        int result = visit_spec(&spec->parts[i], visit, arg);
        if (result) {
            return result;
        }
    }
    return 0;
}

static bool same_shape(const Py_ssize_t *a, const Py_ssize_t *b, int dimensions)
{
    while (dimensions > 0 && a[dimensions - 1] == b[dimensions - 1]) {
        dimensions--;
    }
    return dimensions == 0;
}

static bool is_rectangular(const Spec *spec)
{
    if ((spec->kind != LIST && spec->kind != TUPLE) || spec->part_count == 0) {
        return false;
    }
    const Spec *first = &spec->parts[0];
    for (Py_ssize_t i = 0; i < spec->part_count; i++) {
        const Spec *part = &spec->parts[i];
        if (part->dimensions < 0 || part->dimensions + 1 >= PyBUF_MAX_NDIM ||
            part->dimensions != first->dimensions ||
            !same_shape(part->shape, first->shape, part->dimensions)) {
            return false;
        }
    }
    return true;
}

static bool make_rectangle(Spec *spec, Py_ssize_t dimensions)
{
    spec->shape = PyMem_Calloc((size_t)dimensions + 1, sizeof(Py_ssize_t));
    if (!spec->shape) {
        PyErr_NoMemory();
        return false;
    }
    spec->dimensions = (int)dimensions;
    return true;
}

static bool parse_spec(PyObject *object, Spec *spec);

static bool parse_parts(PyObject *parts, Spec *spec)
{
    if (!PyTuple_Check(parts)) {
        PyErr_Format(PyExc_ValueError, "the parts of a spec must be a tuple, received %R", parts);
        return false;
    }
    const Py_ssize_t count = PyTuple_GET_SIZE(parts);
    spec->parts = PyMem_Calloc((size_t)count + 1, sizeof(Spec));
    if (!spec->parts) {
        PyErr_NoMemory();
        return false;
    }
    spec->part_count = count;
    spec->flat = true;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!parse_spec(PyTuple_GET_ITEM(parts, i), &spec->parts[i])) {
            return false;
        }
        spec->scalars += spec->parts[i].scalars;
        spec->leaves += spec->parts[i].leaves;
        spec->flat &= spec->parts[i].kind == SCALAR;
    }
    if (is_rectangular(spec)) {
        const Spec *first = &spec->parts[0];
        if (!make_rectangle(spec, first->dimensions + 1)) {
            return false;
        }
        spec->shape[0] = count;
        for (int axis = 0; axis < first->dimensions; axis++) {
            spec->shape[axis + 1] = first->shape[axis];
        }
    }
    return true;
}

static bool parse_shape(PyObject *shape, Spec *spec)
{
    const Py_ssize_t count = PyTuple_Check(shape) ? PyTuple_GET_SIZE(shape) : PyBUF_MAX_NDIM;
    if (count >= PyBUF_MAX_NDIM) {
        PyErr_Format(PyExc_ValueError, "a shape must be a short tuple, received %R", shape);
        return false;
    }
    spec->scalars = 1;
    spec->leaves = 1;
    if (!make_rectangle(spec, count)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        const Py_ssize_t size = PyNumber_AsSsize_t(PyTuple_GET_ITEM(shape, i), NULL);
        if (size == -1 && PyErr_Occurred()) {
            return false;
        }
        if (size < 0 || (size && spec->scalars > INT32_MAX / size)) {
            PyErr_Format(PyExc_ValueError, "a shape of whole numbers is meant, received %R", shape);
            return false;
        }
        spec->shape[i] = size;
        spec->scalars *= size;
    }
    spec->object = Py_NewRef(shape);
    return true;
}

static bool is_name(PyObject *object, const char *name)
{
    return PyUnicode_Check(object) && !PyUnicode_CompareWithASCIIString(object, name);
}

static bool parse_container(PyObject *object, Spec *spec)
{
    static const char *const names[] = {NULL, "list", "tuple", "dict", "named", "array"};
    const Py_ssize_t count = PyTuple_Check(object) ? PyTuple_GET_SIZE(object) : 0;
    PyObject *name = count ? PyTuple_GET_ITEM(object, 0) : Py_None;
    for (int kind = LIST; kind <= ARRAY; kind++) {
        const Py_ssize_t wanted = kind == DICT || kind == NAMED ? 3 : 2;
        if (count != wanted || !is_name(name, names[kind])) {
            continue;
        }
        spec->kind = (enum Kind)kind;
        if (kind == ARRAY) {
            return parse_shape(PyTuple_GET_ITEM(object, 1), spec);
        }
        PyObject *middle = PyTuple_GET_ITEM(object, 1);
        PyObject *parts = PyTuple_GET_ITEM(object, count - 1);
        if (count == 3) {
            spec->object = Py_NewRef(middle);
        }
        if (!parse_parts(parts, spec)) {
            return false;
        }
        if ((kind == DICT &&
             (!PyTuple_Check(middle) || PyTuple_GET_SIZE(middle) != spec->part_count)) ||
            (kind == NAMED && !PyType_Check(middle))) {
            break;
        }
        return true;
    }
    PyErr_Format(PyExc_ValueError, "no spec of a structure: %R", object);
    return false;
}

static bool parse_spec(PyObject *object, Spec *spec)
{
    *spec = (Spec){.kind = SCALAR, .dimensions = -1};
    if (is_name(object, "scalar")) {
        spec->scalars = spec->leaves = 1;
        spec->dimensions = 0;
        return true;
    }
    if (Py_EnterRecursiveCall(" in a spec of a structure")) {
        return false;
    }
    const bool parsed = parse_container(object, spec);
    Py_LeaveRecursiveCall();
    return parsed;
}

/* Reading. ------------------------------------------------------------------------------------- */

/* What came of an attempt: an error, something that is not ours to take, or it is taken. */
typedef enum { FAILED = -1, OTHER = 0, TAKEN = 1 } Outcome;

static Outcome not_taken(void)
{
    return PyErr_Occurred() ? FAILED : OTHER;
}

static inline Outcome read_number(PyObject *object, double *number)
{
    if (PyFloat_CheckExact(object)) {
        *number = PyFloat_AS_DOUBLE(object);
        return TAKEN;
    }
    if (PyLong_CheckExact(object)) {
        *number = PyLong_AsDouble(object);
        if (*number == -1.0 && PyErr_Occurred()) {
            PyErr_Clear(); /* beyond all floats */
            return OTHER;
        }
        return TAKEN;
    }
    return OTHER;
}

/* The beginning of NumPy's PyArrayObject, as its binary interface has it (NumPy reference, "Python
   types and C-structures"). */
typedef struct {
    PyObject_HEAD
    char *data;
    int dimensions;
    Py_ssize_t *shape, *strides;
    PyObject *base, *dtype;
    int flags;
} NumpyArray;

enum { NUMPY_WRITEABLE = 0x400 };

/* Whether an array of NumPy's, here of two dimensions, looks as `NumpyArray` says. */
static bool is_as_expected(PyObject *object, PyObject *dtype)
{
    const NumpyArray *array = (NumpyArray *)object;
    const PyBufferProcs *procs = Py_TYPE(object)->tp_as_buffer;
    Py_buffer view;
    if (Py_TYPE(object)->tp_basicsize < (Py_ssize_t)sizeof(NumpyArray) || !procs ||
        procs->bf_releasebuffer || PyObject_GetBuffer(object, &view, PyBUF_STRIDES)) {
        PyErr_Clear();
        return false;
    }
    const bool same = array->data == view.buf && array->dimensions == 2 && view.ndim == 2 &&
                      same_shape(array->shape, view.shape, 2) &&
                      same_shape(array->strides, view.strides, 2) && array->dtype == dtype &&
                      (array->flags & NUMPY_WRITEABLE);
    PyBuffer_Release(&view);
    return same;
}

/* Find what is needed of NumPy. */
static bool connect_numpy(PyObject *numpy)
{
    PyObject *empty = PyObject_GetAttrString(numpy, "empty");
    PyObject *dtype = PyObject_CallMethod(numpy, "dtype", "s", "float64");
    PyObject *array = empty && dtype ? PyObject_CallFunction(empty, "((ii))", 2, 3) : NULL;
    if (array) {
        numpy_array = (PyTypeObject *)Py_NewRef(Py_TYPE(array));
        numpy_empty = Py_NewRef(empty);
        numpy_float64 = is_as_expected(array, dtype) ? Py_NewRef(dtype) : NULL;
    }
    Py_XDECREF(empty);
    Py_XDECREF(dtype);
    Py_XDECREF(array);
    return array != NULL;
}

/* Whether NumPy is there; it is imported where it is needed. */
static bool use_numpy(bool is_needed)
{
    if (numpy_array) {
        return true;
    }
    PyObject *name = PyUnicode_FromString("numpy");
    PyObject *numpy = !name ? NULL : is_needed ? PyImport_Import(name) : PyImport_GetModule(name);
    const bool done = numpy && connect_numpy(numpy);
    Py_XDECREF(name);
    Py_XDECREF(numpy);
    if (!done && !is_needed) {
        PyErr_Clear();
    }
    return done;
}

/* A view as the buffer protocol would give it, in a tenth of the time. */
static bool view_numpy_array(PyObject *object, Py_buffer *view, int flags)
{
    const NumpyArray *array = (NumpyArray *)object;
    if (!numpy_float64 || array->dtype != numpy_float64 ||
        ((flags & PyBUF_WRITABLE) && !(array->flags & NUMPY_WRITEABLE))) {
        return false;
    }
    *view = (Py_buffer){
        .buf = array->data,
        .obj = Py_NewRef(object),
        .itemsize = sizeof(double),
        .ndim = array->dimensions,
        .shape = array->shape,
        .strides = array->strides,
        .format = "d",
    };
    return true;
}

/* An array of float64 of that many dimensions; one of another type may mean something else. */
static Outcome take_array(PyObject *object, Py_buffer *view, int flags, int dimensions)
{
    if (!use_numpy(false) || Py_TYPE(object) != numpy_array) {
        return OTHER;
    }
    if (!view_numpy_array(object, view, flags) &&
        PyObject_GetBuffer(object, view, flags | PyBUF_FORMAT | PyBUF_STRIDES)) {
        PyErr_Clear(); /* read-only */
        return OTHER;
    }
    if (view->ndim == dimensions && view->format && !strcmp(view->format, "d")) {
        return TAKEN;
    }
    PyBuffer_Release(view);
    return OTHER;
}

/* The next element of an array in the order of C: its offset, by the last `dimensions` axes. */
typedef struct {
    Py_ssize_t index[PyBUF_MAX_NDIM], offset;
} Walk;

static inline void step_on(Walk *walk, const Py_ssize_t *shape, const Py_ssize_t *strides,
                           int dimensions)
{
    for (int axis = dimensions - 1; axis >= 0; axis--) {
        walk->offset += strides[axis];
        if (++walk->index[axis] < shape[axis]) {
            return;
        }
        walk->offset -= walk->index[axis] * strides[axis];
        walk->index[axis] = 0;
    }
}

static Outcome read_array(const Spec *spec, PyObject *object, double *numbers)
{
    Py_buffer view;
    if (take_array(object, &view, PyBUF_SIMPLE, spec->dimensions) != TAKEN) {
        return OTHER;
    }
    const bool same = same_shape(view.shape, spec->shape, spec->dimensions);
    if (same) {
        Walk walk;
        memset(walk.index, 0, (size_t)spec->dimensions * sizeof(Py_ssize_t));
        walk.offset = 0;
        for (Py_ssize_t i = 0; i < spec->scalars; i++) {
            memcpy(numbers + i, (char *)view.buf + walk.offset, sizeof(double));
            step_on(&walk, view.shape, view.strides, spec->dimensions);
        }
    }
    PyBuffer_Release(&view);
    return same ? TAKEN : OTHER;
}

/* Whether a dict has those keys, in that order: a function may depend on it. May set an error. */
static bool has_keys(PyObject *dict, PyObject *keys)
{
    PyObject *key;
    Py_ssize_t position = 0, count = 0;
    bool same = PyDict_GET_SIZE(dict) == PyTuple_GET_SIZE(keys);
    while (same && count < PyTuple_GET_SIZE(keys) && PyDict_Next(dict, &position, &key, NULL)) {
        PyObject *wanted = PyTuple_GET_ITEM(keys, count++);
        if (key != wanted) {
            Py_INCREF(key); /* comparing may run any code */
            same = PyObject_RichCompareBool(key, wanted, Py_EQ) == 1;
            Py_DECREF(key);
        }
    }
    return same;
}

/* Whether the object is a container as the spec says. May set an error. */
static bool is_container(const Spec *spec, PyObject *object)
{
    switch (spec->kind) {
    case LIST:
        return PyList_CheckExact(object) && PyList_GET_SIZE(object) == spec->part_count;
    case TUPLE:
        return PyTuple_CheckExact(object) && PyTuple_GET_SIZE(object) == spec->part_count;
    case NAMED:
        return (PyObject *)Py_TYPE(object) == spec->object && PyTuple_Check(object) &&
               PyTuple_GET_SIZE(object) == spec->part_count;
    default:
        return PyDict_CheckExact(object) && has_keys(object, spec->object);
    }
}

/* Item i of a list or tuple, borrowed; NULL where a list has become shorter meanwhile. */
static inline PyObject *item_of(PyObject *object, Py_ssize_t i)
{
    if (PyTuple_Check(object)) {
        return PyTuple_GET_ITEM(object, i);
    }
    return i < PyList_GET_SIZE(object) ? PyList_GET_ITEM(object, i) : NULL;
}

/* Part i of such a container; NULL, maybe with an error set, where a dict has not that key. */
static PyObject *part_of(const Spec *spec, PyObject *object, Py_ssize_t i)
{
    PyObject *part = spec->kind == DICT
                         ? PyDict_GetItemWithError(object, PyTuple_GET_ITEM(spec->object, i))
                         : item_of(object, i);
    return Py_XNewRef(part);
}

/* Numbers only: no other code runs meanwhile. */
static Outcome read_flat(PyObject *object, Py_ssize_t count, double *numbers)
{
    PyObject *const *items = PySequence_Fast_ITEMS(object);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (read_number(items[i], numbers + i) != TAKEN) {
            return OTHER;
        }
    }
    return TAKEN;
}

/* The numbers of one sample, or of an argument all samples share. */
static Outcome read_one(const Spec *spec, PyObject *object, double *numbers)
{
    if (spec->kind == SCALAR) {
        return read_number(object, numbers);
    }
    if (spec->kind == ARRAY) {
        return read_array(spec, object, numbers);
    }
    if (!is_container(spec, object)) {
        return not_taken();
    }
    if (spec->flat && spec->kind != DICT) {
        return read_flat(object, spec->part_count, numbers);
    }
    for (Py_ssize_t i = 0; i < spec->part_count; i++) {
        PyObject *part = part_of(spec, object, i);
        if (!part) {
            return not_taken();
        }
        const Outcome outcome = read_one(&spec->parts[i], part, numbers);
        Py_DECREF(part);
        if (outcome != TAKEN) {
            return outcome;
        }
        numbers += spec->parts[i].scalars;
    }
    return TAKEN;
}

/* Batches. ------------------------------------------------------------------------------------- */

/* Numbers copied out of a list of samples, or out of an array that is written to meanwhile. */
typedef struct {
    double *numbers;
    size_t capacity;
} Copy;

/* An array held while a call runs, and which inputs or results are its numbers. */
typedef struct {
    Py_buffer view;
    Py_ssize_t first, count;
} Held;

typedef struct {
    Py_ssize_t samples; /* -1 until an argument has told */
    Column *columns;    /* by input */
    Copy *copies;       /* by input: of those from that one on */
    Held *held;
    Py_ssize_t held_count;
} Batch;

static bool is_size(Batch *batch, Py_ssize_t samples)
{
    if (batch->samples < 0) {
        batch->samples = samples;
    }
    return batch->samples == samples;
}

static bool reserve(Copy *copy, size_t count)
{
    if (count >= copy->capacity) {
        count += 1; /* so that there are some */
        double *numbers = PyMem_RawRealloc(copy->numbers, count * sizeof(double));
        if (!numbers) {
            PyErr_NoMemory();
            return false;
        }
        copy->numbers = numbers;
        copy->capacity = count;
    }
    return true;
}

/* The columns of numbers that follow each other sample by sample. */
static void set_columns(Column *columns, double *numbers, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        columns[i] = (Column){(char *)(numbers + i), count * (Py_ssize_t)sizeof(double)};
    }
}

static Outcome read_samples(Batch *batch, const Spec *spec, PyObject *object, Py_ssize_t input)
{
    const Py_ssize_t samples = Py_SIZE(object);
    Copy *copy = &batch->copies[input];
    if (!is_size(batch, samples)) {
        return OTHER;
    }
    if (!reserve(copy, (size_t)samples * (size_t)spec->scalars)) {
        return FAILED;
    }
    double *numbers = copy->numbers;
    set_columns(batch->columns + input, numbers, spec->scalars);
    if (spec->kind == SCALAR) {
        return read_flat(object, samples, numbers);
    }
    for (Py_ssize_t i = 0; i < samples; i++) {
        PyObject *sample = Py_XNewRef(item_of(object, i));
        const Outcome outcome = sample ? read_one(spec, sample, numbers) : OTHER;
        Py_XDECREF(sample);
        numbers += spec->scalars;
        if (outcome != TAKEN) {
            return outcome;
        }
    }
    return TAKEN;
}

/* The columns of an array whose first axis is the batch, or which is one sample's (stride 0). */
static void array_columns(Column *columns, const Py_buffer *view, Py_ssize_t count, bool batched)
{
    Walk walk;
    memset(walk.index, 0, (size_t)view->ndim * sizeof(Py_ssize_t));
    walk.offset = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        columns[i] = (Column){(char *)view->buf + walk.offset, batched ? view->strides[0] : 0};
        step_on(&walk, view->shape + batched, view->strides + batched, view->ndim - batched);
    }
}

static Outcome read_batch_array(Batch *batch, const Spec *spec, PyObject *object,
                                Py_ssize_t input)
{
    Held *held = &batch->held[batch->held_count];
    if (take_array(object, &held->view, PyBUF_SIMPLE, spec->dimensions + 1) != TAKEN) {
        return OTHER;
    }
    batch->held_count++;
    held->first = input;
    held->count = spec->scalars;
    if (!same_shape(held->view.shape + 1, spec->shape, spec->dimensions) ||
        !is_size(batch, held->view.shape[0])) {
        return OTHER;
    }
    array_columns(batch->columns + input, &held->view, spec->scalars, true);
    return TAKEN;
}

/* A batch of samples: an array, a list of samples, or a container of batches. */
static Outcome read_batch(Batch *batch, const Spec *spec, PyObject *object, Py_ssize_t input)
{
    if ((spec->kind == DICT || spec->kind == NAMED) && is_container(spec, object)) {
        for (Py_ssize_t i = 0; i < spec->part_count; i++) {
            PyObject *part = part_of(spec, object, i);
            if (!part) {
                return not_taken();
            }
            const Outcome outcome = read_batch(batch, &spec->parts[i], part, input);
            Py_DECREF(part);
            if (outcome != TAKEN) {
                return outcome;
            }
            input += spec->parts[i].scalars;
        }
        return TAKEN;
    }
    if (PyList_CheckExact(object) || PyTuple_CheckExact(object)) {
        return read_samples(batch, spec, object, input);
    }
    return spec->dimensions >= 0 ? read_batch_array(batch, spec, object, input) : not_taken();
}

/* The bytes between which the elements of an array lie. */
static void extent(const Py_buffer *view, const char **low, const char **high)
{
    *low = *high = view->buf;
    for (int axis = 0; axis < view->ndim; axis++) {
        if (view->shape[axis] == 0) {
            *high = *low;
            return;
        }
        const Py_ssize_t reach = (view->shape[axis] - 1) * view->strides[axis];
        *(reach < 0 ? low : high) += reach;
    }
    *high += view->itemsize;
}

static bool overlap(const Py_buffer *a, const Py_buffer *b)
{
    const char *a_low, *a_high, *b_low, *b_high;
    extent(a, &a_low, &a_high);
    extent(b, &b_low, &b_high);
    return a_low < b_high && b_low < a_high;
}

/* Copy the numbers of a held array, which a result is about to overwrite. */
static bool copy_held(Batch *batch, const Held *held)
{
    Copy *copy = &batch->copies[held->first];
    if (!reserve(copy, (size_t)batch->samples * (size_t)held->count)) {
        return false;
    }
    double *numbers = copy->numbers;
    for (Py_ssize_t i = 0; i < batch->samples; i++) {
        for (Py_ssize_t k = 0; k < held->count; k++) {
            const Column column = batch->columns[held->first + k];
            memcpy(numbers++, column.data + i * column.stride, sizeof(double));
        }
    }
    set_columns(batch->columns + held->first, copy->numbers, held->count);
    return true;
}
