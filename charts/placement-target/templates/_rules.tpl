{{/* What placing in a namespace needs: Helm's records, the kinds that charts of network functions hold, the lease, the
     pods' state, and the nudge of a reload.  No roles: a chart cannot grant what the function does not have. */}}
{{- define "placement-target.rules" -}}
- apiGroups: [""]
  resources: [configmaps, secrets, services, serviceaccounts, persistentvolumeclaims]
  verbs: [get, list, create, update, patch, delete]
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [get, list, create, update, patch, delete]
- apiGroups: [batch]
  resources: [jobs, cronjobs]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies, ingresses]
  verbs: [get, list, create, update, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, create, update, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, create, update, patch, delete]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, update, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, patch]
- apiGroups: [""]
  resources: [pods/proxy]
  verbs: [get]
{{- end -}}

{{/* What is placed there may write events about itself, without the function's being allowed to make Roles. */}}
{{- define "placement-target.events" -}}
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}
