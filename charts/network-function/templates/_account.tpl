{{- define "nf.account" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "nf.name" . }}
  labels:
    {{- include "nf.labels" . | nindent 4 }}
automountServiceAccountToken: false
{{- if and .Values.reload.events .Values.reload.eventsRole }}
---
# Writing events about itself is all that the pod may do.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ include "nf.name" . }}-events
  labels:
    {{- include "nf.labels" . | nindent 4 }}
rules:
  - apiGroups: [""]
    resources: [events]
    verbs: [create]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ include "nf.name" . }}-events
  labels:
    {{- include "nf.labels" . | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ include "nf.name" . }}-events}
subjects:
  - {kind: ServiceAccount, name: {{ include "nf.name" . }}, namespace: {{ .Release.Namespace | quote }}}
{{- end }}
{{- end -}}
