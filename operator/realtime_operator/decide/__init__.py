"""What should be done: pure functions from the resource, a snapshot and the time to a plan.

What belongs here: every decision of the operator. What does not: any reading or writing; clocks and randomness come in
as arguments. `checklist` has the order; each other module is about one subject.
"""
