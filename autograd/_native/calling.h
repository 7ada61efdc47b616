/* A call of a bound program, from the arguments to the result. A part of program.c, which includes
   it. */

/* In. ------------------------------------------------------------------------------------------ */

static Outcome read_arguments(const Bound *bound, Workspace *space, PyObject *const *args)
{
    size_t input = 0;
    Batch *batch = &space->batch;
    batch->samples = -1;
    for (Py_ssize_t i = 0; i < bound->argument_count; i++) {
        const Spec *spec = &bound->arguments[i];
        const Outcome outcome = bound->mapped[i]
                                    ? read_batch(batch, spec, args[i], (Py_ssize_t)input)
                                    : read_one(spec, args[i], space->slots + input);
        if (outcome != TAKEN) {
            return outcome;
        }
        input += (size_t)spec->scalars;
    }
    space->arguments_held = batch->held_count;
    return TAKEN;
}

/* The numbers that the captured leaves hold now. */
static bool read_captured(const Bound *bound, Workspace *space)
{
    const Py_ssize_t count = PyTuple_GET_SIZE(bound->captured);
    double *numbers = space->slots + bound->program->input_count - count;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *leaf = PyTuple_GET_ITEM(bound->captured, i);
        if (bound->captured_native) {
            memcpy(numbers + i, (char *)leaf + value_data_offset, sizeof(double));
            continue;
        }
        PyObject *data = PyObject_GetAttrString(leaf, "_data");
        numbers[i] = data ? PyFloat_AsDouble(data) : -1.0;
        Py_XDECREF(data);
        if (numbers[i] == -1.0 && PyErr_Occurred()) {
            return false;
        }
    }
    return true;
}

/* Out. ----------------------------------------------------------------------------------------- */

static bool is_batch_leaf(const Bound *bound, const Leaf *leaf)
{
    return bound->batched && !is_summed(leaf->mode);
}

/* Hold an array for a leaf of the results, and note where its numbers go. */
static Outcome hold_result(const Bound *bound, Workspace *space, const Leaf *leaf, PyObject *array)
{
    Batch *batch = &space->batch;
    const Spec *spec = leaf->spec;
    const bool batched = is_batch_leaf(bound, leaf);
    Held *held = &batch->held[batch->held_count];
    if (take_array(array, &held->view, PyBUF_WRITABLE, spec->dimensions + batched) != TAKEN) {
        return OTHER;
    }
    batch->held_count++;
    if (!same_shape(held->view.shape + batched, spec->shape, spec->dimensions) ||
        (batched && held->view.shape[0] != batch->samples)) {
        return OTHER;
    }
    array_columns(space->results + leaf->first, &held->view, spec->scalars, batched);
    return TAKEN;
}

/* An array for a leaf of the results. */
static PyObject *new_array(const Bound *bound, const Workspace *space, const Leaf *leaf)
{
    PyObject *shape = Py_XNewRef(leaf->spec->object);
    if (is_batch_leaf(bound, leaf)) {
        PyObject *first = PyLong_FromSsize_t(space->batch.samples), *rest = shape;
        PyObject *front = first && rest ? PyTuple_Pack(1, first) : NULL;
        shape = rest ? front ? PySequence_Concat(front, rest) : NULL : Py_XNewRef(first);
        Py_XDECREF(first);
        Py_XDECREF(rest);
        Py_XDECREF(front);
    }
    PyObject *array = shape ? PyObject_CallOneArg(numpy_empty, shape) : NULL;
    Py_XDECREF(shape);
    return array;
}

static bool make_arrays(const Bound *bound, Workspace *space)
{
    for (Py_ssize_t i = 0; bound->has_arrays && i < bound->leaf_count; i++) {
        const Leaf *leaf = &bound->leaves[i];
        if (!leaf->is_array) {
            continue;
        }
        space->objects[i] = new_array(bound, space, leaf);
        if (!space->objects[i]) {
            return false;
        }
        if (hold_result(bound, space, leaf, space->objects[i]) != TAKEN) {
            PyErr_SetString(PyExc_SystemError, "numpy.empty made no array of float64");
            return false;
        }
    }
    return true;
}

/* Take apart the arrays given to write to, which have the structure of the result. */
static Outcome hold_out(const Bound *bound, Workspace *space, const Spec *spec, PyObject *out,
                        Py_ssize_t *leaf)
{
    if (spec->kind == SCALAR || spec->kind == ARRAY) {
        return hold_result(bound, space, &bound->leaves[(*leaf)++], out);
    }
    if (!is_container(spec, out)) {
        return not_taken();
    }
    for (Py_ssize_t i = 0; i < spec->part_count; i++) {
        PyObject *part = part_of(spec, out, i);
        if (!part) {
            return not_taken();
        }
        const Outcome outcome = hold_out(bound, space, &spec->parts[i], part, leaf);
        Py_DECREF(part);
        if (outcome != TAKEN) {
            return outcome;
        }
    }
    return TAKEN;
}

/* Copy the arguments that a result overlaps: samples are written before others are read. */
static bool separate(const Bound *bound, Workspace *space)
{
    Batch *batch = &space->batch;
    for (Py_ssize_t i = 0; bound->batched && i < space->arguments_held; i++) {
        for (Py_ssize_t k = space->arguments_held; k < batch->held_count; k++) {
            if (overlap(&batch->held[i].view, &batch->held[k].view)) {
                if (!copy_held(batch, &batch->held[i])) {
                    return false;
                }
                break;
            }
        }
    }
    return true;
}

static bool run_program(const Bound *bound, Workspace *space)
{
    const Plan *plan = &bound->plan;
    const Term *terms = ITEMS(plan->shared_terms, Term);
    const bool is_long = plan->shared.count > UNLOCKED_WORK;
    PyThreadState *state = is_long ? PyEval_SaveThread() : NULL;
    if (bound->machine.run) {
        bound->machine.run(space->slots);
    }
    else {
        version->interpret(ITEMS(plan->shared, Shared), terms, space->slots);
    }
    if (state) {
        PyEval_RestoreThread(state);
    }
    return !bound->batched || run_batch(bound, space);
}

/* The number of an output that is not one of each sample's. */
static inline double result_number(const Bound *bound, const Workspace *space, Py_ssize_t output)
{
    return bound->batched ? space->totals[output]
                          : space->slots[bound->program->outputs[output]];
}

/* Fill the arrays that the steps over samples have not filled. */
static void fill_arrays(const Bound *bound, Workspace *space, bool is_out)
{
    for (Py_ssize_t i = 0; (is_out || bound->has_arrays) && i < bound->leaf_count; i++) {
        const Leaf *leaf = &bound->leaves[i];
        if (is_batch_leaf(bound, leaf) || !(leaf->is_array || is_out)) {
            continue;
        }
        for (Py_ssize_t k = leaf->first; k < leaf->first + leaf->spec->scalars; k++) {
            const double number = result_number(bound, space, k);
            memcpy(space->results[k].data, &number, sizeof(double));
        }
    }
}

static PyObject *build(const Bound *bound, Workspace *space, const Spec *spec, Py_ssize_t *leaf);

static PyObject *build_leaf(const Bound *bound, Workspace *space, Py_ssize_t leaf)
{
    PyObject *array = space->objects[leaf];
    return array ? Py_NewRef(array)
                 : PyFloat_FromDouble(result_number(bound, space, bound->leaves[leaf].first));
}

static PyObject *build_dict(const Bound *bound, Workspace *space, const Spec *spec,
                            Py_ssize_t *leaf)
{
    PyObject *dict = PyDict_New();
    for (Py_ssize_t i = 0; dict && i < spec->part_count; i++) {
        PyObject *part = build(bound, space, &spec->parts[i], leaf);
        if (!part || PyDict_SetItem(dict, PyTuple_GET_ITEM(spec->object, i), part)) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(part);
    }
    return dict;
}

static PyObject *build_list(const Bound *bound, Workspace *space, const Spec *spec,
                            Py_ssize_t *leaf)
{
    PyObject *list = PyList_New(spec->part_count);
    for (Py_ssize_t i = 0; list && i < spec->part_count; i++) {
        PyObject *part = build(bound, space, &spec->parts[i], leaf);
        if (part) {
            PyList_SET_ITEM(list, i, part);
        }
        else {
            Py_CLEAR(list);
        }
    }
    return list;
}

/* A list of numbers, where there are no arrays: the most frequent gradient. */
static PyObject *build_numbers(const Bound *bound, Workspace *space, const Spec *spec,
                               Py_ssize_t *leaf)
{
    const Py_ssize_t first = spec->part_count ? bound->leaves[*leaf].first : 0;
    PyObject *list = PyList_New(spec->part_count);
    for (Py_ssize_t i = 0; list && i < spec->part_count; i++) {
        PyObject *number = PyFloat_FromDouble(result_number(bound, space, first + i));
        if (number) {
            PyList_SET_ITEM(list, i, number);
        }
        else {
            Py_CLEAR(list);
        }
    }
    *leaf += spec->part_count;
    return list;
}

static PyObject *build_tuple(const Bound *bound, Workspace *space, const Spec *spec,
                             Py_ssize_t *leaf)
{
    PyObject *tuple = PyTuple_New(spec->part_count);
    for (Py_ssize_t i = 0; tuple && i < spec->part_count; i++) {
        PyObject *part = build(bound, space, &spec->parts[i], leaf);
        if (part) {
            PyTuple_SET_ITEM(tuple, i, part);
        }
        else {
            Py_CLEAR(tuple);
        }
    }
    return tuple;
}

/* The results in their structure, from leaf `leaf` on. */
static PyObject *build(const Bound *bound, Workspace *space, const Spec *spec, Py_ssize_t *leaf)
{
    switch (spec->kind) {
    case SCALAR:
    case ARRAY:
        return build_leaf(bound, space, (*leaf)++);
    case DICT:
        return build_dict(bound, space, spec, leaf);
    case LIST:
        return spec->flat && !bound->has_arrays ? build_numbers(bound, space, spec, leaf)
                                                : build_list(bound, space, spec, leaf);
    default:
        break;
    }
    PyObject *tuple = build_tuple(bound, space, spec, leaf);
    if (!tuple || spec->kind == TUPLE) {
        return tuple;
    }
    PyObject *named = PyObject_CallMethod(spec->object, "_make", "(O)", tuple);
    Py_DECREF(tuple);
    return named;
}

/* The whole of a call: the result, or NULL with the outcome that there is none. */
static PyObject *call_in(const Bound *bound, Workspace *space, PyObject *const *args,
                         PyObject *out, Outcome *outcome)
{
    Py_ssize_t leaf = 0;
    *outcome = read_arguments(bound, space, args);
    if (*outcome == TAKEN && out) {
        *outcome = hold_out(bound, space, &bound->results, out, &leaf);
    }
    if (*outcome != TAKEN) {
        return NULL;
    }
    *outcome = FAILED;
    if (!read_captured(bound, space) ||
        !(out ? separate(bound, space) : make_arrays(bound, space)) ||
        !run_program(bound, space)) {
        return NULL;
    }
    fill_arrays(bound, space, out != NULL);
    *outcome = TAKEN;
    leaf = 0;
    return out ? Py_NewRef(out) : build(bound, space, &bound->results, &leaf);
}

static PyObject *bound_call(PyObject *object, PyObject *const *args, size_t flags, PyObject *names)
{
    Bound *self = (Bound *)object;
    const Py_ssize_t count = PyVectorcall_NARGS(flags);
    const Py_ssize_t name_count = names ? PyTuple_GET_SIZE(names) : 0;
    Outcome outcome = OTHER;
    PyObject *result = NULL;
    if (!transforming && count == self->argument_count &&
        (!name_count || (name_count == 1 && is_name(PyTuple_GET_ITEM(names, 0), "out")))) {
        PyObject *out = name_count && args[count] != Py_None ? args[count] : NULL;
        Workspace *space = take_workspace(self);
        if (!space) {
            return NULL;
        }
        result = call_in(self, space, args, out, &outcome);
        give_back(self, space);
    }
    return outcome == OTHER ? PyObject_Vectorcall(self->otherwise, args, flags, names) : result;
}
