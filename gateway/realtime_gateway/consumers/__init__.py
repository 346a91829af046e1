"""What runs the user's consumers: today, the one patch that makes Channels' own dispatch cheaper.

Imports Django, Channels, ``security`` and what lies below; knows no server, layer or auth.
"""
