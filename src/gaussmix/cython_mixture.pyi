# The functions of this module are for compiled code: docs/cython.md.
__pyx_capi__: dict[str, object]
