{{- define "open5gs.plmn" -}}
mcc: {{ .mcc | quote }}
mnc: {{ .mnc | quote }}
{{- end -}}

{{- define "open5gs.slice" -}}
- sst: {{ .sst }}
{{- with .sd }}
  sd: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "open5gs.sbi" -}}
sbi:
  server:
    - dev: eth0
      port: {{ .Values.sbiPort }}
{{- end -}}

{{- define "open5gs.sbiByScp" -}}
{{ include "open5gs.sbi" . }}
  client:
    scp:
      - uri: http://{{ .Release.Name }}-scp:{{ .Values.sbiPort }}
{{- end -}}
