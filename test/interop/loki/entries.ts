/** What Loki and the aggregator are given before they are asked: lines that parsers, filters and windows treat differently. */

/** Nanoseconds. */
const second = 1_000_000_000n
const hour = 3600n * second

/** The full hour before the last one: whatever a step divides, it divides at any time of day. */
export const base = ((BigInt(Date.now()) * 1_000_000n) / hour - 1n) * hour

/** Nanoseconds since 1970, as clients write them. */
export const at = (seconds: number): string => String(base + BigInt(Math.round(seconds * 1000)) * 1_000_000n)

/** All entries lie in it. */
export const range = { start: at(-60), end: at(180) } as const

export interface PushedStream {
  readonly stream: Readonly<Record<string, string>>
  readonly values: readonly (readonly [time: string, line: string, metadata?: Readonly<Record<string, string>>])[]
}

type Metadata = Readonly<Record<string, string>>

/** A stream of its own for each kind of lines, one line a second. */
const oneASecond = (kind: string, lines: readonly string[], labels: Metadata = {}): PushedStream => ({
  stream: { case: kind, app: 'web', ...labels },
  values: lines.map((line, i) => [at(i), line]),
})

const timed = (
  kind: string,
  entries: readonly (readonly [second: number, line: string, metadata?: Metadata])[],
  labels: Metadata = {},
): PushedStream => ({
  stream: { case: kind, app: 'web', ...labels },
  values: entries.map(([seconds, line, metadata]) => (metadata ? [at(seconds), line, metadata] : [at(seconds), line])),
})

const json = [
  String.raw`{"status":503,"ok":true,"msg":"a\"b\u00e9","none":null,"list":[1,{"x":2}],"req":{"path":"/x","id":{"n":7}},"st-atus":"odd","1st":"d","status":1}`,
  String.raw`{"a":{"b":[[1,2],["x",{"y":"z"}]],"c d":"e","":1,"é":"ü"},"n":1.50e3,"big":12345678901234567890,"neg":-0.0,"esc":"t\tn\n\u0041\ud83d\ude00\/","empty":"","arr":[],"obj":{},"deep":{"a":{"b":{"c":"d"}}}}`,
  '{"app":"other","case":"dup","a_b":"1","a":{"b":"2"},"A":"upper","x.y":"dot","x y":"space","level":"warn"}',
  'not json',
  '{"broken":"yes',
  '[1,2,3]',
  '"str"',
  '123',
  '{}',
  '{"a":1}trailing',
  '{"a":1,}',
  `{"a":'x'}`,
  '  {"lead":"space"}',
  '{"t":tru,"b":1}',
  String.raw`{"u":"\ud800","v":"\x","w":"\u12"}`,
  '{"k":"v" "k2":"v2"}',
  '{"a" "b"}',
  String.raw`{"nul":"a\u0000b"}`,
  '{"__error__":"own","n":1}',
  '',
]

/** What paths are looked up in. */
const path = [
  '{"a":',
  '{"a":{"b":1',
  '{"a":[1',
  '{"a":{"b":tru}}',
  '{"a":tru,"a":1}',
  '{"a":1,"b":tru}',
  '{"b":tru,"a":1}',
  String.raw`{"a":"\ud800"}`,
  '{"a":{"b":"x',
  '{"a" 1}',
  '{"a":"x',
]

const logfmt = [
  String.raw`level=info msg="hello \"w\"" dur=12ms flag empty= key.x=1 app=mine`,
  'level=warn =bad msg=a"b dur=1s',
  'a="open',
  'bare',
  String.raw`k=v=w z="a\nb" u="\u00e9" t='single' s="x"y=2`,
  '  spaced   a=1\tb=2  ',
  'a=1 a=2 A=3',
  '"quoted"=x b=1',
  'k="" e="" f',
  'é=ü 日本=x',
  '1st=2 -x=3',
  'a=1,b=2 c:d=e',
  String.raw`err="unterminated \" x`,
  String.raw`a="\q" b=2`,
  'a==b',
  'a="x"="y"',
  'k="with = eq" j=ok',
]

const access = [
  '1.1.1.1 - [GET /a] 200',
  '2.2.2.2 - [POST /b] 503 slow',
  'nothing here',
  '::1 - [PUT /c] 100',
  '10.0.0.256 x 10.0.0.25',
  'fe80::1%eth0 [DEL] ok',
  '2001:db8::ff00:42:8329, 192.168.1.1:8080',
  '::ffff:10.1.2.3 mapped',
  '1.2.3 no',
  'a1.2.3.4b',
  '1.2.3.4.5',
  '[2001:db8::1]:80',
  '1.1.1.1-2.2.2.2',
]

const numbers = [
  [0, 'v=1 d=1s b=1KB k=a'],
  [10, 'v=2.5 d=500ms b=2KB k=b'],
  [20, 'v=4 d=250ms b=4KB k=a'],
  [30, 'v=oops d=1s b=1B k=b'],
  [40, 'k=b'],
  [50, 'v=3 d=1s b=1B k=a'],
  [52, 'v=NaN k=c d=1h2m b=1MiB'],
  [53, 'v=Inf k=d d=-5s b=-3'],
  [54, 'v=-Inf k=e d=1.5h b=1.5GB'],
  [55, 'v=0x10 k=f d=5 b=5'],
  [56, 'v=1_000 k=g d= b='],
  [57, 'v=1e3 k=h d=1d b=10kib'],
  [58, 'v=" 5" k=i d="1s " b="5 MB"'],
  [59, 'v=+7 k=j d=+7s b=+7B'],
  [60, 'v=.5 k=k d=.5s b=.5KB'],
] as const

const metadata = [
  [0, 'one', { lat: '250ms', size: '1.5KiB', code: '404', ip: '10.0.0.5', app: 'clash', trace_id: 't1' }],
  [1, 'two', { lat: '2s', size: '3 MB', code: '0x1p4', ip: '11.0.0.5', 'a.b': 'dot', empty: '' }],
  [2, 'three', { lat: 'soon', size: 'big', code: 'NaN?', ip: 'none' }],
  [3, 'four'],
  [4, '{"lat":"1s","code":5,"ip":"1.1.1.1"}', { lat: '9s', code: '7' }],
] as const

const packed = [
  String.raw`{"_entry":"the \"line\"","pod2":"p","n":5,"app":"q"}`,
  '{"x":"y"}',
  'plain',
  '{"_entry":"e","o":{"a":1},"z":"1"}',
  '{"_entry":5,"z":"1"}',
  '[1]',
  '{"_entry":"x","bad',
  String.raw`{"_entry":"nl\nx\u00e9","a b":"c"}`,
]

const text = [
  String.raw`quote " back\slash`,
  'tab\there',
  'new\nline',
  'unicode é ü 日本 😀',
  'percent % under _ star *',
  '`tick`',
  `single ' quote`,
  '',
  'nul\0x',
  'ÀÉ upper',
  'ſ long s K kelvin',
  'a.b+c(d)[e]{f}|g^h$',
]

/** A word of each of Loki's levels where both look for it, and lines without one. */
const levels = [
  'level=ERROR msg=x',
  'ERROR something',
  '{"level":"Warning","x":1}',
  'info: hi',
  'nothing at all',
  'lvl=debug x=1',
  '{"lvl":"trace"}',
  '[FATAL] dead',
  'WARN x',
  '{"log":{"level":"error"}}',
  'err: x',
  'debugging now',
]

const nested = [
  '{"request":{"headers":{"x-id":"1","list":["a","b"]},"time":"15ms"},"size":"10KB","items":[{"id":1},{"id":2}],"t":"2024-01-02T03:04:05Z","n":5,"s":"a,b,c","e":"x=1&y=2"}',
  '{"request":"flat","n":"7"}',
]

/** Streams that say less of who they are. */
const services: readonly Readonly<Record<string, string>>[] = [
  { case: 's1', service: 'svc' },
  { case: 's2' },
  { case: 's3', job: 'j', container: 'c' },
  { case: 's4', service_name: 'mine' },
  { case: 's5', level: 'info' },
]

export const streams: readonly PushedStream[] = [
  oneASecond('json', json),
  oneASecond('path', path),
  oneASecond('logfmt', logfmt),
  oneASecond('access', access),
  timed('num', numbers),
  timed('meta', metadata),
  oneASecond('color', [
    '\x1b[31mred\x1b[0m plain \x1b[1;32mgreen\x1b[m',
    '\x1b[K\x1b[2Jx\x1b]0;t\x07y',
    '\x1b[38;5;196mz\x1b(B',
    'plain',
  ]),
  oneASecond('pack', packed),
  oneASecond('esc', text, { weird: 'q"uo\\te\nnl é' }),
  timed('dup', [
    [1, 'same'],
    [1, 'same'],
    [1, 'other'],
    [2, 'same'],
    [1, 'b'],
    [1, 'a'],
  ]),
  ...['a', 'b', 'c', 'd'].map((k) =>
    timed(
      'multi',
      [1, 2, 3].map((n) => [n, `${'xyz'[n - 1]} ${k}`] as const),
      { k },
    ),
  ),
  ...Object.entries({ p: 2, q: 2, r: 3, s: 1 }).map(([k, count]) =>
    timed(
      'ties',
      Array.from({ length: count }, (_, i) => [i + 1, `l${i}`] as const),
      { k },
    ),
  ),
  oneASecond('levels', levels),
  ...services.map((stream): PushedStream => ({ stream, values: [[at(1), `error in ${stream['case']}`]] })),
  oneASecond('nested', nested),
]

/** Of a second tenant, for queries over both. */
export const ofSecondTenant: readonly PushedStream[] = [
  timed(
    'multi',
    [
      [2, 't2 line'],
      [3, '{"x":1}'],
    ],
    { k: 'a', __tenant_id__: 'own' },
  ),
  { stream: { case: 't2only' }, values: [[at(2), 'hello']] },
]

/** Entries, of which a time and a line that a stream has already count once. */
export const entryCount = (pushed: readonly PushedStream[]): number =>
  pushed.reduce((sum, { values }) => sum + new Set(values.map(([time, line]) => `${time} ${line}`)).size, 0)
