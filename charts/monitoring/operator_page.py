"""What is shown of the operator."""

from __future__ import annotations

from charts.monitoring.panels import Lines, Number, Page, Query
from charts.monitoring.queries import latency, metric, rate

OPERATOR = Page(
    "realtime-gateway-operator",
    "Operator",
    "What the operator does, and what state its resources are in.",
    "realtime_gateway_operator_leads",
    {
        "Now": [
            Number("Leaders", "One, and no more.", "short", [Query(f"sum ({metric('operator_leads')})")]),
            Number("Resources", "That operators follow.", "short", [Query(f"max ({metric('operator_resources')})")]),
            Number(
                "Not Ready",
                "Resources whose condition Ready is not True.",
                "short",
                [Query(f"sum ({metric('operator_condition', type='Ready')} != bool 1)")],
            ),
            Number(
                "Degraded",
                "Resources that lack something.",
                "short",
                [Query(f"sum ({metric('operator_condition', type='Degraded')} == bool 1)")],
            ),
        ],
        "Resources": [
            Lines(
                "Conditions",
                "1 is True, 0 False, -1 Unknown.",
                "short",
                [Query(metric("operator_condition"), "{{resource_namespace}}/{{name}} {{type}}")],
            ),
            Lines(
                "Epoch of the host list",
                "By resource.",
                "short",
                [Query(metric("operator_host_list_epoch"), "{{resource_namespace}}/{{name}}")],
            ),
            Lines(
                "Processes at that epoch",
                "That have finished every move to it.",
                "short",
                [Query(metric("operator_processes_at_epoch"), "{{resource_namespace}}/{{name}}")],
            ),
        ],
        "Work": [
            Lines(
                "Passes, by result",
                "Looks at a resource and what they came to.",
                "ops",
                [Query(rate("operator_reconciles_total", "result"), "{{result}}")],
            ),
            latency("Time of a pass", "From the look to the report.", "operator_reconcile_seconds"),
            Lines(
                "Actions, by kind",
                "What passes did, and what was refused.",
                "ops",
                [Query(rate("operator_actions_total", "action, result"), "{{action}} {{result}}")],
            ),
            Lines(
                "Calls to the API server, by status",
                "0 where no answer came.",
                "reqps",
                [Query(rate("operator_api_calls_total", "method, status"), "{{method}} {{status}}")],
            ),
            Lines(
                "Traces that a collector did not take",
                "Exports over OTLP that failed, and spans that were dropped, by reason. Passes are not touched by it.",
                "ops",
                [
                    Query(rate("operator_exports_failed_total"), "exports"),
                    Query(rate("operator_spans_dropped_total", "reason"), "spans {{reason}}"),
                ],
            ),
        ],
    },
)
