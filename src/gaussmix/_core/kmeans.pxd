"""The k-means passes: their functions take and give Python objects, so there is nothing to cimport."""
