{{- /* Every manifest of one network function. A chart of several functions calls this once for each, with nfName. */ -}}
{{- define "nf.all" -}}
{{- range $part := list "account" "configmap" "service" "networkpolicy" "poddisruptionbudget" "workload" }}
{{- with include (printf "nf.%s" $part) $ | trim }}
---
{{ . }}
{{- end }}
{{- end }}
{{- end -}}
