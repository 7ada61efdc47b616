/* The walk through a graph and the sweeps over it. A part of engine.c, which includes it. */

/* The walk. ---------------------------------------------------------------------------------- */

/* Nodes by reference: nothing here runs Python while they are in use, so nothing dies. */
typedef struct {
    Value **items;
    size_t count, capacity;
} Nodes;

/* What the last walk and sort were done in, kept for the next ones: memory that is new from the
   system costs a page fault every 4 KB. */
enum { KEPT = 3, LARGEST_KEPT = 2 * SPARE_SLABS * SLAB_NODES };
static Nodes kept[KEPT];
static int kept_count;

static Nodes no_nodes(void)
{
    Nodes nodes = {0};
    if (kept_count) {
        nodes = kept[--kept_count];
        nodes.count = 0;
    }
    return nodes;
}

static void give_back(Nodes *nodes)
{
    if (nodes->capacity && nodes->capacity <= LARGEST_KEPT && kept_count < KEPT) {
        kept[kept_count++] = *nodes;
    }
    else {
        PyMem_RawFree(nodes->items);
    }
}

static int reserve(Nodes *nodes, size_t capacity)
{
    if (nodes->capacity < capacity) {
        Value **items = PyMem_RawRealloc(nodes->items, capacity * sizeof(Value *));
        if (!items) {
            PyErr_NoMemory();
            return -1;
        }
        nodes->items = items;
        nodes->capacity = capacity;
    }
    return 0;
}

static int append(Nodes *nodes, Value *node)
{
    if (nodes->count == nodes->capacity && reserve(nodes, 2 * nodes->capacity + 256) < 0) {
        return -1;
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

/* Find an operand, and if it is new and was computed, go on from there later. */
static ALWAYS_INLINE int visit(Value *operand, Nodes *found, Nodes *stack)
{
    if (has(operand, FOUND)) {
        return 0;
    }
    if (find(found, operand) < 0) {
        return -1;
    }
    return row_of(operand) == LEAF ? 0 : append(stack, operand);
}

/* What a walk tells of the operations that it went through. */
typedef struct {
    size_t count;
    uint64_t first, last; /* the least word and the largest */
    bool stale;           /* whether an operand was written after it was used */
} Walked;

/* Find all nodes below those that are found already, depth first: neighbours in the graph are
   neighbours in memory. */
static int walk(Nodes *found, uint64_t since, Walked *walked)
{
    Nodes stack = no_nodes();
    int status = 0;
    *walked = (Walked){.first = UINT64_MAX};
    for (size_t i = 0; i < found->count && status == 0; i++) {
        status = append(&stack, found->items[i]);
    }
    while (stack.count && status == 0) {
        Value *node = stack.items[--stack.count];
        if (!is_operation(node, since)) {
            continue;
        }
        walked->count++;
        walked->first = node->word < walked->first ? node->word : walked->first;
        walked->last = node->word > walked->last ? node->word : walked->last;
        if (has(node, X_NODE)) {
            walked->stale |= is_stale(node, node->x.node);
            status = visit(node->x.node, found, &stack);
        }
        if (has(node, Y_NODE) && status == 0) {
            walked->stale |= is_stale(node, node->y.node);
            status = visit(node->y.node, found, &stack);
        }
    }
    give_back(&stack);
    return status;
}

static int by_word(const void *left, const void *right)
{
    uint64_t a = (*(Value *const *)left)->word, b = (*(Value *const *)right)->word;
    return (a > b) - (a < b);
}

/* For each operation among the nodes, which memory brings while others are worked on. */
#define EACH_OPERATION(node, found, since)                                                     \
    for (size_t i = 0; i < (found)->count; i++)                                                \
        if (PREFETCH((found)->items[i + 8 < (found)->count ? i + 8 : i]),                      \
            node = (found)->items[i], is_operation(node, since))

/* Each operation in the place of its stamp, then moved together. */
static int sort_dense(const Nodes *found, uint64_t since, const Walked *walked, Nodes *sorted)
{
    size_t places = (size_t)((walked->last >> STAMP_SHIFT) - (walked->first >> STAMP_SHIFT)) + 1;
    Value *node;
    if (reserve(sorted, places) < 0) {
        return -1;
    }
    memset(sorted->items, 0, places * sizeof(Value *));
    EACH_OPERATION(node, found, since)
    {
        sorted->items[(node->word >> STAMP_SHIFT) - (walked->first >> STAMP_SHIFT)] = node;
    }
    for (size_t i = 0; i < places; i++) {
        sorted->items[sorted->count] = sorted->items[i];
        sorted->count += sorted->items[i] != NULL;
    }
    return 0;
}

/* The same where many stamps are not those of the operations: a bucket for some stamps each, and
   what shares a bucket is sorted by comparing. */
static int sort_sparse(const Nodes *found, uint64_t since, const Walked *walked, Nodes *sorted)
{
    int shift = STAMP_SHIFT;
    while ((walked->last >> shift) - (walked->first >> shift) >= 2 * walked->count) {
        shift++;
    }
#define BUCKET(node) ((size_t)(((node)->word >> shift) - (walked->first >> shift)))
    size_t buckets = (size_t)((walked->last >> shift) - (walked->first >> shift)) + 1;
    Value *node;
    uint32_t *ends = PyMem_RawCalloc(buckets + 1, sizeof(uint32_t));
    if (!ends || walked->count > UINT32_MAX || reserve(sorted, walked->count) < 0) {
        PyMem_RawFree(ends);
        PyErr_NoMemory();
        return -1;
    }
    sorted->count = walked->count;
    EACH_OPERATION(node, found, since)
    {
        ends[BUCKET(node) + 1]++;
    }
    for (size_t bucket = 1; bucket <= buckets; bucket++) {
        ends[bucket] += ends[bucket - 1];
    }
    EACH_OPERATION(node, found, since)
    {
        sorted->items[ends[BUCKET(node)]++] = node;
    }
#undef BUCKET
    for (size_t bucket = 0; bucket < buckets; bucket++) {
        size_t start = bucket ? ends[bucket - 1] : 0;
        if (ends[bucket] - start > 1) {
            qsort(sorted->items + start, ends[bucket] - start, sizeof(Value *), by_word);
        }
    }
    PyMem_RawFree(ends);
    return 0;
}

/* The operations among the nodes in the order of their recording. */
static int sort_operations(const Nodes *found, uint64_t since, const Walked *walked, Nodes *sorted)
{
    if (walked->count == 0) {
        return 0;
    }
    bool is_dense = (walked->last - walked->first) >> STAMP_SHIFT < 2 * walked->count;
    return (is_dense ? sort_dense : sort_sparse)(found, since, walked, sorted);
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
    Nodes found = no_nodes(), sorted = no_nodes();
    Reached nothing_noted = {0};
    Walked walked = {0};
    int status = find(&found, root);
    if (status == 0) {
        status = walk(&found, 0, &walked);
    }
    if (status == 0 && !walked.stale) {
        status = sort_operations(&found, 0, &walked, &sorted);
    }
    if (status < 0 || walked.stale) {
        forget(&found);
    }
    else {
        keep_leaves(&found);
        contribute(root, upstream, &nothing_noted);
        sweep(&sorted, REQUIRES_GRAD, &nothing_noted);
        accumulate(&found);
        status = PyErr_Occurred() ? -1 : 0;
    }
    give_back(&found);
    give_back(&sorted);
    return walked.stale ? 1 : status;
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

static inline bool depends_on_wanted(const Value *node)
{
    return (has(node, X_NODE) && has(node->x.node, WANTED)) ||
           (has(node, Y_NODE) && has(node->y.node, WANTED));
}

/* What was computed from a wanted node is wanted. */
static void spread_wanted(const Nodes *sorted)
{
    for (size_t i = 0; i < sorted->count; i++) {
        if (depends_on_wanted(sorted->items[i])) {
            sorted->items[i]->word |= WANTED;
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
    Nodes found = no_nodes(), sorted = no_nodes();
    Reached reached = {0};
    PyObject *key, *seed, *gradients = NULL;
    Py_ssize_t position = 0;
    Walked walked = {0};
    int status = 0;
    while (status == 0 && PyDict_Next(pull.seeds, &position, &key, &seed)) {
        status = find(&found, (Value *)key);
    }
    if (status == 0) {
        status = walk(&found, pull.since, &walked);
    }
    if (status == 0 && (!walked.stale || pull.allow_stale)) {
        status = sort_operations(&found, pull.since, &walked, &sorted);
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
    give_back(&found);
    give_back(&sorted);
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
    uint64_t since = 0;
    Walked walked = {0};
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
    Nodes found = no_nodes(), sorted = no_nodes();
    int status = 0;
    for (Py_ssize_t i = 0; i < count && status == 0; i++) {
        status = find(&found, (Value *)args[i]);
    }
    if (status == 0) {
        status = walk(&found, since, &walked);
    }
    if (status == 0) {
        status = sort_operations(&found, since, &walked, &sorted);
    }
    forget(&found);
    give_back(&found);
    PyObject *list = NULL;
    if (status == 0) {
        list = list_of(&sorted);
    }
    give_back(&sorted);
    return list;
}

static bool is_list_of_values(PyObject *object)
{
    bool plain = PyList_CheckExact(object);
    for (Py_ssize_t i = 0; plain && i < PyList_GET_SIZE(object); i++) {
        plain = is_value(PyList_GET_ITEM(object, i));
    }
    return plain;
}

/* dependents(operations, wrt) of graph.py. */
static PyObject *function_dependents(PyObject *Py_UNUSED(module), PyObject *const *args,
                                     Py_ssize_t count)
{
    if (count != 2 || !is_list_of_values(args[0]) || !is_list_of_values(args[1])) {
        return call_pure("dependents", args, (size_t)count, NULL);
    }
    Nodes found = no_nodes();
    int status = 0;
    flag_wanted(args[1], true);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(args[1]) && status == 0; i++) {
        status = append(&found, (Value *)PyList_GET_ITEM(args[1], i));
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(args[0]) && status == 0; i++) {
        Value *node = (Value *)PyList_GET_ITEM(args[0], i);
        if (depends_on_wanted(node)) {
            node->word |= WANTED;
            status = append(&found, node);
        }
    }
    flag_wanted(args[1], false);
    forget(&found);
    PyObject *list = status == 0 ? list_of(&found) : NULL, *set = NULL;
    give_back(&found);
    if (list) {
        set = PySet_New(list);
        Py_DECREF(list);
    }
    return set;
}

/* What a compiled function needs of the graph. ------------------------------------------------ */

/* accumulate(leaves, gradients) of backward.py. */
static PyObject *function_accumulate(PyObject *Py_UNUSED(module), PyObject *const *args,
                                     Py_ssize_t count)
{
    bool plain = count == 2 && PyList_CheckExact(args[0]) && PyList_CheckExact(args[1]) &&
                 PyList_GET_SIZE(args[0]) == PyList_GET_SIZE(args[1]);
    for (Py_ssize_t i = 0; plain && i < PyList_GET_SIZE(args[0]); i++) {
        plain = is_value(PyList_GET_ITEM(args[0], i)) &&
                PyFloat_CheckExact(PyList_GET_ITEM(args[1], i));
    }
    if (!plain) {
        return call_pure("accumulate", args, (size_t)count, NULL);
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(args[0]); i++) {
        Value *leaf = (Value *)PyList_GET_ITEM(args[0], i);
        double gradient = PyFloat_AS_DOUBLE(PyList_GET_ITEM(args[1], i));
        leaf->grad = leaf->grad != 0.0 ? leaf->grad + gradient : gradient;
    }
    Py_RETURN_NONE;
}

/* The columns of a graph while they are being written. */
typedef struct {
    Nodes nodes;     /* sources, other leaves, operations: the place of each is its slot */
    size_t saved;    /* of so many the grad holds the slot */
    double *grads;   /* which are put back at the end */
    int32_t *code;
    double *numbers; /* the number operands */
    size_t number_count;
} Columns;

static int32_t slot_of(const Value *node)
{
    return (int32_t)node->grad;
}

#define UNARY_CASE(name) case ROW_##name:

/* Whether a node has no right operand. */
static bool has_one_operand(const Value *node)
{
    switch (row_of(node)) {
        EACH_UNARY_ROW(UNARY_CASE)
        return true;
    default:
        return false;
    }
}

static int32_t operand_place(Columns *columns, bool is_node, Slot slot)
{
    if (is_node) {
        return slot_of(slot.node);
    }
    columns->numbers[columns->number_count++] = slot.number;
    return (int32_t)-columns->number_count;
}

/* Nodes to be numbered, each once: leaves of the list, or of the operands of the list. */
static int find_leaves(Columns *columns, PyObject *list, bool of_operands)
{
    int status = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list) && status == 0; i++) {
        Value *node = (Value *)PyList_GET_ITEM(list, i);
        if (!of_operands) {
            status = find(&columns->nodes, node);
            continue;
        }
        if (has(node, X_NODE)) {
            status = find(&columns->nodes, node->x.node);
        }
        if (has(node, Y_NODE) && status == 0) {
            status = find(&columns->nodes, node->y.node);
        }
    }
    return status;
}

static int number_nodes(Columns *columns, PyObject *operations, PyObject *sources,
                        PyObject *wanted, size_t *leaf_count)
{
    Py_ssize_t count = PyList_GET_SIZE(operations);
    for (Py_ssize_t i = 0; i < count; i++) {
        ((Value *)PyList_GET_ITEM(operations, i))->word |= FOUND;
    }
    int status = find_leaves(columns, sources, false);
    if (status == 0) {
        status = find_leaves(columns, operations, true);
    }
    if (status == 0) {
        status = find_leaves(columns, wanted, false);
    }
    *leaf_count = columns->nodes.count;
    Py_ssize_t added = 0;
    for (; added < count && status == 0; added++) {
        status = append(&columns->nodes, (Value *)PyList_GET_ITEM(operations, added));
    }
    for (; added < count; added++) {
        ((Value *)PyList_GET_ITEM(operations, added))->word &= ~(uint64_t)FOUND;
    }
    return status;
}

static int write_columns(Columns *columns, size_t leaf_count)
{
    size_t count = columns->nodes.count, operation_count = count - leaf_count;
    columns->grads = PyMem_RawMalloc((count + 1) * sizeof(double));
    columns->code = PyMem_RawMalloc((3 * operation_count + 1) * sizeof(int32_t));
    columns->numbers = PyMem_RawMalloc((2 * operation_count + 1) * sizeof(double));
    if (!columns->grads || !columns->code || !columns->numbers || count > INT32_MAX / 3) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        columns->grads[i] = columns->nodes.items[i]->grad;
        columns->nodes.items[i]->grad = (double)i;
    }
    columns->saved = count;
    columns->numbers[columns->number_count++] = 0.0;
    for (size_t i = 0; i < operation_count; i++) {
        Value *node = columns->nodes.items[leaf_count + i];
        int32_t *code = columns->code + 3 * i;
        code[0] = (int32_t)row_of(node) - 1;
        code[1] = operand_place(columns, has(node, X_NODE), node->x);
        code[2] = has_one_operand(node) ? -1 : operand_place(columns, has(node, Y_NODE), node->y);
    }
    return 0;
}

/* columns(operations, sources, wanted) of optimisation.py. */
static PyObject *function_columns(PyObject *Py_UNUSED(module), PyObject *const *args,
                                  Py_ssize_t count)
{
    if (count != 3 || !is_list_of_values(args[0]) || !is_list_of_values(args[1]) ||
        !is_list_of_values(args[2])) {
        return call_pure("columns", args, (size_t)count, NULL);
    }
    Columns columns = {0};
    size_t leaf_count = 0, source_count = (size_t)PyList_GET_SIZE(args[1]);
    Py_ssize_t wanted_count = PyList_GET_SIZE(args[2]);
    int32_t *slots = PyMem_RawMalloc(((size_t)wanted_count + 1) * sizeof(int32_t));
    int status = slots ? number_nodes(&columns, args[0], args[1], args[2], &leaf_count) : -1;
    if (status == 0) {
        status = write_columns(&columns, leaf_count);
    }
    for (Py_ssize_t i = 0; i < wanted_count && status == 0; i++) {
        slots[i] = slot_of((Value *)PyList_GET_ITEM(args[2], i));
    }
    for (size_t i = 0; i < columns.saved; i++) {
        columns.nodes.items[i]->grad = columns.grads[i];
    }
    forget(&columns.nodes);
    PyObject *result = NULL;
    if (status == 0) {
        Nodes leaves = {columns.nodes.items + source_count, leaf_count - source_count, 0};
        PyObject *list = list_of(&leaves);
        Py_ssize_t size = (Py_ssize_t)(columns.nodes.count - leaf_count);
        result = list ? Py_BuildValue("(Ny#y#y#)", list, columns.code,
                                      3 * size * (Py_ssize_t)sizeof(int32_t), columns.numbers,
                                      (Py_ssize_t)(columns.number_count * sizeof(double)), slots,
                                      wanted_count * (Py_ssize_t)sizeof(int32_t))
                      : NULL;
    }
    else if (!PyErr_Occurred()) {
        PyErr_NoMemory();
    }
    PyMem_RawFree(columns.nodes.items);
    PyMem_RawFree(columns.grads);
    PyMem_RawFree(columns.code);
    PyMem_RawFree(columns.numbers);
    PyMem_RawFree(slots);
    return result;
}
