"""The compiled modules. None of them imports Python code of the package."""
