/* The native engine: recording, the walk, the sweep and freeing, over plain structs.

   value.py, graph.py, backward.py and functional.py are the specification. Whatever is not hot
   stays there: `autograd/_native/__init__.py` gives the type the cold methods of the pure `Value`,
   and each function here hands what it does not serve to the pure function of the same name. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "kernels.h"

#ifndef RECYCLE_NODES
#define RECYCLE_NODES 1 /* 0 for sanitizers, to which memory that is kept is in use */
#endif

#if defined(_WIN32)
#include <malloc.h>
#define ALIGNED_ALLOC(size) _aligned_malloc(size, size)
#define ALIGNED_FREE(memory) _aligned_free(memory)
#else
#define ALIGNED_ALLOC(size) aligned_alloc(size, size)
#define ALIGNED_FREE(memory) free(memory)
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

/* One unit for the compiler, which inlines across it; each part stands on those before it. */
#include "node.h"
#include "recording.h"
#include "sweep.h"
#include "type.h"

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
    if (PyTuple_GET_SIZE(rows) != ALL_ROWS - 1) {
        return PyErr_Format(PyExc_ValueError, "expected %d rows", ALL_ROWS - 1);
    }
    for (int row = 1; row < ALL_ROWS; row++) {
        Py_XSETREF(row_objects[row], Py_NewRef(PyTuple_GET_ITEM(rows, row - 1)));
    }
    Py_RETURN_NONE;
}

static PyObject *function_connect_modes(PyObject *Py_UNUSED(module), PyObject *thread)
{
    Py_XSETREF(modes_thread, Py_NewRef(thread));
    Py_RETURN_NONE;
}

static PyObject *set_flag(int *flag, PyObject *on)
{
    int number = PyObject_IsTrue(on);
    if (number < 0) {
        return NULL;
    }
    *flag = number;
    Py_RETURN_NONE;
}

static PyObject *function_set_modes_active(PyObject *Py_UNUSED(module), PyObject *active)
{
    return set_flag(&modes_active, active);
}

static PyObject *function_set_tracing(PyObject *Py_UNUSED(module), PyObject *count)
{
    return set_flag(&tracing, count);
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
    return PyLong_FromSsize_t(live_count);
}

static PyMethodDef functions[] = {
    EACH_UNARY_ROW(FUNCTION_ENTRY)
    EACH_BINARY_ROW(FUNCTION_ENTRY)
    FUNCTION_ENTRY(sum)
    FUNCTION_ENTRY(dot)
    FUNCTION_ENTRY(backward)
    FUNCTION_ENTRY(pullback)
    FUNCTION_ENTRY(operations)
    {"dependents", FAST(function_dependents), METH_FASTCALL, ""},
    {"columns", FAST(function_columns), METH_FASTCALL, ""},
    {"accumulate", FAST(function_accumulate), METH_FASTCALL, ""},
    {"record", FAST(function_record), METH_FASTCALL, ""},
    {"connect", function_connect, METH_VARARGS, "Name a function that the pure engine serves."},
    {"connect_rows", function_connect_rows, METH_VARARGS, "Tell the rows."},
    {"connect_modes", function_connect_modes, METH_O, "Tell the modes of the running thread."},
    {"set_modes_active", function_set_modes_active, METH_O, "Tell whether a mode is on."},
    {"set_tracing", function_set_tracing, METH_O, "Tell whether a function is being traced."},
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
                   add(module, "row_texts", row_texts_tuple()) ||
                   PyModule_AddIntConstant(module, "data_offset", offsetof(Value, data))
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
