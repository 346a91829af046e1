"""Our server and layer beside those that people use today, in one run on one machine: `make bench`.

What is compared is CPU per delivery, not time: it says how many clients a core serves, and it hardly depends on what
else the machine does. Nothing here asserts a figure; a delivery that is lost or comes twice is an error.
"""
