import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TemplateError } from './error.ts'
import { executeTemplate } from './execute.ts'
import { parseTemplate } from './parser.ts'

const labels = new Map([
  ['app', 'web'],
  ['n', '12'],
  ['f', '3.75'],
  ['msg', 'Hello World'],
  ['js', '{"a":{"b":[1,"x",null,true]},"c":2.5}'],
  ['lines', 'a\nb'],
])
const run = (text: string): string =>
  executeTemplate('line', parseTemplate(text), { labels, line: 'the line', time: 1_700_000_000_123_456_789n })

test.for([
  ['plain', 'plain'],
  ['{{.app}}|{{.none}}|{{ $.app }}', 'web||web'],
  ['a {{- .app -}} b', 'awebb'],
  ['{{/* comment */}}x{{- /* and */ -}} y', 'xy'],
  ['{{`raw "x"`}} {{"q\\n"}}{{\'a\'}}', 'raw "x" q\n97'],
  ['{{if .none}}a{{else if eq .app "web"}}b{{else}}c{{end}}', 'b'],
  ['{{with .app}}<{{.}}>{{else}}none{{end}}{{with .none}}x{{else}}none{{end}}', '<web>none'],
  ['{{range $i, $e := (fromJson .js).a.b}}{{$i}}:{{$e}} {{end}}', '0:1 1:x 2:<no value> 3:true '],
  ['{{range $k, $v := fromJson .js}}{{$k}} {{end}}', 'a c '],
  ['{{range fromJson "[]"}}x{{else}}empty{{end}}', 'empty'],
  ['{{range $i := fromJson "[1,2,3]"}}{{if eq $i 2.0}}{{continue}}{{end}}{{$i}}{{end}}', '13'],
  ['{{range fromJson "[1,2,3]"}}{{if eq . 2.0}}{{break}}{{end}}{{.}}{{end}}', '1'],
  ['{{define "t"}}[{{.}}]{{end}}{{template "t" .app}}{{block "u" .n}}({{.}}){{end}}', '[web](12)'],
  ['{{$x := 1}}{{$x = add $x 2}}{{$x}}', '3'],
  ['{{.app | upper | printf "%s-%s" "x"}}', 'x-WEB'],
  ['{{and .app .none}}|{{or .none .app}}|{{not .none}}', '|web|true'],
  ['{{len .msg}} {{len (fromJson "[1,2]")}}', '11 2'],
  ['{{(fromJson .msg).a}} {{(fromJson .msg).a.b}} {{$x := fromJson .msg}}{{$x.a}}', '<no value> <no value> <no value>'],
  [
    '{{int 1e20}} {{int -1e20}} {{int (mulf 1e300 1e300)}}',
    '-9223372036854775808 -9223372036854775808 -9223372036854775808',
  ],
  ['{{index (fromJson .js) "a" "b" 1}} {{index . "app"}} {{slice .msg 1 3}}', 'x web el'],
  ['{{print 1 2 "a" "b" 3}}|{{println "a" 1}}', '1 2ab3|a 1\n'],
  ['{{html "<a>&"}} {{js "\'x\'"}} {{urlquery "a b&c"}}', "&lt;a&gt;&amp; \\'x\\' a+b%26c"],
  ['{{eq 1 2 1}} {{ne "a" "b"}} {{lt 1 2}} {{le 2 2}} {{gt "b" "a"}} {{ge 1.5 2.5}}', 'true true true true true false'],
  [
    '{{__line__}} {{__timestamp__ | unixEpochMillis}} {{unixEpochNanos __timestamp__}}',
    'the line 1700000000123 1700000000123456789',
  ],
  [
    '{{ToLower .msg}} {{ToUpper .msg}} {{Replace .msg "l" "L" 2}} {{Trim "xaxx" "x"}}',
    'hello world HELLO WORLD HeLLo World a',
  ],
  [
    '{{TrimLeft "xxa" "x"}} {{TrimRight "axx" "x"}} {{TrimPrefix "ab" "a"}} {{TrimSuffix "ab" "b"}} {{TrimSpace " a "}}',
    'a a b a a',
  ],
  [
    '{{regexReplaceAll "(o)(r)" .msg "$2$1"}} {{regexReplaceAllLiteral "l+" .msg "$"}} {{count "l" .msg}}',
    'Hello Wrold He$o Wor$d 3',
  ],
  ['{{urlencode "a b/ü"}} {{urldecode "a+b%2F%C3%BC"}}', 'a+b%2F%C3%BC a b/ü'],
  ['{{bytes "1.5KiB"}} {{duration "1m30s"}} {{duration_seconds "250ms"}}', '1536 90 0.25'],
  ['{{alignLeft 5 "abc"}}|{{alignRight 5 "abc"}}|{{alignLeft 2 "abc"}}|{{alignRight 2 "abc"}}', 'abc  |  abc|ab|bc'],
  ['{{b64enc "hi"}} {{b64dec "aGk"}}', 'aGk= hi'],
  [
    '{{lower "A"}} {{upper "a"}} {{title "hello big world"}} {{trunc 3 "abcdef"}} {{trunc -2 "abcdef"}} {{substr 1 3 "abcdef"}} {{substr 2 -1 "abc"}}',
    'a A Hello Big World abc ef bc c',
  ],
  ['{{contains "b" "abc"}} {{hasPrefix "a" "abc"}} {{hasSuffix "a" "abc"}}', 'true true false'],
  ['{{indent 2 .lines}}|{{nindent 1 .lines}}', '  a\n  b|\n a\n b'],
  [
    '{{replace "l" "L" .msg}} {{repeat 3 "ab"}} {{trim " a "}} {{trimAll "$" "$a$"}} {{trimSuffix "c" "abc"}} {{trimPrefix "a" "abc"}}',
    'HeLLo WorLd ababab a a ab bc',
  ],
  ['{{int "12"}} {{int "12.9"}} {{int 3.9}} {{float64 "1.5"}}', '12 12 3 1.5'],
  ['{{add 1 .n 3}} {{sub 5 2}} {{mul 2 3 4}} {{div 7 2}} {{mod 7 4}}', '16 3 24 3 3'],
  ['{{addf 0.1 0.2}} {{subf 1.5 0.25}} {{mulf 1.1 3}} {{divf 1 3}}', '0.3 1.25 3.3 0.3333333333333333'],
  ['{{max 1 5 3}} {{min 4 2 3}} {{maxf 1.5 2.5}} {{minf 1.5 2.5}}', '5 2 2.5 1.5'],
  ['{{ceil .f}} {{floor .f}} {{round .f 1}} {{round 2.5 0}}', '4 3 3.8 3'],
  ['{{default "d" .none}} {{default "d" .app}}', 'd web'],
  ['{{date "2006-01-02 15:04:05.000 Mon Jan _2 PM" __timestamp__}}', '2023-11-14 22:13:20.123 Tue Nov 14 PM'],
  ['{{__timestamp__.Unix}} {{(__timestamp__).Format "02.01.06 3:4"}}', '1700000000 14.11.23 10:13'],
  ['{{toDate "2006-01-02" "2024-02-29" | unixEpoch}} {{unixToTime "1700000000" | date "15:04"}}', '1709164800 22:13'],
  ['{{toDateInZone "2006-01-02 15:04" "Europe/Berlin" "2024-07-01 12:00" | unixEpoch}}', '1719828000'],
  [
    '{{unixToTime "19373" | date "2006-01-02"}} {{unixToTime "1700000000123456" | unixEpochMillis}}',
    '2023-01-16 1700000000123',
  ],
  [
    '{{printf "%5d|%-5s|%05.1f|%x|%q|%v|%t|%%|%3c|" 42 "ab" 3.14159 255 "q" 1.5 true 65}}',
    '   42|ab   |003.1|ff|"q"|1.5|true|%|  A|',
  ],
  [
    '{{printf "%d %s" "x" 5}} {{printf "%d"}} {{printf "a" 1}}',
    '%!d(string=x) %!s(int=5) %!d(MISSING) a%!(EXTRA int=1)',
  ],
  ['{{1e21}} {{1000000.0}} {{0.00001}} {{0x10}} {{1_000}}', '1e+21 1e+06 1e-05 16 1000'],
] as const)('%s gives %s', ([text, expected]) => expect(run(text)).toBe(expected))

test.for([
  ['{{', '1: unclosed action'],
  ['{{}}', '1: missing value for command'],
  ['a\n{{.x', '2: unclosed action'],
  ['{{if .x}}', '1: unexpected EOF'],
  ['{{end}}', '1: unexpected {{end}}'],
  ['{{else}}', '1: unexpected {{else}}'],
  ['{{nope}}', '1: function "nope" not defined'],
  ['{{$x}}', '1: undefined variable "$x"'],
  ['{{"a}}', '1: unterminated quoted string'],
  ['{{/* x', '1: unclosed comment'],
  ['{{(.x}}', 'unclosed left paren'],
  ['{{.x | 5}}', 'non executable command in pipeline stage 2'],
  ['{{break}}', '{{break}} outside {{range}}'],
] as const)('%s is no template: %s', ([text, expected]) => expect(() => parseTemplate(text)).toThrowError(expected))

test.for([
  ['{{div 1 0}}', 'at <div 1 0>: error calling div: runtime error: integer divide by zero'],
  ['{{ToLower 1}}', 'wrong type for value; expected string; got int'],
  ['{{upper}}', 'wrong number of args for upper: want 1 got 0'],
  ['{{.app.x}}', "can't evaluate field x in type string"],
  ['{{(fromJson .js).a.none.x}}', 'nil pointer evaluating interface {}.x'],
  ['{{range fromJson "[null]"}}{{.x}}{{end}}', 'nil pointer evaluating interface {}.x'],
  ['{{"NaN" | mulf 2}}', 'error calling mulf: Cannot create a Decimal from NaN'],
  ['{{addf 1 "Inf"}}', 'error calling addf: Cannot create a Decimal from +Inf'],
  ['{{eq 1 "a"}}', 'incompatible types for comparison'],
  ['{{template "none"}}', 'template "none" not defined'],
  ['{{regexReplaceAll "(" .app ""}}', 'error parsing regexp: missing closing )'],
  ['{{repeat 10000000 "x"}}', 'the result is too large'],
  ['{{define "a"}}{{template "a"}}{{end}}{{template "a"}}', 'exceeded maximum template depth'],
  ['{{range 100000}}{{range 100000}}x{{end}}{{end}}', 'too many steps'],
  ['{{index (fromJson "[1]") 5}}', 'index out of range: 5'],
] as const)('%s fails: %s', ([text, expected]) => {
  const attempt = () => run(text)
  expect(attempt).toThrowError(TemplateError)
  expect(attempt).toThrowError(expected)
})

test('any text is a template or a TemplateError, and any template gives text or one', () => {
  const pieces = fc.constantFrom(
    ...[
      '{{',
      '}}',
      '{{-',
      '-}}',
      '.',
      '.app',
      '$',
      '$x',
      ':=',
      '|',
      '(',
      ')',
      'if',
      'range',
      'end',
      'else',
      'with',
      ' ',
      '"a"',
      '`',
      '5',
      '-1.5',
      'printf',
      'index',
      'define',
      'template',
      'and',
      'len',
      '/*',
      '*/',
      ',',
      'x',
    ],
  )
  let parsed = 0
  fc.assert(
    fc.property(
      fc.array(fc.oneof(pieces, fc.constantFrom('{{.app}}', '{{if .n}}', '{{end}}')), { maxLength: 12 }),
      (list) => {
        try {
          run(list.join(''))
          parsed++
        } catch (error) {
          expect(error).toBeInstanceOf(TemplateError)
        }
      },
    ),
    { numRuns: 3000 },
  )
  expect(parsed).toBeGreaterThan(50)
})
