{{- define "nf.workload" -}}
{{- $sidecar := eq .Values.reload.mode "sidecar" }}
{{- if and $sidecar (eq .Values.reload.policy "restart") }}
{{- fail "reload.policy restart is for mode wrapper only: a sidecar that ended the daemon would make kubelet restart its container" }}
{{- end }}
{{- if and $sidecar (not .Values.reload.sidecar.image) }}
{{- fail "reload.mode sidecar needs reload.sidecar.image: an image with auto-reload" }}
{{- end }}
{{- if and $sidecar (eq .Values.reload.policy "signal") (not (or .Values.reload.sidecar.targetName .Values.reload.sidecar.targetPidFile)) }}
{{- fail "reload.policy signal in mode sidecar needs reload.sidecar.targetName or targetPidFile" }}
{{- end }}
{{- if not (or $sidecar .Values.command) }}
{{- fail "command is needed in mode wrapper: auto-reload starts the daemon" }}
{{- end }}
{{- if and (eq .Values.reload.policy "http") (not .Values.reload.http.url) }}
{{- fail "reload.policy http needs reload.http.url" }}
{{- end }}
# The pod template carries nothing of the configuration: no checksum, no content. A change of it must not roll the pod.
apiVersion: apps/v1
kind: {{ .Values.kind }}
metadata:
  name: {{ include "nf.name" . }}
  labels:
    {{- include "nf.labels" . | nindent 4 }}
spec:
  replicas: {{ .Values.replicas }}
  {{- if eq .Values.kind "StatefulSet" }}
  serviceName: {{ include "nf.name" . }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "nf.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "nf.selector" . | nindent 8 }}
        {{- with .Values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        reload.edge/status-port: {{ .Values.reload.statusPort | quote }}
        {{- with .Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "nf.name" . }}
      automountServiceAccountToken: {{ .Values.reload.events }}
      terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
      {{- if $sidecar }}
      shareProcessNamespace: true
      {{- end }}
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . | quote }}
        {{- end }}
      {{- end }}
      securityContext:
        {{- toYaml .Values.podSecurityContext | nindent 8 }}
      {{- if $sidecar }}
      initContainers:
        # The daemon must find its first configuration, checked, when it starts.
        - name: reload-first
          image: {{ .Values.reload.sidecar.image | quote }}
          imagePullPolicy: {{ .Values.image.pullPolicy }}
          command: [auto-reload]
          args:
            - --once
            {{- include "nf.arguments" . | nindent 12 }}
          securityContext:
            {{- toYaml .Values.securityContext | nindent 12 }}
          resources:
            {{- toYaml .Values.reload.sidecar.resources | nindent 12 }}
          volumeMounts:
            {{- include "nf.mounts" . | nindent 12 }}
      {{- end }}
      containers:
        - name: daemon
          image: {{ include "nf.image" . | quote }}
          imagePullPolicy: {{ .Values.image.pullPolicy }}
          {{- if $sidecar }}
          {{- with .Values.command }}
          command:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- else }}
          command: [auto-reload]
          args:
            {{- include "nf.arguments" . | nindent 12 }}
            {{- include "nf.actArguments" . | nindent 12 }}
            - --
            {{- range .Values.command }}
            - {{ . | quote }}
            {{- end }}
          {{- end }}
          env:
            {{- include "nf.podIdentity" . | nindent 12 }}
            {{- range $name, $value := .Values.env }}
            - name: {{ $name | quote }}
              value: {{ $value | quote }}
            {{- end }}
          {{- with .Values.envFromSecrets }}
          envFrom:
            {{- range . }}
            - secretRef: {name: {{ . | quote }}}
            {{- end }}
          {{- end }}
          ports:
            {{- range .Values.ports }}
            - name: {{ .name | quote }}
              containerPort: {{ .port }}
              protocol: {{ .protocol | default "TCP" }}
            {{- end }}
            {{- if not $sidecar }}
            - {name: reload-status, containerPort: {{ .Values.reload.statusPort }}, protocol: TCP}
            {{- end }}
          {{- range $kind, $probe := .Values.probes }}
          {{ $kind }}Probe:
            {{- toYaml $probe | nindent 12 }}
          {{- end }}
          {{- if and (not $sidecar) (not (hasKey .Values.probes "readiness")) }}
          readinessProbe:
            httpGet: {path: /healthz, port: reload-status}
            periodSeconds: 2
          {{- end }}
          resources:
            {{- toYaml .Values.resources | nindent 12 }}
          securityContext:
            {{- toYaml .Values.securityContext | nindent 12 }}
          volumeMounts:
            {{- if $sidecar }}
            - {name: effective, mountPath: {{ .Values.config.effective | quote }}}
            {{- else }}
            {{- include "nf.mounts" . | nindent 12 }}
            {{- end }}
            {{- with .Values.volumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
        {{- if $sidecar }}
        - name: reload
          image: {{ .Values.reload.sidecar.image | quote }}
          imagePullPolicy: {{ .Values.image.pullPolicy }}
          command: [auto-reload]
          args:
            - --sidecar
            {{- include "nf.arguments" . | nindent 12 }}
            {{- include "nf.actArguments" . | nindent 12 }}
            {{- with .Values.reload.sidecar.targetName }}
            - {{ printf "--target-name=%s" . | quote }}
            {{- end }}
            {{- with .Values.reload.sidecar.targetPidFile }}
            - {{ printf "--target-pid-file=%s" . | quote }}
            {{- end }}
          env:
            {{- include "nf.podIdentity" . | nindent 12 }}
          ports:
            - {name: reload-status, containerPort: {{ .Values.reload.statusPort }}, protocol: TCP}
          readinessProbe:
            httpGet: {path: /healthz, port: reload-status}
            periodSeconds: 2
          resources:
            {{- toYaml .Values.reload.sidecar.resources | nindent 12 }}
          securityContext:
            {{- toYaml .Values.securityContext | nindent 12 }}
          volumeMounts:
            {{- include "nf.mounts" . | nindent 12 }}
        {{- end }}
        {{- with .Values.containers }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      volumes:
        - name: config
          configMap: {name: {{ include "nf.name" . }}-config}
        - name: effective
          emptyDir: {sizeLimit: 32Mi}
        {{- if .Values.reload.schemas }}
        - name: schemas
          configMap: {name: {{ include "nf.name" . }}-schemas}
        {{- end }}
        {{- with .Values.volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .Values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end -}}
