{{- define "nf.networkpolicy" -}}
{{- if .Values.networkPolicy.enabled }}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "nf.name" . }}
  labels:
    {{- include "nf.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "nf.selector" . | nindent 6 }}
  policyTypes: [Ingress]
  ingress:
    {{- $peers := .Values.networkPolicy.from | default (list (dict "podSelector" dict)) }}
    {{- range .Values.ports }}
    - from:
        {{- toYaml (.from | default $peers) | nindent 8 }}
      ports:
        - {port: {{ .port }}, protocol: {{ .protocol | default "TCP" }}}
    {{- end }}
    # The status holds digests and verdicts, no configuration; kubelet and the API server's proxy come from nodes.
    - ports:
        - {port: {{ .Values.reload.statusPort }}, protocol: TCP}
      {{- with .Values.networkPolicy.statusFrom }}
      from:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}
{{- end -}}
