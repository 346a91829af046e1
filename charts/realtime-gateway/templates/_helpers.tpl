{{/* The operator's name. A release's name has at most 53 characters, so this fits a label. */}}
{{- define "realtime-gateway.operator" -}}
{{ .Release.Name }}-operator
{{- end }}

{{- define "realtime-gateway.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "realtime-gateway.operator" .) }}
{{- end }}

{{/* An image: of its repository, tag and digest; the chart's appVersion where there is neither. */}}
{{- define "realtime-gateway.image" -}}
{{- $image := index . 0 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default (index . 1).Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* What tells this release's operator from others. The name is fixed: the NetworkPolicies of Redis let in pods with it. */}}
{{- define "realtime-gateway.selector" -}}
app.kubernetes.io/name: realtime-gateway-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "realtime-gateway.labels" -}}
{{ include "realtime-gateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* The annotations by which Prometheus finds the operator's metrics. */}}
{{- define "realtime-gateway.scraped" -}}
{{- if .Values.metrics.enabled -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .Values.metrics.port | quote }}
prometheus.io/path: /metrics
{{- end -}}
{{- end }}

{{/* YAML, and a map of the user's whose values win: a key must not stand twice. "merge" would pass over empty ones. */}}
{{- define "realtime-gateway.overlaid" -}}
{{- $all := index . 0 | fromYaml -}}
{{- range $key, $value := index . 1 -}}
{{- $_ := set $all $key $value -}}
{{- end -}}
{{ toYaml $all }}
{{- end }}

{{/* What the operator does in namespaces whose resources it serves. */}}
{{- define "realtime-gateway.rules" -}}
# The resources themselves are only read; what is said of them goes into their status and into events.
- apiGroups: [realtime-gateway.io]
  resources: [realtimegateways]
  verbs: [list, watch]
- apiGroups: [realtime-gateway.io]
  resources: [realtimegateways/status]
  verbs: [patch]
# Created for each change of a condition. Listed where pods are not made or do not start: why, controllers and kubelets
# say in events and nowhere else.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [list, create]
# What a resource consists of: made and set right by server-side apply, which needs create and patch; removed when
# nothing wants it any more. Read by lists and watches alone.
- apiGroups: [""]
  resources: [configmaps, secrets, serviceaccounts, services]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [ingresses, networkpolicies]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors]
  verbs: [list, watch, create, patch, delete]
# Redis pods are replaced one at a time by eviction, which honours disruption budgets.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
{{- end }}
