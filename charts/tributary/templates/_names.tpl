{{- /* Short enough for what Kubernetes itself puts behind the names of workloads. */}}
{{- define "tributary.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "tributary.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- .Values.fullnameOverride | default $full | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "tributary.collector.name" -}}
{{ include "tributary.fullname" . }}-collector
{{- end }}

{{- define "tributary.aggregator.name" -}}
{{ include "tributary.fullname" . }}-aggregator
{{- end }}

{{- /* The Service whose name stands for every aggregator. */}}
{{- define "tributary.aggregator.headlessName" -}}
{{ include "tributary.aggregator.name" . }}-headless
{{- end }}

{{- define "tributary.sharedKeySecret" -}}
{{ .Values.forward.auth.existingSecret | default (printf "%s-shared-key" (include "tributary.fullname" .)) }}
{{- end }}

{{- define "tributary.aggregator.tlsSecret" -}}
{{ .Values.forward.tls.existingSecrets.aggregator | default (printf "%s-tls" (include "tributary.aggregator.name" .)) }}
{{- end }}

{{- define "tributary.collector.tlsSecret" -}}
{{ .Values.forward.tls.existingSecrets.collector | default (printf "%s-tls" (include "tributary.collector.name" .)) }}
{{- end }}

{{- /* The names by which senders know aggregators, and so those of their certificate. */}}
{{- define "tributary.aggregator.dnsNames" -}}
{{- $namespace := .Release.Namespace -}}
{{- $headless := include "tributary.aggregator.headlessName" . -}}
{{- $service := include "tributary.aggregator.name" . -}}
{{- $names := list -}}
{{- range list $headless (printf "*.%s" $headless) $service -}}
{{- $names = concat $names (list (printf "%s.%s.svc" . $namespace) (printf "%s.%s.svc.cluster.local" . $namespace)) -}}
{{- end -}}
{{- concat $names (list $service (printf "%s.%s" $service $namespace) "localhost") | toJson -}}
{{- end }}

{{- /* A component's own labels: by them it is selected, so they stay as they are for ever. Takes the component and the root. */}}
{{- define "tributary.selectorLabels" -}}
{{- $ := index . 1 -}}
app.kubernetes.io/name: {{ include "tributary.name" $ }}
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/component: {{ first . }}
{{- end }}

{{- define "tributary.labels" -}}
{{- $ := index . 1 -}}
{{ include "tributary.selectorLabels" . }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
app.kubernetes.io/part-of: tributary
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" }}
{{- with $.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Those of pods: nothing that an upgrade changes without need, because it would roll them. */}}
{{- define "tributary.podLabels" -}}
{{ include "tributary.selectorLabels" . }}
{{- with (index . 1).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Takes the values of an image, and the root. */}}
{{- define "tributary.image" -}}
{{- $image := first . -}}
{{- $ := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "tributary.collector.serviceAccountName" -}}
{{- $account := .Values.collector.serviceAccount -}}
{{- $account.name | default ($account.create | ternary (include "tributary.collector.name" .) "default") -}}
{{- end }}

{{- define "tributary.aggregator.serviceAccountName" -}}
{{- $account := .Values.aggregator.serviceAccount -}}
{{- $account.name | default ($account.create | ternary (include "tributary.aggregator.name" .) "default") -}}
{{- end }}
