"""What people are told: conditions from what was seen and decided, written when they change.

`reasons` and `conditions` are pure; `report` writes the status, `events` announces transitions.
"""
