{{- define "edge-platform.labels" -}}
app.kubernetes.io/name: edge-platform
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* What selects a component's pods: never changes. */}}
{{- define "edge-platform.selector" -}}
app.kubernetes.io/name: edge-platform
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "edge-platform.image" -}}
{{ printf "%s:%s" .repository .tag }}
{{- end -}}

{{- define "edge-platform.store" -}}
{{- if .Values.store.url -}}
{{ .Values.store.url }}
{{- else -}}
{{ printf "cassandra://cassandra.%s:9042/%s?rf=%d&dc=%s" .Release.Namespace .Values.store.keyspace (int .Values.cassandra.nodes) .Values.cassandra.datacenter }}
{{- end -}}
{{- end -}}

{{- define "edge-platform.pod-security" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "edge-platform.container-security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "edge-platform.pull-secrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "edge-platform.claim" -}}
accessModes: [ReadWriteOnce]
{{- with .className }}
storageClassName: {{ . }}
{{- end }}
resources: {requests: {storage: {{ .size }}}}
{{- end -}}

{{/* A pod's spec for a program of the tools image; the including template adds restartPolicy where it must.
     root, component, command (list), and if wanted: volumes, mounts (YAML text), env, metrics (bool), grace. */}}
{{- define "edge-platform.tool" -}}
{{- $root := .root -}}
{{- $secrets := compact (append (default list .secrets) $root.Values.store.passwordSecret) -}}
serviceAccountName: {{ $root.Release.Name }}-tools
automountServiceAccountToken: false
{{- include "edge-platform.pull-secrets" $root }}
{{- with .grace }}
terminationGracePeriodSeconds: {{ . }}
{{- end }}
securityContext:
  {{- include "edge-platform.pod-security" $root | nindent 2 }}
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
containers:
  - name: {{ .component }}
    image: {{ include "edge-platform.image" $root.Values.tools.image }}
    imagePullPolicy: {{ $root.Values.tools.image.pullPolicy }}
    command: {{ toJson .command }}
    env:
      - {name: EDGE_SECRETS_DIR, value: /var/secrets/edge}
      - {name: STORE_URL, value: {{ include "edge-platform.store" $root | quote }}}
      - {name: OPENFAAS_URL, value: {{ printf "http://gateway.%s:8080" $root.Values.openfaas.namespace | quote }}}
      {{- range $name, $value := .env }}
      - {name: {{ $name }}, value: {{ $value | toString | quote }}}
      {{- end }}
    {{- if .metrics }}
    ports:
      - {name: metrics, containerPort: 9100}
    # Not ready once the store has been silent for 30 s; alive all the same, for a new process would reach it no better.
    readinessProbe: {httpGet: {path: /ready, port: metrics}, periodSeconds: 10, timeoutSeconds: 5}
    livenessProbe: {httpGet: {path: /metrics, port: metrics}, periodSeconds: 30, timeoutSeconds: 10, failureThreshold: 4}
    {{- end }}
    resources: {{ toJson .resources }}
    securityContext:
      {{- include "edge-platform.container-security" $root | nindent 6 }}
    volumeMounts:
      {{- if $secrets }}
      - {name: secrets, mountPath: /var/secrets/edge, readOnly: true}
      {{- end }}
      - {name: tmp, mountPath: /tmp}
      {{- with .mounts }}
      {{- . | nindent 6 }}
      {{- end }}
volumes:
  {{- if $secrets }}
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        {{- range $secrets }}
        - secret: {name: {{ . }}}
        {{- end }}
  {{- end }}
  - name: tmp
    emptyDir: {}
  {{- with .volumes }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- /* Alertmanager's file: with this gateway's address, and with those whom the values name for what is for people. */ -}}
{{- define "edge-platform.routes" -}}
{{- $people := merge (dict "name" "people") .Values.monitoring.alertmanager.people -}}
{{- .Files.Get "files/alertmanager.yml" | replace "gateway.openfaas:" (printf "gateway.%s:" .Values.openfaas.namespace) | replace "- name: people" (printf "- %s" (toJson $people)) | replace "repeat_interval: 25s" (printf "repeat_interval: %s" .Values.monitoring.scaling.repeatInterval) -}}
{{- end -}}
