"""Grafana's dashboards as code: what belongs here becomes JSON files of the chart, by `make generate`.

``panels`` has the kinds of panels, ``dashboards`` what is shown; nothing of the product imports either.
"""
