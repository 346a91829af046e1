"""The Kubernetes objects of a resource: one pure function per object, each a plain dict in Kubernetes' own words.

What belongs here: how an object looks. What does not: whether it should exist now (`decide`) and how it gets there
(`apply`). Quantities and defaults are written in the form in which the API server keeps them, so that an object that is
in place compares equal.
"""
