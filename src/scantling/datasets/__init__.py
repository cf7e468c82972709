"""Labelled data sets: readers, writers, checks, and the training loader. Loads no torch."""
