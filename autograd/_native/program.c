/* Compiled programs: straight-line code over float64, run on one sample or a batch of them.

   autograd/program.py is the specification: the pure twin of this module. autograd/compiler.py
   makes the programs. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lanes.h"

static PyTypeObject *program_type, *bound_type;
static PyObject *value_type; /* the native engine's Value */
static Py_ssize_t value_data_offset;
/* NumPy's, once it was needed; no dtype where arrays are not as this module knows them. */
static PyTypeObject *numpy_array;
static PyObject *numpy_empty, *numpy_float64;
static const Version *version;      /* the kernels in use */
static Version version_interpreted; /* the baseline without machine code */
static _Thread_local int transforming; /* how many transforms run in this thread */

/* One unit for the compiler; each part stands on those before it. */
#include "plan.h"
#include "machine.h"
#include "arguments.h"
#include "running.h"
#include "calling.h"

/* Programs. ------------------------------------------------------------------------------------ */

/* A copy of a buffer's bytes; sets how many items of that size they are. */
static void *copy_items(PyObject *object, const char *name, size_t size, size_t *count)
{
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE)) {
        return NULL;
    }
    void *items = NULL;
    if ((size_t)view.len % size || (size_t)view.len / size > INT32_MAX) {
        PyErr_Format(PyExc_ValueError, "%s must hold items of %zu bytes, received %zd bytes", name,
                     size, view.len);
    }
    else if (!(items = PyMem_RawMalloc((size_t)view.len + 1))) {
        PyErr_NoMemory();
    }
    else {
        memcpy(items, view.buf, (size_t)view.len);
        *count = (size_t)view.len / size;
    }
    PyBuffer_Release(&view);
    return items;
}

static PyObject *program_new(PyTypeObject *type, PyObject *args, PyObject *names)
{
    static char *keywords[] = {"code", "terms", "constants", "inputs", "outputs", NULL};
    PyObject *code, *terms, *constants, *outputs;
    Py_ssize_t inputs;
    if (!PyArg_ParseTupleAndKeywords(args, names, "OOOnO", keywords, &code, &terms, &constants,
                                     &inputs, &outputs)) {
        return NULL;
    }
    if (inputs < 0 || inputs > INT32_MAX) {
        return PyErr_Format(PyExc_ValueError, "inputs must be 0 or more, received %zd", inputs);
    }
    Program *self = (Program *)type->tp_alloc(type, 0);
    if (!self) {
        return NULL;
    }
    self->input_count = (size_t)inputs;
    const bool copied =
        (self->code = copy_items(code, "code", sizeof(*self->code), &self->instruction_count)) &&
        (self->terms = copy_items(terms, "terms", sizeof(*self->terms), &self->term_count)) &&
        (self->constants = copy_items(constants, "constants", sizeof(*self->constants),
                                      &self->constant_count)) &&
        (self->outputs =
             copy_items(outputs, "outputs", sizeof(*self->outputs), &self->output_count));
    if (copied && slot_count(self) > INT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "a program has at most 2**31 - 1 slots");
    }
    else if (copied && check_program(self)) {
        return (PyObject *)self;
    }
    Py_DECREF(self);
    return NULL;
}

static void program_dealloc(Program *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyMem_RawFree(self->code);
    PyMem_RawFree(self->terms);
    PyMem_RawFree(self->constants);
    PyMem_RawFree(self->outputs);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Binding. ------------------------------------------------------------------------------------- */

/* List the leaves of the results, in order. */
static void list_leaves(Bound *self, const Spec *spec, const char *modes, Py_ssize_t *leaf,
                        Py_ssize_t *output)
{
    if (spec->kind == SCALAR || spec->kind == ARRAY) {
        const char mode = modes[*leaf];
        const bool is_array = spec->kind == ARRAY || (self->batched && !is_summed(mode));
        self->leaves[*leaf] = (Leaf){spec, *output, mode, is_array};
        self->has_arrays |= is_array;
        memset(self->modes + *output, mode, (size_t)spec->scalars);
        ++*leaf;
        *output += spec->scalars;
        return;
    }
    for (Py_ssize_t i = 0; i < spec->part_count; i++) {
        list_leaves(self, &spec->parts[i], modes, leaf, output);
    }
}

static bool bind_results(Bound *self, PyObject *results, PyObject *modes)
{
    Py_ssize_t mode_count, leaf = 0, output = 0;
    const char *characters = PyUnicode_AsUTF8AndSize(modes, &mode_count);
    if (!characters || !parse_spec(results, &self->results)) {
        return false;
    }
    const size_t outputs = self->program->output_count;
    if ((size_t)self->results.scalars != outputs || self->results.leaves != mode_count) {
        PyErr_Format(PyExc_ValueError,
                     "results must have %zu scalars and modes one character for each of their %zd "
                     "leaves, received %zd scalars and %R",
                     outputs, self->results.leaves, self->results.scalars, modes);
        return false;
    }
    for (Py_ssize_t i = 0; i < mode_count; i++) {
        if (!strchr(self->batched ? "edsm" : "e", characters[i])) {
            PyErr_Format(PyExc_ValueError, "modes must be made of %s here, received %R",
                         self->batched ? "e, d, s and m" : "e", modes);
            return false;
        }
    }
    self->leaf_count = self->results.leaves;
    self->leaves = PyMem_Calloc((size_t)self->leaf_count + 1, sizeof(Leaf));
    self->modes = PyMem_Calloc(outputs + 1, 1);
    if (!self->leaves || !self->modes) {
        PyErr_NoMemory();
        return false;
    }
    list_leaves(self, &self->results, characters, &leaf, &output);
    return true;
}

/* The arguments' specs, and which of the program's inputs vary. */
static bool bind_arguments(Bound *self, PyObject *arguments, PyObject *axes, char *varying)
{
    const size_t inputs = self->program->input_count;
    const Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    size_t input = (size_t)PyTuple_GET_SIZE(self->captured);
    self->arguments = PyMem_Calloc((size_t)count + 1, sizeof(Spec));
    self->mapped = PyMem_Calloc((size_t)count + 1, 1);
    if (!self->arguments || !self->mapped) {
        PyErr_NoMemory();
        return false;
    }
    self->argument_count = count;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *axis = PyTuple_GET_ITEM(axes, i);
        if (!parse_spec(PyTuple_GET_ITEM(arguments, i), &self->arguments[i])) {
            return false;
        }
        if (axis != Py_None && !(PyLong_CheckExact(axis) && PyLong_AsLong(axis) == 0)) {
            PyErr_Clear();
            PyErr_Format(PyExc_ValueError, "an axis must be 0 or None, received %R", axis);
            return false;
        }
        self->mapped[i] = axis != Py_None;
        self->batched |= self->mapped[i];
        input += (size_t)self->arguments[i].scalars;
        self->held_capacity += self->mapped[i] ? self->arguments[i].leaves + 1 : 0;
    }
    if (input != inputs) {
        PyErr_Format(PyExc_ValueError,
                     "arguments and captured must have %zu scalars, as the program has inputs, "
                     "received %zu",
                     inputs, input);
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        memset(varying, self->mapped[i], (size_t)self->arguments[i].scalars);
        varying += self->arguments[i].scalars;
    }
    return true;
}

/* Whether all numbers captured lie where the native engine keeps them. */
static bool are_native(PyObject *captured)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(captured); i++) {
        PyTypeObject *type = (PyTypeObject *)value_type;
        if (!type || !PyObject_TypeCheck(PyTuple_GET_ITEM(captured, i), type)) {
            return false;
        }
    }
    return true;
}

static bool bind(Bound *self, PyObject *arguments, PyObject *axes, PyObject *results,
                 PyObject *modes)
{
    char *varying = PyMem_RawCalloc(self->program->input_count + 1, 1);
    if (!varying) {
        PyErr_NoMemory();
        return false;
    }
    const bool done = bind_arguments(self, arguments, axes, varying) &&
                      bind_results(self, results, modes) &&
                      (!self->has_arrays || use_numpy(true)) &&
                      make_plan(&self->plan, self->program, varying,
                                self->batched ? self->modes : NULL);
    PyMem_RawFree(varying);
    if (done) {
        self->machine = make_machine(&self->plan, (uint32_t)slot_count(self->program));
    }
    self->held_capacity += self->leaf_count;
    self->captured_native = are_native(self->captured);
    return done;
}

static PyObject *program_bind(PyObject *program, PyObject *args, PyObject *names)
{
    static char *keywords[] = {"arguments", "axes",    "results",   "modes",
                               "captured",  "threads", "otherwise", NULL};
    PyObject *arguments, *axes, *results, *modes, *captured, *otherwise;
    Py_ssize_t threads;
    if (!PyArg_ParseTupleAndKeywords(args, names, "O!O!OUO!nO", keywords, &PyTuple_Type,
                                     &arguments, &PyTuple_Type, &axes, &results, &modes,
                                     &PyTuple_Type, &captured, &threads, &otherwise)) {
        return NULL;
    }
    if (PyTuple_GET_SIZE(axes) != PyTuple_GET_SIZE(arguments)) {
        return PyErr_Format(PyExc_ValueError, "axes must be as many as arguments, received %R",
                            axes);
    }
    if (threads < 1 || threads > 1024) {
        return PyErr_Format(PyExc_ValueError, "threads must be 1 to 1024, received %zd", threads);
    }
    Bound *self = (Bound *)bound_type->tp_alloc(bound_type, 0);
    if (!self) {
        return NULL;
    }
    self->call = bound_call;
    self->program = (Program *)Py_NewRef(program);
    self->captured = Py_NewRef(captured);
    self->otherwise = Py_NewRef(otherwise);
    self->threads = (size_t)threads;
    if (!bind(self, arguments, axes, results, modes)) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static int bound_traverse(Bound *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->program);
    Py_VISIT(self->captured);
    Py_VISIT(self->otherwise);
    for (Py_ssize_t i = 0; i < self->argument_count; i++) {
        int result = visit_spec(&self->arguments[i], visit, arg);
        if (result) {
            return result;
        }
    }
    return visit_spec(&self->results, visit, arg);
}

static int bound_clear(Bound *self)
{
    Py_XSETREF(self->otherwise, Py_NewRef(Py_None)); /* every cycle passes through it */
    return 0;
}

static void bound_dealloc(Bound *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    while (self->idle) {
        Workspace *space = self->idle;
        self->idle = space->next;
        free_workspace(self, space);
    }
    for (Py_ssize_t i = 0; i < self->argument_count; i++) {
        clear_spec(&self->arguments[i]);
    }
    clear_spec(&self->results);
    free_plan(&self->plan);
    free_machine(&self->machine);
    PyMem_Free(self->arguments);
    PyMem_Free(self->mapped);
    PyMem_Free(self->leaves);
    PyMem_Free(self->modes);
    Py_XDECREF(self->captured);
    Py_XDECREF(self->otherwise);
    Py_XDECREF(self->program);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Entries. ------------------------------------------------------------------------------------- */

/* What calls whatever its target is now: a compiled function, or another way to call one. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *owner, *name, *target;
} Entry;

static PyObject *entry_call(PyObject *object, PyObject *const *args, size_t flags, PyObject *names)
{
    PyObject *target = ((Entry *)object)->target;
    Py_INCREF(target); /* a call may set another one */
    PyObject *result = PyObject_Vectorcall(target, args, flags, names);
    Py_DECREF(target);
    return result;
}

static PyObject *entry_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                           PyObject *Py_UNUSED(names))
{
    Entry *self = (Entry *)type->tp_alloc(type, 0);
    if (self) {
        self->call = entry_call;
        self->owner = Py_NewRef(Py_None);
        self->name = Py_NewRef(Py_None);
        self->target = Py_NewRef(Py_None);
    }
    return (PyObject *)self;
}

static int entry_init(Entry *self, PyObject *args, PyObject *names)
{
    static char *keywords[] = {"owner", "name", "target", NULL};
    PyObject *owner, *name, *target;
    if (!PyArg_ParseTupleAndKeywords(args, names, "OUO", keywords, &owner, &name, &target)) {
        return -1;
    }
    Py_XSETREF(self->owner, Py_NewRef(owner));
    Py_XSETREF(self->name, Py_NewRef(name));
    Py_XSETREF(self->target, Py_NewRef(target));
    return 0;
}

static PyObject *entry_repr(Entry *self)
{
    return PyUnicode_FromFormat("%R.%S", self->owner, self->name);
}

/* It pickles as its owner's attribute. */
static PyObject *entry_reduce(Entry *self, PyObject *Py_UNUSED(nothing))
{
    PyObject *get = PyDict_GetItemString(PyEval_GetBuiltins(), "getattr");
    return get ? Py_BuildValue("O(OO)", get, self->owner, self->name) : NULL;
}

static int entry_traverse(Entry *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->owner);
    Py_VISIT(self->target);
    return 0;
}

static int entry_clear(Entry *self)
{
    Py_XSETREF(self->owner, Py_NewRef(Py_None));
    Py_XSETREF(self->target, Py_NewRef(Py_None));
    return 0;
}

static void entry_dealloc(Entry *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(self->owner);
    Py_XDECREF(self->name);
    Py_XDECREF(self->target);
    type->tp_free(self);
    Py_DECREF(type);
}

/* The module. ---------------------------------------------------------------------------------- */

#define SLOT(slot, function) {slot, (void *)(function)}
#define METHOD(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef program_methods[] = {
    {"bind", METHOD(program_bind), METH_VARARGS | METH_KEYWORDS,
     "bind($self, arguments, axes, results, modes, captured, threads, otherwise)\n--\n\n"
     "A function of arguments with that structure, which runs the program."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot program_slots[] = {
    SLOT(Py_tp_new, program_new),
    SLOT(Py_tp_dealloc, program_dealloc),
    SLOT(Py_tp_methods, program_methods),
    SLOT(Py_tp_doc, "Program(code, terms, constants, inputs, outputs)\n--\n\n"
                    "Straight-line code over float64."),
    {0, NULL},
};

static PyType_Spec program_spec = {
    .name = "autograd._native.program.Program",
    .basicsize = sizeof(Program),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = program_slots,
};

static PyMemberDef bound_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Bound, call), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot bound_slots[] = {
    SLOT(Py_tp_call, PyVectorcall_Call),
    SLOT(Py_tp_traverse, bound_traverse),
    SLOT(Py_tp_clear, bound_clear),
    SLOT(Py_tp_dealloc, bound_dealloc),
    SLOT(Py_tp_members, bound_members),
    SLOT(Py_tp_doc, "A program bound to a structure of arguments."),
    {0, NULL},
};

static PyType_Spec bound_spec = {
    .name = "autograd._native.program.Bound",
    .basicsize = sizeof(Bound),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = bound_slots,
};

static PyMethodDef entry_methods[] = {
    {"__reduce__", METHOD(entry_reduce), METH_NOARGS, "__reduce__($self, /)\n--\n\nPickles."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef entry_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Entry, call), READONLY, NULL},
    {"target", T_OBJECT_EX, offsetof(Entry, target), 0, "What a call goes to."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot entry_slots[] = {
    SLOT(Py_tp_new, entry_new),
    SLOT(Py_tp_init, entry_init),
    SLOT(Py_tp_call, PyVectorcall_Call),
    SLOT(Py_tp_repr, entry_repr),
    SLOT(Py_tp_traverse, entry_traverse),
    SLOT(Py_tp_clear, entry_clear),
    SLOT(Py_tp_dealloc, entry_dealloc),
    SLOT(Py_tp_methods, entry_methods),
    SLOT(Py_tp_members, entry_members),
    SLOT(Py_tp_doc, "Entry(owner, name, target)\n--\n\nCalls its target."),
    {0, NULL},
};

static PyType_Spec entry_spec = {
    .name = "autograd._native.program.Entry",
    .basicsize = sizeof(Entry),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_BASETYPE,
    .slots = entry_slots,
};

enum { MOST_VERSIONS = 4 };

/* The versions that this processor runs, the fastest first. */
static int list_versions(const Version *versions[])
{
    int count = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")) {
        versions[count++] = &version_avx512;
    }
    if (__builtin_cpu_supports("avx2")) {
        versions[count++] = &version_avx2;
    }
#endif
    versions[count++] = &version_baseline;
    version_interpreted = version_baseline;
    version_interpreted.name = "interpreted";
    versions[count++] = &version_interpreted;
    return count;
}

static PyObject *function_use(PyObject *Py_UNUSED(module), PyObject *name)
{
    const Version *versions[MOST_VERSIONS];
    const int count = list_versions(versions);
    for (int i = 0; i < count; i++) {
        if (is_name(name, versions[i]->name)) {
            version = versions[i];
            Py_RETURN_NONE;
        }
    }
    return PyErr_Format(PyExc_ValueError, "this processor runs no version %R", name);
}

static PyObject *function_set_transforming(PyObject *Py_UNUSED(module), PyObject *depth)
{
    const int number = (int)PyLong_AsLong(depth);
    if (number == -1 && PyErr_Occurred()) {
        return NULL;
    }
    transforming = number;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"use", function_use, METH_O,
     "use(name, /)\n--\n\nRun what is bound from now on by the kernels of that version."},
    {"set_transforming", function_set_transforming, METH_O,
     "set_transforming(depth, /)\n--\n\nInside transforms of this thread, call nothing natively."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "autograd._native.program",
    .m_doc = "Compiled programs, run natively over one sample or a batch.",
    .m_size = -1,
    .m_methods = functions,
};

static int add(PyObject *module, const char *name, PyObject *object)
{
    const int result = object ? PyModule_AddObjectRef(module, name, object) : -1;
    Py_XDECREF(object);
    return result;
}

static PyObject *version_names(void)
{
    const Version *versions[MOST_VERSIONS];
    const int count = list_versions(versions);
    PyObject *names = PyTuple_New(count);
    for (int i = 0; names && i < count; i++) {
        PyObject *name = PyUnicode_FromString(versions[i]->name);
        if (!name) {
            Py_CLEAR(names);
            break;
        }
        PyTuple_SET_ITEM(names, i, name);
    }
    version = versions[0];
    return names;
}

static PyObject *row_texts(void)
{
    static const char *const texts[ROWS][3] = {ROW_TEXTS};
    PyObject *rows = PyTuple_New(ROWS);
    for (int row = 0; rows && row < ROWS; row++) {
        const char *const *text = texts[row];
        PyObject *texts_of_row = Py_BuildValue("(sss)", text[0], text[1], text[2]);
        if (!texts_of_row) {
            Py_CLEAR(rows);
            break;
        }
        PyTuple_SET_ITEM(rows, row, texts_of_row);
    }
    return rows;
}

/* Where the native engine keeps the number of a Value, so that captured ones are read fast. */
static int find_engine(void)
{
    PyObject *engine = PyImport_ImportModule("autograd._native.engine");
    if (!engine) {
        return -1;
    }
    PyObject *offset = PyObject_GetAttrString(engine, "data_offset");
    value_type = PyObject_GetAttrString(engine, "Value");
    value_data_offset = offset ? PyLong_AsSsize_t(offset) : -1;
    Py_XDECREF(offset);
    Py_DECREF(engine);
    return PyErr_Occurred() ? -1 : 0;
}

PyMODINIT_FUNC PyInit_program(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (!module) {
        return NULL;
    }
    program_type = (PyTypeObject *)PyType_FromSpec(&program_spec);
    bound_type = (PyTypeObject *)PyType_FromSpec(&bound_spec);
    PyObject *entry_type = PyType_FromSpec(&entry_spec);
    if (!bound_type || find_engine() < 0 ||
        add(module, "Program", (PyObject *)program_type) < 0 ||
        add(module, "Entry", entry_type) < 0 ||
        add(module, "versions", version_names()) < 0 ||
        add(module, "row_texts", row_texts()) < 0) {
        Py_CLEAR(module);
    }
    return module;
}
