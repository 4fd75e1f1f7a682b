{{/* The rules of files/permissions.yaml under the key `scope`, without their reasons. */}}
{{- define "poolsmith.rules" -}}
{{- $values := .context.Values -}}
{{- $permissions := .context.Files.Get "files/permissions.yaml" | fromYaml -}}
{{- range get $permissions .scope }}
- apiGroups: {{ toJson .apiGroups }}
  resources: {{ toJson .resources }}
  {{- if .onlyLease }}
  resourceNames: {{ toJson (list $values.leaderElection.leaseName) }}
  {{- end }}
  verbs: {{ toJson .verbs }}
{{- end }}
{{- end -}}

{{- define "poolsmith.subjects" -}}
- kind: ServiceAccount
  name: {{ include "poolsmith.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
