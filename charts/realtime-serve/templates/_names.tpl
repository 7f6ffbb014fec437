{{/* Names and labels: every other template takes them from here. */}}

{{- define "realtime-serve.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "realtime-serve.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "realtime-serve.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Cluster-wide objects carry the namespace, so that two releases of one name never share them. */}}
{{- define "realtime-serve.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "realtime-serve.fullname" .) -}}
{{- end -}}

{{- define "realtime-serve.serviceAccountName" -}}
{{- $own := ternary (include "realtime-serve.fullname" .) "default" .Values.serviceAccount.create -}}
{{- default $own .Values.serviceAccount.name -}}
{{- end -}}

{{- define "realtime-serve.selectorLabels" -}}
app.kubernetes.io/name: inference-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* A pod's labels leave the versions out, so that a new chart with the same image restarts nothing. */}}
{{- define "realtime-serve.podLabels" -}}
{{ include "realtime-serve.selectorLabels" . }}
app.kubernetes.io/part-of: realtime-serve
{{- end -}}

{{- define "realtime-serve.labels" -}}
{{ include "realtime-serve.podLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "realtime-serve.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "realtime-serve.testNamespace" -}}
{{- coalesce .Values.test.model.namespace .Values.watchNamespace .Release.Namespace -}}
{{- end -}}
