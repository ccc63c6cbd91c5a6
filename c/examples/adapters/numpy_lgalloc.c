/*
 * NumPy on lgalloc: a module whose use() has the data of new arrays come from the library, and whose leave() ends that.
 * Arrays remember whom their data came from, so that both kinds may be mixed and freed in any order.
 *
 *     import numpy_lgalloc
 *     numpy_lgalloc.use()
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define NPY_NO_DEPRECATED_API NPY_1_22_API_VERSION
#include <numpy/arrayobject.h>

#include "lgalloc.h"

/* From 64 KiB on data is a region; what is smaller, and what a region grows from, is the heap's. */
static void *allocate(void *context, size_t size)
{
    (void)context;
    return lgalloc_any_malloc(size);
}

static void *allocate_zeroed(void *context, size_t count, size_t size)
{
    (void)context;
    return lgalloc_any_calloc(count, size);
}

static void *resize(void *context, void *block, size_t size)
{
    (void)context;
    return lgalloc_any_realloc(block, size);
}

static void release(void *context, void *block, size_t size)
{
    (void)context;
    (void)size;
    lgalloc_any_free(block);
}

static PyDataMem_Handler handler = {
    .name = "lgalloc", .version = 1, .allocator = {NULL, allocate, allocate_zeroed, resize, release}};

/* The handler that use() took the place of; NULL: lgalloc isn't in use. */
static PyObject *former;

static PyObject *use(PyObject *module, PyObject *arguments)
{
    (void)module;
    (void)arguments;
    if (former != NULL)
        Py_RETURN_NONE;
    PyObject *const capsule = PyCapsule_New(&handler, "mem_handler", NULL);
    if (capsule == NULL)
        return NULL;
    former = PyDataMem_SetHandler(capsule);
    Py_DECREF(capsule);
    if (former == NULL)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *leave(PyObject *module, PyObject *arguments)
{
    (void)module;
    (void)arguments;
    if (former == NULL)
        Py_RETURN_NONE;
    PyObject *const ours = PyDataMem_SetHandler(former);
    if (ours == NULL)
        return NULL;
    Py_DECREF(ours);
    Py_CLEAR(former);
    Py_RETURN_NONE;
}

static PyObject *regions(PyObject *module, PyObject *arguments)
{
    lgalloc_size_class_stats stats[LGALLOC_SIZE_CLASS_COUNT];
    unsigned long long sum = 0;

    (void)module;
    (void)arguments;
    lgalloc_stats(stats, LGALLOC_SIZE_CLASS_COUNT);
    for (size_t i = 0; i < LGALLOC_SIZE_CLASS_COUNT; i++)
        sum += stats[i].allocations;
    return PyLong_FromUnsignedLongLong(sum);
}

static PyMethodDef methods[] = {{"use", use, METH_NOARGS, "New arrays take their data from lgalloc."},
                                {"leave", leave, METH_NOARGS, "New arrays take their data from whom they did before."},
                                {"regions", regions, METH_NOARGS, "How many regions were taken until now."},
                                {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "numpy_lgalloc", .m_size = -1,
                                        .m_methods = methods};

PyMODINIT_FUNC PyInit_numpy_lgalloc(void)
{
    lgalloc_config *const config = lgalloc_config_new();
    lgalloc_status status = LGALLOC_STATUS_OUT_OF_MEMORY;

    if (config != NULL) {
        lgalloc_config_enable(config);
        lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS); /* a child of multiprocessing has a copy */
        status = lgalloc_config_from_env(config);
        if (status == LGALLOC_STATUS_OK)
            status = lgalloc_set_config(config);
    }
    lgalloc_config_free(config);
    if (status != LGALLOC_STATUS_OK)
        return PyErr_Format(PyExc_RuntimeError, "lgalloc: %s", lgalloc_status_str(status));
    import_array();
    return PyModule_Create(&definition);
}
