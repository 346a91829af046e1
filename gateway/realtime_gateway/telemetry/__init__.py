"""What the data plane says about itself: counts, gauges, and (with the SDK wired) spans.

Other packages import ``recorder`` only: plain integers, so that counting costs nothing worth measuring.
``metrics_page`` turns them into Prometheus text when somebody asks.
"""
