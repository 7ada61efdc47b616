/* A C extension, written by hand: value and gradient of small functions of lists of floats. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>

static int read_list(PyObject *list, double *numbers, Py_ssize_t count)
{
    if (!PyList_CheckExact(list) || PyList_GET_SIZE(list) != count) {
        PyErr_SetString(PyExc_TypeError, "a list of that length is wanted");
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        numbers[i] = PyFloat_AsDouble(PyList_GET_ITEM(list, i));
    }
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *result(double value, const double *gradient, Py_ssize_t count)
{
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list && i < count; i++) {
        PyList_SET_ITEM(list, i, PyFloat_FromDouble(gradient[i]));
    }
    PyObject *number = PyFloat_FromDouble(value), *both = PyTuple_Pack(2, number, list);
    Py_DECREF(number);
    Py_DECREF(list);
    return both;
}

static PyObject *rosenbrock(PyObject *module, PyObject *list)
{
    enum { N = 10 };
    double x[N], g[N] = {0.0}, value = 0.0;
    (void)module;
    if (read_list(list, x, N)) {
        return NULL;
    }
    for (int i = 0; i + 1 < N; i++) {
        const double d = x[i + 1] - x[i] * x[i], e = 1.0 - x[i];
        value += 100.0 * d * d + e * e;
        g[i] -= 400.0 * d * x[i] + 2.0 * e;
        g[i + 1] += 200.0 * d;
    }
    return result(value, g, N);
}

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

/* A 2-2-1 network of sigmoids, half the squared error, by its nine parameters. */
static PyObject *network(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    double w[9], x[2], g[9];
    (void)module;
    if (count != 3 || read_list(args[0], w, 9) || read_list(args[1], x, 2)) {
        return NULL;
    }
    const double target = PyFloat_AsDouble(args[2]);
    const double a = sigmoid(w[0] * x[0] + w[1] * x[1] + w[2]);
    const double b = sigmoid(w[3] * x[0] + w[4] * x[1] + w[5]);
    const double o = sigmoid(w[6] * a + w[7] * b + w[8]), e = o - target;
    const double go = e * o * (1.0 - o), ga = go * w[6] * a * (1.0 - a), gb = go * w[7] * b * (1.0 - b);
    const double gradient[9] = {ga * x[0], ga * x[1], ga, gb * x[0], gb * x[1], gb, go * a, go * b, go};
    memcpy(g, gradient, sizeof(g));
    return result(0.5 * e * e, g, 9);
}

static PyMethodDef functions[] = {
    {"rosenbrock", rosenbrock, METH_O, NULL},
    {"network", (PyCFunction)(void (*)(void))network, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "latency", .m_methods = functions};

PyMODINIT_FUNC PyInit_latency(void)
{
    return PyModule_Create(&definition);
}
