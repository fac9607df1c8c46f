{{- define "nf.configmap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "nf.name" . }}-config
  labels:
    {{- include "nf.labels" . | nindent 4 }}
    reload.edge/config: "true"
data:
  {{- range $name, $text := .Values.config.files }}
  {{ $name | quote }}: {{ $text | toJson }}
  {{- end }}
{{- if .Values.reload.schemas }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "nf.name" . }}-schemas
  labels:
    {{- include "nf.labels" . | nindent 4 }}
data:
  {{- range $file, $schema := .Values.reload.schemas }}
  {{ printf "%s.json" $file | quote }}: {{ $schema | toJson | quote }}
  {{- end }}
{{- end }}
{{- end -}}
