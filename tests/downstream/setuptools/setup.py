from Cython.Build import cythonize
from setuptools import Extension, setup

setup(ext_modules=cythonize([Extension("blockfit", ["blockfit.pyx"])]), py_modules=[])
