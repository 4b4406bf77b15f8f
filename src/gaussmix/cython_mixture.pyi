# Its functions are for compiled code: docs/cython.md.
__pyx_capi__: dict[str, object]
