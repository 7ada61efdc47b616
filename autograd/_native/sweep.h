/* The walk through a graph and the sweeps over it. A part of engine.c, which includes it. */

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
