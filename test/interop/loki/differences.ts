/**
 * Where the aggregator answers differently than Loki does, and why: the whole list, which loki.test.ts keeps true. docs/loki.md is written from
 * it (`npm run docs`).
 */

/** `deliberate`: it is meant to. `loki`: Loki is at fault. `words`: both refuse it, in other words. */
export type Kind = 'deliberate' | 'loki' | 'words'

export interface Difference {
  readonly kind: Kind
  /** Markdown. */
  readonly reason: string
  /** Names of requests, by the group they are in. */
  readonly cases: Readonly<Record<string, readonly string[]>>
}

export const differences: readonly Difference[] = [
  {
    kind: 'deliberate',
    reason:
      'A selector that chooses by what is absent, `{}` or none at all selects all streams where labels, series, statistics and detected fields are asked for. Loki refuses it except in `series`.',
    cases: {
      labels: [
        'label?start=<-60>&end=<180>&query={case=~".*"}',
        'label?start=<-60>&end=<180>&query={}',
        'labels?start=<-60>&end=<180>&query={case=~".*"}',
        'labels?start=<-60>&end=<180>&query={}',
        'series?start=<-60>&end=<180>&match[]=',
        'series?start=<-60>&end=<180>&match[]={case!="multi"}',
        'series?start=<-60>&end=<180>&match[]={case=~".*"}',
      ],
      explorations: [
        'detected_labels?start=<-60>&end=<180>&query={case=~".*"}',
        'detected_labels?start=<-60>&end=<180>&query={}',
        'index/stats?start=<-60>&end=<180>&query=',
        'index/stats?start=<-60>&end=<180>&query={case=~".*"}',
        'index/stats?start=<-60>&end=<180>&query={}',
        'index/volume?start=<-60>&end=<180>&query=',
        'index/volume?start=<-60>&end=<180>&query={case=~".*"}',
        'index/volume_range?start=<-60>&end=<180>&query=',
        'index/volume_range?start=<-60>&end=<180>&query={case=~".*"}',
        'patterns?start=<-60>&end=<180>&query=',
        'patterns?start=<-60>&end=<180>&query={case=~".*"}',
        'patterns?start=<-60>&end=<180>&query={}',
      ],
    },
  },
  {
    kind: 'deliberate',
    reason:
      'A range query has its points at start, start + step, … Loki moves start and end to multiples of the step, because it splits queries by time. Grafana asks for multiples itself and gets the same from both.',
    cases: {
      parameters: [
        'query_range?query=count_over_time({case="multi"}[1m])&start=<-60>&end=<180>&step=1e2',
        'query_range?query=count_over_time({case="multi"}[1m])&start=<30>&end=<90>&step=60',
      ],
    },
  },
  {
    kind: 'deliberate',
    reason: "The stretch of time of a query is not limited. Loki's `max_query_length` is 30d1h.",
    cases: {
      parameters: ['query_range, start in milliseconds', 'query_range?query={case="multi"}&start=0&end=<180>'],
      labels: ['label?start=0&end=1', 'labels?start=0&end=1', 'series?start=0&end=1&match[]={case="multi"}'],
    },
  },
  {
    kind: 'deliberate',
    reason:
      'Encoding flags that are not known are ignored, and blanks around them too. Loki repeats them in its answer and, with a blank, does not know `categorize-labels`.',
    cases: {
      encodings: [
        'query_range?query={case="meta"} | json | label_format zz="1", code="2"&start=<-60>&end=<180> flags "categorize-labels,foo"',
        'query_range?query={case="meta"} | json | label_format zz="1", code="2"&start=<-60>&end=<180> flags "foo"',
        'query_range?query={case="meta"} | json | label_format zz="1", code="2"&start=<-60>&end=<180> flags "foo, categorize-labels"',
        'query_range?query={case="meta"}&start=<-60>&end=<180> flags "categorize-labels,foo"',
        'query_range?query={case="meta"}&start=<-60>&end=<180> flags "foo"',
        'query_range?query={case="meta"}&start=<-60>&end=<180> flags "foo, categorize-labels"',
        'query_range?query={case="multi"}&start=<-60>&end=<180> flags "categorize-labels,foo"',
        'query_range?query={case="multi"}&start=<-60>&end=<180> flags "foo"',
        'query_range?query={case="multi"}&start=<-60>&end=<180> flags "foo, categorize-labels"',
        'query_range?query={case="nope"}&start=<-60>&end=<180> flags "categorize-labels,foo"',
        'query_range?query={case="nope"}&start=<-60>&end=<180> flags "foo"',
        'query_range?query={case="nope"}&start=<-60>&end=<180> flags "foo, categorize-labels"',
      ],
    },
  },
  {
    kind: 'deliberate',
    reason: '`| logfmt x="key.x"` is accepted: keys of logfmt can have a dot.',
    cases: {
      'log queries': ['{case="logfmt"} | logfmt x="key.x"'],
      'log queries with labels by category': ['{case="logfmt"} | logfmt x="key.x"'],
    },
  },
  {
    kind: 'deliberate',
    reason:
      '`format_query` refuses what a query is refused for: paths, expressions, templates and names of labels that are wrong. Loki checks its grammar only.',
    cases: {
      'format_query, and what it refuses': [
        '\0',
        'label_replace(rate({a="b"}[1m]),"","b","c","d")',
        '{a="b"} | json a=""',
        '{a="b"} | json a=".a"',
        '{a="b"} | json a="["',
        '{a="b"} | json a="a b"',
        '{a="b"} | json a="a..b"',
        '{a="b"} | json a="a.[0]"',
        '{a="b"} | json a="a[x]"',
        '{a="b"} | label_format x="{{"',
        '{a="b"} | line_format "{{ .x | nope }}"',
        '{a="b"} | line_format "{{"',
        '{a="b"} | logfmt a=""',
        '{a="b"} | logfmt a="b c"',
        '{a="b"} |> ip("x")',
        '{a="b"} |~ "**"',
        String.raw`{a="b"} |~ "\\8"`,
      ],
    },
  },
  {
    kind: 'deliberate',
    reason: 'Half of a surrogate pair (`"\\ud800"`) is no character, and refused.',
    cases: {
      'format_query, and what it refuses': [String.raw`{a="b"} |= "\ud800"`],
    },
  },
  {
    kind: 'deliberate',
    reason: '`;` is no name of a label.',
    cases: {
      'format_query, and what it refuses': ['{a="b"} | json ;'],
    },
  },
  {
    kind: 'deliberate',
    reason: 'What Loki has switched off by default: `variants` is not there, `approx_topk` is, exactly.',
    cases: {
      'metric queries at one time': [
        'approx_topk(2, count_over_time({case="ties"}[1m]))',
        'variants(count_over_time({case="multi"}[1m])) of ({case="multi"}[1m])',
      ],
      'metric queries over steps': [
        'approx_topk(2, count_over_time({case="ties"}[1m]))',
        'variants(count_over_time({case="multi"}[1m])) of ({case="multi"}[1m])',
      ],
      'format_query, and what it refuses': ['variants(count_over_time({case="multi"}[1m])) of ({case="multi"}[1m])'],
    },
  },
  {
    kind: 'deliberate',
    reason:
      'Hexadecimal numbers are no literals: `x = 0x10` and `vector(0x10)` are refused by the grammar. Loki accepts the first and refuses the second for its number.',
    cases: {
      'log queries': ['{case="meta"} | code = 0x10'],
      'log queries with labels by category': ['{case="meta"} | code = 0x10'],
      'metric queries at one time': ['vector(0x10)'],
      'metric queries over steps': ['vector(0x10)'],
      'format_query, and what it refuses': ['vector(0x10)'],
    },
  },
  {
    kind: 'deliberate',
    reason: "Series that cannot be matched are the query's fault: 400. Loki says the same with 500.",
    cases: {
      'metric queries at one time': [
        'sum by (k) (count_over_time({case="multi"}[1m])) + on() vector(1)',
        'sum by (k) (count_over_time({case="multi"}[1m])) < ignoring(k) sum by (k) (count_over_time({case="multi"}[1m]))',
        'sum(sum by (k) (count_over_time({case="multi"}[1m]))) + ignoring(k) group_right(k) sum by (k) (count_over_time({case="multi"}[1m]))',
      ],
      'metric queries over steps': [
        'sum by (k) (count_over_time({case="multi"}[1m])) + on() vector(1)',
        'sum by (k) (count_over_time({case="multi"}[1m])) < ignoring(k) sum by (k) (count_over_time({case="multi"}[1m]))',
        'sum(sum by (k) (count_over_time({case="multi"}[1m]))) + ignoring(k) group_right(k) sum by (k) (count_over_time({case="multi"}[1m]))',
      ],
    },
  },
  {
    kind: 'deliberate',
    reason:
      '`label_replace` that gives several series the same labels is refused, as in Prometheus. Loki answers series that cannot be told apart.',
    cases: {
      'metric queries at one time': [
        'label_replace(sum by (k) (count_over_time({case="multi"}[1m])), "k", "", "k", ".*")',
        'label_replace(sum by (k) (count_over_time({case="multi"}[1m])), "k", "same", "k", ".*")',
      ],
      'metric queries over steps': [
        'label_replace(sum by (k) (count_over_time({case="multi"}[1m])), "k", "", "k", ".*")',
        'label_replace(sum by (k) (count_over_time({case="multi"}[1m])), "k", "same", "k", ".*")',
      ],
    },
  },
  {
    kind: 'deliberate',
    reason:
      'No patterns are mined, and `patterns` says so with an empty list, as Logs Drilldown takes 404 for a fault. Loki answers 404 where its pattern ingester is off.',
    cases: {
      explorations: [
        'patterns?start=<-60>&end=<180>&query=rate({case="multi"}[1m])',
        'patterns?start=<-60>&end=<180>&query={case="multi"}',
        'patterns?start=<-60>&end=<180>&query={case="multi"} |= "x"',
        'patterns?start=<-60>&end=<180>&query={case="nope"}',
      ],
      forms: ['patterns form'],
      tenants: ['patterns?start=<-60>&end=<180>&query={case="multi"} both tenants'],
    },
  },
  {
    kind: 'deliberate',
    reason: 'Where there is nothing, the empty list and the limit are said. Loki leaves them out.',
    cases: {
      explorations: [
        'detected_field/nope/values?start=<-60>&end=<180>&query={case="nested"}',
        'detected_field/x/values?start=<-60>&end=<180>&query={case="multi"} |= "x"',
        'detected_field/x/values?start=<-60>&end=<180>&query={case="nope"}',
        'detected_fields?start=<-60>&end=<180>&query={case="nope"}',
        'detected_labels?start=<-60>&end=<180>&query={case="nope"}',
      ],
    },
  },
  {
    kind: 'deliberate',
    reason:
      "`index/stats` and `index/volume` count the lines' own bytes exactly. Loki counts chunks, with structured metadata, shares them out over the time they cover, and does not see in statistics what is still in memory.",
    cases: {
      explorations: [
        'index/stats?start=<-60>&end=<180>&query={case="multi"}',
        'index/volume?start=<-60>&end=<180>&query={case="multi"}',
        'index/volume?start=<-60>&end=<180>&query={case="multi"}&limit=0',
        'index/volume?start=<-60>&end=<180>&query={case="multi"}&limit=100000',
        'index/volume?start=<-60>&end=<180>&query={case="multi"}&step=-1',
        'index/volume?start=<-60>&end=<180>&query={case="multi"}&step=0',
        'index/volume?start=<-60>&end=<180>&query={case="multi"}&step=abc',
        'index/volume?start=<-60>&end=<180>&query={}',
        'index/volume_range?start=<-60>&end=<180>&query={case="multi"}',
        'index/volume_range?start=<-60>&end=<180>&query={case="multi"}&limit=0',
        'index/volume_range?start=<-60>&end=<180>&query={case="multi"}&limit=100000',
        'index/volume_range?start=<-60>&end=<180>&query={}',
      ],
      tenants: ['index/volume?start=<-60>&end=<180>&query={case=~"multi|t2only"} both tenants'],
    },
  },
  {
    kind: 'deliberate',
    reason: 'There are no rules, and nothing that could hold some. Loki tells about its rules directory.',
    cases: {
      paths: [
        '/api/prom/rules',
        '/api/prom/rules/x/y',
        '/prometheus/api/v1/alerts',
        '/prometheus/api/v1/rules',
        'rules',
        'rules/x',
        'rules/x/y',
      ],
    },
  },
  {
    kind: 'deliberate',
    reason: 'HEAD is answered as GET is, without the body, as HTTP has it.',
    cases: {
      paths: ['labels HEAD', 'query_range HEAD', 'status/buildinfo HEAD', 'tail HEAD'],
    },
  },
  {
    kind: 'deliberate',
    reason: 'A slash at the end of a path, or two in it, do no harm, and what is no WebSocket is told why.',
    cases: {
      paths: ['label//values', 'query_range/', 'tail?query={case="multi"}'],
    },
  },
  {
    kind: 'deliberate',
    reason:
      'Queries over several tenants: `__tenant_id__` can be all that a selector has, can be filtered by and stays in what `labels` and `series` answer beside `original___tenant_id__`. Loki refuses or forgets it.',
    cases: {
      tenants: [
        'labels?start=<-60>&end=<180> both tenants',
        'labels?start=<-60>&end=<180> tenant "u1|u2"',
        'labels?start=<-60>&end=<180> tenant "u1|u2|nope"',
        'labels?start=<-60>&end=<180> tenant "u2|u1"',
        'query?query=count_over_time({case="multi",__tenant_id__="u2"}[1m])&time=<60> both tenants',
        'query_range?start=<-60>&end=<180>&query=count_over_time({case="multi",__tenant_id__="u2"}[1m])&step=30 both tenants',
        'query_range?start=<-60>&end=<180>&query={__tenant_id__="u2"} both tenants',
        'query_range?start=<-60>&end=<180>&query={__tenant_id__="zzz"} both tenants',
        'query_range?start=<-60>&end=<180>&query={case="multi"} | __tenant_id__="u2" both tenants',
        'series?start=<-60>&end=<180>&match={case="multi"} both tenants',
      ],
    },
  },
  {
    kind: 'deliberate',
    reason: 'An empty name among several tenants is a mistake, and refused. Loki leaves it out.',
    cases: {
      tenants: [
        'labels?start=<-60>&end=<180> tenant "u1|"',
        'query_range?query={case="multi",k="a"}&start=<-60>&end=<180> tenant "u1|"',
      ],
    },
  },
  {
    kind: 'deliberate',
    reason: '`format_query` needs a tenant like any other request. Loki answers anybody.',
    cases: {
      tenants: ['format_query?query={a="b"} no tenant'],
    },
  },
  {
    kind: 'deliberate',
    reason: 'A stream without a label is refused. Loki 3.7.8 gives it `service_name="unknown_service"` first.',
    cases: {
      pushes: ['labels: an empty value', 'labels: none', 'protobuf: ', 'protobuf: {a=""}', 'protobuf: {}'],
    },
  },
  {
    kind: 'deliberate',
    reason:
      "An entry needs time and line, and labels begin with a bracket. Loki takes an entry without a line, and a metric's name before the labels.",
    cases: {
      pushes: ['protobuf: foo{a="b"}', 'value: short'],
    },
  },
  {
    kind: 'deliberate',
    reason:
      'A push is taken where its meaning is plain: encodings in capitals, protobuf that is compressed with gzip alone, half of a surrogate pair (as U+FFFD), structured metadata whose names have no letter (as `_`).',
    cases: {
      pushes: ['GZIP', 'half a surrogate pair', 'metadata: no name', 'metadata: é', 'protobuf: gzip'],
    },
  },
  {
    kind: 'deliberate',
    reason:
      'An entry that several pushes bring is kept once if the pushes are the same, or within one push. Loki drops it in any push.',
    cases: {
      pushes: ['{a=~"b|part|encoded|protobuf",__name__=""} |~ "^[a-z ]*$" != "xxxxx"'],
    },
  },
  {
    kind: 'loki',
    reason:
      "The name of a label that has letters beyond ASCII stays without quotes in `format_query`: Loki's quotes are no LogQL.",
    cases: {
      'format_query, and what it refuses': ['{é="b"}'],
    },
  },
  {
    kind: 'loki',
    reason: 'With `categorize-labels`, Loki answers nothing to a query with a wrong stage. It is refused as without.',
    cases: {
      'log queries with labels by category': [
        '{case="access"} !~ ip("1.1.1.1")',
        '{case="access"} | pattern "<addr> <_>" | addr=ip("zzz")',
        '{case="access"} |= ip("")',
        '{case="access"} |= ip("1.1.1.1/33")',
        '{case="access"} |= ip("2.2.2.2-1.1.1.1")',
        '{case="access"} |= ip("bad")',
        '{case="access"} |> "<_><_>"',
        '{case="access"} |> "<a> - <_>"',
        '{case="access"} |~ ip("1.1.1.1")',
        '{case="esc"} |~ "("',
        '{case="esc"} |~ "(?=x)"',
        String.raw`{case="esc"} |~ "\\1"`,
        '{case="esc"} |~ "a{1001}"',
        '{case="meta"} | label_format __error__=lat',
        '{case="meta"} | label_format x="{{.lat}}", x="y"',
      ],
    },
  },
  {
    kind: 'loki',
    reason: 'Sizes are compared exactly. Loki rounds `1.5KiB` to `1.5kB` on the way to its store, and finds nothing.',
    cases: {
      'log queries': ['{case="meta"} | size = 1.5KiB'],
      'log queries with labels by category': ['{case="meta"} | size = 1.5KiB'],
      'format_query, and what it refuses': ['{a="b"} | x = 1.5KiB', '{a="b"} | x > 1KiB'],
    },
  },
  {
    kind: 'loki',
    reason: 'A line filter behind `decolorize` sees the line without colours. Loki runs it before.',
    cases: {
      'log queries': ['{case="color"} | decolorize |= "red plain"'],
      'log queries with labels by category': ['{case="color"} | decolorize |= "red plain"'],
    },
  },
  {
    kind: 'loki',
    reason: '`(?i)` matches what RE2 says: `s` also `ſ` (U+017F). Loki compares lower-case bytes.',
    cases: {
      'log queries': ['{case="esc"} |~ "(?i)s LONG"'],
      'log queries with labels by category': ['{case="esc"} |~ "(?i)s LONG"'],
    },
  },
  {
    kind: 'loki',
    reason: '`avg_over_time` with a grouping counts the samples it adds up. Loki also counts those it has left out.',
    cases: {
      'metric queries at one time': ['avg_over_time({case="num"} | logfmt | unwrap v | __error__="" [2m]) by (k)'],
      'metric queries over steps': [
        'avg_over_time({case="num"} | logfmt | unwrap v | __error__="" [2m]) by (k)',
        'avg_over_time({case="num"} | logfmt | unwrap v | __error__="" [2m]) without (k, d, b)',
      ],
    },
  },
  {
    kind: 'loki',
    reason: 'The time of a scalar is the one asked for. Loki writes one of another century.',
    cases: {
      'metric queries at one time': [
        '+1',
        '-1',
        '-2 ^ 2',
        '0 / 0',
        '1 % 0',
        '1 + 2 * 3 - 4 / 2 % 3',
        '1 - - 1',
        '1 - -1',
        '1 / 0',
        '1 == 1',
        '1 == 2',
        '1 == bool 1',
        '1 > 2',
        '1 > bool 2',
        '10 % 4 * 2',
        '2 ^ 3 ^ 2',
      ],
      tenants: ['query?query=1+1&time=<60> both tenants'],
    },
  },
  {
    kind: 'loki',
    reason:
      '`sum by` of a label that `logfmt` takes from another key has a series for each value. Loki puts all into one.',
    cases: {
      'metric queries at one time': [
        'sum by (lvl) (count_over_time({case="logfmt"} | logfmt lvl="level", k="k" [1m]))',
      ],
      'metric queries over steps': ['sum by (lvl) (count_over_time({case="logfmt"} | logfmt lvl="level", k="k" [1m]))'],
    },
  },
  {
    kind: 'loki',
    reason: 'Samples of series with an empty label are not lost where steps overlap.',
    cases: {
      'metric queries over steps': [
        'sum without(app) (bytes_over_time({case="json"} | json a="nope" | drop __error__, __error_details__ [1m]))',
      ],
    },
  },
  {
    kind: 'loki',
    reason:
      '`x !~ ""` keeps lines whose label is not empty, as everywhere else. Loki takes an empty expression in a label filter for one that matches everything.',
    cases: {
      'random log queries': ['{case="pack"} | keep app, n, v, k | pattern `<ip> - [<m> <p>] <c>` | ip !~ ""'],
      'random metric queries': [
        'max without (v)(bytes_rate({case="color"} | regexp `(?P<w>\\w+)[= ](?P<v2>\\S*)` | case !~ "" | line_format `{{.a}}-{{.n}}-{{__line__ | trunc 10}}` |~ "[0-9]+"[90s] offset 10s))',
      ],
    },
  },
  {
    kind: 'loki',
    reason: '`format_query` keeps `on ()`. Loki leaves it out where it breaks lines, and with it what the query means.',
    cases: {
      'format_query, and what it refuses': [
        'sum by (k) (count_over_time({case="multi"}[1m])) + on() group_left() sum(sum by (k) (count_over_time({case="multi"}[1m])))',
        'sum by (k) (count_over_time({case="multi"}[1m])) + on() group_left(zz) label_replace(sum(sum by (k) (count_over_time({case="multi"}[1m]))), "zz", "yy", "", "")',
        'sum(sum by (k) (count_over_time({case="multi"}[1m]))) + on() group_right sum by (k) (count_over_time({case="multi"}[1m]))',
      ],
    },
  },
  {
    kind: 'loki',
    reason: '`format_query` keeps `ip()` among alternatives. Loki leaves it out.',
    cases: {
      'format_query, and what it refuses': ['{a="b"} |= "a" or ip("1.1.1.1") or "b"'],
    },
  },
  {
    kind: 'loki',
    reason:
      '`rate_counter` extrapolates to the ends of the window, as Prometheus does. Loki mixes nanoseconds up with milliseconds and so adds next to nothing.',
    cases: {
      'metric queries at one time': [
        'rate_counter({case="num"} | logfmt | keep v, k | unwrap v | __error__="" | k=~"a|b" [2m])',
      ],
      'metric queries over steps': [
        'rate_counter({case="num"} | logfmt | keep v, k | unwrap v | __error__="" | k=~"a|b" [2m])',
      ],
    },
  },
  {
    kind: 'loki',
    reason:
      "The expression of a label filter is matched against the whole value, and an absent label's value is empty. Loki simplifies expressions: `1.*` finds `t1`, too, and `b|` finds no absent label.",
    cases: {
      'log queries': ['{case="meta"} | trace_id=~"1.*"', '{case="multi"} | nope=~"b|"'],
      'log queries with labels by category': ['{case="meta"} | trace_id=~"1.*"', '{case="multi"} | nope=~"b|"'],
    },
  },
  {
    kind: 'loki',
    reason:
      "A label filter filters where it stands. Loki's parsers ask it as soon as they find its label, wherever it stands: lines are dropped, or have errors, that they would not otherwise.",
    cases: {
      'log queries': [
        '{case="logfmt"} | a="" | logfmt',
        '{case="logfmt"} | __error__="" | logfmt --strict',
        '{case="num"} | logfmt | __error__!="" | d <= 0',
      ],
      'log queries with labels by category': [
        '{case="logfmt"} | a="" | logfmt',
        '{case="logfmt"} | __error__="" | logfmt --strict',
        '{case="num"} | logfmt | __error__!="" | d <= 0',
      ],
    },
  },
  {
    kind: 'loki',
    reason:
      '`logfmt` with expressions behind another `logfmt` finds what that has found, too. Loki leaves its labels empty.',
    cases: {
      'log queries': ['{case="logfmt"} | logfmt | logfmt s="a"'],
      'log queries with labels by category': ['{case="logfmt"} | logfmt | logfmt s="a"'],
    },
  },
  {
    kind: 'loki',
    reason: 'Entries of one time and stream whose lines a stage makes the same are all answered. Loki answers one.',
    cases: {
      'log queries': ['{case="dup"} | line_format "x"'],
      'log queries with labels by category': ['{case="dup"} | line_format "x"'],
    },
  },
  {
    kind: 'loki',
    reason:
      '`line_format` counts in metric queries, too, where a template behind it reads `__line__`. Loki leaves it out.',
    cases: {
      'metric queries at one time': [
        'sum by (z) (count_over_time({case="multi"} | line_format "{{.k}}" | label_format z="{{ __line__ }}" [2m]))',
      ],
      'metric queries over steps': [
        'sum by (z) (count_over_time({case="multi"} | line_format "{{.k}}" | label_format z="{{ __line__ }}" [2m]))',
      ],
    },
  },
  {
    kind: 'loki',
    reason:
      'A series keeps a label that a parser found empty behind `keep` and `drop`, too. Loki leaves it out there, and can then answer several series with the same labels.',
    cases: {
      'metric queries at one time': ['count_over_time({case="nested"} | logfmt x="x" | keep x, case [2m])'],
      'metric queries over steps': ['count_over_time({case="nested"} | logfmt x="x" | keep x, case [2m])'],
    },
  },
  {
    kind: 'loki',
    reason: '`0B` is a size. Loki takes it for the beginning of a binary number.',
    cases: {
      'format_query, and what it refuses': ['{a="b"} | x > 0B'],
    },
  },
  {
    kind: 'words',
    reason:
      'An end before the start is refused where labels are asked for, too. Loki says that the data is no longer there.',
    cases: {
      labels: ['label?start=<180>&end=<-60>', 'labels?start=<180>&end=<-60>', 'series?start=<180>&end=<-60>'],
    },
  },
  {
    kind: 'words',
    reason:
      'What a URL or a form has that is no URL encoding stands for itself, bytes that are no UTF-8 become U+FFFD, and a semicolon is part of a value. Loki refuses the request.',
    cases: {
      forms: [
        'query_range form that is none',
        'query_range?query=%FF',
        'query_range?query=%zz',
        'query_range?query={a="b"};start=1',
      ],
    },
  },
  {
    kind: 'words',
    reason: 'A NUL at the start of a query is at line 1, column 1. Loki names a place that it has read to.',
    cases: {
      forms: ['query_range?query=%00'],
    },
  },
  {
    kind: 'words',
    reason: 'Names of tenants that are none are told without `rpc error`, and with their bytes as Latin-1.',
    cases: {
      tenants: [
        'labels?start=<-60>&end=<180> tenant "é"',
        'query_range?query={case="multi",k="a"}&start=<-60>&end=<180> tenant "."',
        'query_range?query={case="multi",k="a"}&start=<-60>&end=<180> tenant ".."',
        'query_range?query={case="multi",k="a"}&start=<-60>&end=<180> tenant "../x"',
        'query_range?query={case="multi",k="a"}&start=<-60>&end=<180> tenant "a b"',
        'query_range?query={case="multi",k="a"}&start=<-60>&end=<180> tenant "u1/x"',
        'query_range?query={case="multi",k="a"}&start=<-60>&end=<180> tenant "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"',
        'query_range?query={case="multi",k="a"}&start=<-60>&end=<180> tenant "é"',
      ],
    },
  },
  {
    kind: 'words',
    reason:
      'Errors of templates, and a `%!` at the end of a format, read as in the Go version that these texts are from.',
    cases: {
      templates: [
        '{{ .Values.x }}',
        '{{ .n.foo }}',
        '{{ call .n }}',
        '{{ eq .n "5" }} {{ eq .n 5 }} {{ eq 1 1 2 }} {{ eq 1 2 1 }} {{ ne 1 2 }} {{ lt 1 2 }} {{ le "a" "b" }} {{ gt 1.5 1.0 }} {{ ge 1 1 }} {{ lt 1 1.5 }}',
        '{{ int 3.99 }} {{ floor "3.7" }} {{ ceil "x" }} {{ round "3.14159" 3 }} {{ float64 3 }} {{ round 3.7 }}',
        '{{ printf "%d" "x" }} {{ printf "%s" 1 }} {{ printf "%d %d" 1 }} {{ printf "x" 1 }} {{ printf "%!" }} {{ printf "%%" }} {{ printf "%08.3f|%+d|% d|%#x|%U|%c|%6.2f|%-8d|" 3.14159 5 5 255 65 65 2.5 7 }}',
        '{{ regexReplaceAll "a" }}',
      ],
    },
  },
  {
    kind: 'words',
    reason: "A body that is no push is refused in other words: Loki's are those of its JSON parser and decompressors.",
    cases: {
      pushes: [
        'a bracket',
        'a list',
        'deflate with a head',
        'foo/',
        'gzip that is none',
        'line: a number',
        'line: null',
        'metadata: a boolean',
        'metadata: a list',
        'metadata: a number',
        'metadata: a text',
        'metadata: an object',
        'metadata: null',
        'no type',
        'nothing',
        'null',
        'protobuf that is none',
        'streams: an object',
        'text behind it',
        'text/plain',
        'time: 1.5',
        'time: a number',
        'time: abc',
        'time: beyond 64 bits',
        'value: an object',
      ],
    },
  },
  {
    kind: 'words',
    reason:
      "Labels of a push that cannot be read are told in the words of LogQL. Loki's are those of Prometheus' parser.",
    cases: {
      pushes: [
        'labels: a blank',
        'labels: a dash',
        'labels: a digit first',
        'labels: a dot',
        'labels: no name',
        'labels: é',
        'protobuf: a="b"',
        'protobuf: cut off',
        'protobuf: {a-b="c"}',
        'protobuf: {a.b="c"}',
        String.raw`protobuf: {a="\q"}`,
        'protobuf: {a="b"',
        'protobuf: {a="b" c="d"}',
        'protobuf: {a="b"} x',
        'protobuf: {a=~"b"}',
        'protobuf: {é="x"}',
      ],
    },
  },
  {
    kind: 'words',
    reason: "Messages name a stream as it was sent. Loki adds the service's name that it has found.",
    cases: {
      pushes: [
        'good beside old and unnamed',
        'labels: 16',
        'labels: a long name',
        'labels: a long value',
        'line: too long',
        'metadata: 129 of them',
        'metadata: 66 KB',
        'protobuf: {a="b",a="c"}',
        'time: -1',
        'time: 0',
        'time: 2262',
        'time: 8 days ago',
        'time: in an hour and more',
      ],
    },
  },
]
