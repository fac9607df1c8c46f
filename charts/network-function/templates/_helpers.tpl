{{- /* Characters of a name: with the longest suffix here, -schemas, and a pod's own it stays within a label's 63. */ -}}
{{- define "nf.nameLength" -}}50{{- end -}}

{{- define "nf.name" -}}
{{- default .Release.Name .nfName | trunc (int (include "nf.nameLength" .)) | trimSuffix "-" -}}
{{- end -}}

{{- define "nf.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- with .nfComponent }}
app.kubernetes.io/component: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "nf.labels" -}}
{{ include "nf.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end -}}

{{- define "nf.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ required "image.tag or image.digest is needed" .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- /* Arguments of auto-reload that wrapper, sidecar and init container share. */ -}}
{{- define "nf.arguments" -}}
- --config=/reload/config
- {{ printf "--effective=%s" .Values.config.effective | quote }}
{{- range .Values.reload.checks }}
- {{ printf "--check=%s" . | quote }}
{{- end }}
{{- range $file, $schema := .Values.reload.schemas }}
- {{ printf "--schema=%s=/reload/schemas/%s.json" $file $file | quote }}
{{- end }}
{{- end -}}

{{- define "nf.actArguments" -}}
{{- with .Values.reload }}
- {{ printf "--policy=%s" .policy | quote }}
- {{ printf "--signal=%s" .signal | quote }}
- {{ printf "--grace-s=%v" .graceSeconds | quote }}
- {{ printf "--prove-ms=%v" .proveMilliseconds | quote }}
- {{ printf "--status-port=%v" .statusPort | quote }}
{{- if eq .policy "http" }}
- {{ printf "--http-url=%s" .http.url | quote }}
- {{ printf "--http-method=%s" .http.method | quote }}
{{- end }}
{{- if .events }}
- --events
{{- end }}
{{- end }}
{{- end -}}

{{- define "nf.mounts" -}}
- {name: config, mountPath: /reload/config, readOnly: true}
- {name: effective, mountPath: {{ .Values.config.effective | quote }}}
{{- if .Values.reload.schemas }}
- {name: schemas, mountPath: /reload/schemas, readOnly: true}
{{- end }}
{{- end -}}

{{- define "nf.podIdentity" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
{{- end -}}
