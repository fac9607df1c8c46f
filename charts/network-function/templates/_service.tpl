{{- define "nf.service" -}}
{{- if and .Values.service.enabled .Values.ports }}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "nf.name" . }}
  labels:
    {{- include "nf.labels" . | nindent 4 }}
spec:
  type: {{ .Values.service.type }}
  {{- if .Values.service.headless }}
  clusterIP: None
  {{- end }}
  selector:
    {{- include "nf.selector" . | nindent 4 }}
  ports:
    {{- range .Values.ports }}
    - name: {{ .name | quote }}
      port: {{ .port }}
      targetPort: {{ .port }}
      protocol: {{ .protocol | default "TCP" }}
    {{- end }}
{{- end }}
{{- end -}}
