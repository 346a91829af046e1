"""The Kubernetes API: raw dicts in and out, and errors sorted by what can be done about them.

The only importer of `kubernetes`.
"""
