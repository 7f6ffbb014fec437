{{/* What the operator does where models live, and nothing else. */}}
{{- define "realtime-serve.rules" -}}
- apiGroups: [realtime-serve.io]
  resources: [inferencemodels]
  verbs: [get, list, watch]
- apiGroups: [realtime-serve.io]
  resources: [inferencemodels/status]
  verbs: [patch]
# Children name their model as an owner that waits for them; some clusters allow that only with this.
- apiGroups: [realtime-serve.io]
  resources: [inferencemodels/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [get, create, patch]
{{- if include "realtime-serve.preflight" . }}
- apiGroups: [""]
  resources: [resourcequotas]
  verbs: [list]
{{- end }}
{{- if .Values.gatewayApi.enabled }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, create, patch, delete]
{{- end }}
{{- if .Values.rbac.clientSecrets }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- end }}
{{- end -}}

{{/* Not empty where the operator looks for room before a rollout. */}}
{{- define "realtime-serve.preflight" -}}
{{- if or (eq .Values.preflight.mode "always") (and (eq .Values.preflight.mode "auto") (eq .Values.watchNamespace "")) }}true{{ end }}
{{- end -}}
