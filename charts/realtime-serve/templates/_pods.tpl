{{/* What every pod of this chart holds to: Pod Security "restricted". */}}

{{- define "realtime-serve.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "realtime-serve.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Whether an optional kind is wanted: (dict "mode" MODE "kind" KIND "root" $) gives "true" or nothing. */}}
{{- define "realtime-serve.wanted" -}}
{{- $present := .root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind) -}}
{{- if or (eq .mode "always") (and (eq .mode "auto") $present) -}}true{{- end -}}
{{- end -}}
