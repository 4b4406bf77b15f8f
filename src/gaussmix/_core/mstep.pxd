"""The M step: its functions take and give Python objects, so there is nothing to cimport."""
