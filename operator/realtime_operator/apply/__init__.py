"""The only writer: each action of a plan, carried out against the API server or Redis, with how it ended.

What an object looks like and whether it is wanted was decided before: manifests arrive inside actions.
"""
