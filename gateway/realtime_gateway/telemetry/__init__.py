"""What the data plane says about itself: counts, gauges, and (once a tracer is wired) spans.

Other packages import ``recorder`` and ``spans`` only: plain integers, so that counting costs nothing worth measuring,
and typed functions that do nothing until ``sdk`` gives them a tracer. ``metrics_page`` turns the counts into Prometheus
text when somebody asks. Nothing else in the data plane imports OpenTelemetry.
"""
