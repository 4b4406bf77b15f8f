"""Everything compiled. Nothing here imports Python code of the package."""
