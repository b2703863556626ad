{{- /* Condition by which filters know our own pods. */}}
{{- define "tributary.ownPods" -}}
namespace == {{ .Release.Namespace | quote }} and pod =~ {{ printf "%s-(collector|aggregator)-.*" (include "tributary.fullname" .) | quote }}
{{- end }}

{{- /* The collector's configuration file. */}}
{{- define "tributary.collector.config" -}}
{{- $values := .Values.collector -}}
{{- $config := deepCopy $values.config -}}
{{- $aggregator := $config.aggregator | default dict -}}
{{- if not $aggregator.address -}}
{{- $_ := set $aggregator "address" (printf "%s.%s.svc:forward" (include "tributary.aggregator.headlessName" .) .Release.Namespace) -}}
{{- end -}}
{{- if .Values.forward.auth.enabled -}}
{{- $_ := set $aggregator "sharedKeyFile" "/etc/tributary/shared-key/shared-key" -}}
{{- end -}}
{{- if .Values.forward.tls.enabled -}}
{{- $tls := dict "enabled" true "caFile" "/etc/tributary/tls/ca.crt" -}}
{{- if .Values.forward.tls.mutual -}}
{{- $tls = merge $tls (dict "certFile" "/etc/tributary/tls/tls.crt" "keyFile" "/etc/tributary/tls/tls.key") -}}
{{- end -}}
{{- $_ := set $aggregator "tls" (merge $tls ($aggregator.tls | default dict)) -}}
{{- end -}}
{{- $own := include "tributary.ownPods" . -}}
{{- if eq $values.ownLogs.keep "warnings" -}}
{{- $below := dict "name" "own logs below a warning" "drop" (dict "where" (printf "%s and line =~ `^\\{\"level\":[123]0,`" $own)) -}}
{{- $rate := dict "name" "own logs" "rateLimit" (dict "linesPerSecond" $values.ownLogs.linesPerSecond "burst" $values.ownLogs.burst "where" $own) -}}
{{- $_ := set $config "filters" (concat (list $below $rate) ($config.filters | default list)) -}}
{{- else if eq $values.ownLogs.keep "none" -}}
{{- $_ := set $config "filters" (prepend ($config.filters | default list) (dict "name" "own logs" "drop" (dict "where" $own))) -}}
{{- end -}}
{{- $managed := dict "node" "${NODE_NAME}" "cluster" .Values.cluster "stateDir" "/var/lib/tributary/collector" "aggregator" $aggregator -}}
{{- $input := dig "input" "forward" dict $config -}}
{{- if $input.enabled -}}
{{- $_ := set $managed "input" (dict "forward" (dict "listen" "0.0.0.0")) -}}
{{- end -}}
{{- /* As JSON a collector need not load a parser of YAML: a tenth of what it takes to start. */}}
{{- mergeOverwrite $config $managed | toPrettyJson -}}
{{- end }}

{{- /* What a collector takes while it runs: a change of these keys rolls no pods. */}}
{{- define "tributary.collector.liveKeys" -}}
logs.include logs.exclude logs.scanInterval logs.flushInterval logs.partialTimeout multiline parsers filters limits kubernetes.labels kubernetes.annotations kubernetes.promote kubernetes.imageId kubernetes.metadataTimeout shutdown log
{{- end }}

{{- /* The configuration without them. */}}
{{- define "tributary.collector.restartConfig" -}}
{{- $config := include "tributary.collector.config" . | fromYaml -}}
{{- range splitList " " (include "tributary.collector.liveKeys" .) -}}
{{- $keys := splitList "." . -}}
{{- $section := eq (len $keys) 1 | ternary $config (get $config (first $keys)) -}}
{{- if $section -}}
{{- $_ := unset $section (last $keys) -}}
{{- if and (gt (len $keys) 1) (empty $section) -}}
{{- $_ := unset $config (first $keys) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $config -}}
{{- end }}

{{- define "tributary.collector.httpPort" -}}
{{ dig "http" "port" 2020 .Values.collector.config | int }}
{{- end }}

{{- define "tributary.collector.inputPort" -}}
{{ dig "input" "forward" "port" 24224 .Values.collector.config | int }}
{{- end }}

{{- /* Longer than both phases of a stop may take, or unread bytes of deleted files are not saved. */}}
{{- define "tributary.collector.gracePeriod" -}}
{{- $drain := include "tributary.seconds" (dig "shutdown" "drain" "10s" .Values.collector.config) -}}
{{- $spool := include "tributary.seconds" (dig "shutdown" "spool" "15s" .Values.collector.config) -}}
{{- add $drain $spool 10 -}}
{{- end }}
