/** docs/loki.md: where answers differ from Loki's, from the table of the test that compares both. */
import { type Difference, differences, type Kind } from '@tributary/test/interop/loki/differences.ts'

const shownCases = 2

/** A request that shows it, and how many there are. */
function examples({ cases }: Difference): string {
  const names = Object.values(cases).flat()
  // One without marks of its own, where there is one.
  const plain = [...new Set(names.filter((name) => !/[`\0\n]/.test(name) && name.length < 120))]
  const shown = plain.slice(0, shownCases).map((name) => `\`${name}\``)
  const more = new Set(names).size - shown.length
  return [...shown, ...(more > 0 ? [`${more} more`] : [])].join(', ')
}

function list(kind: Kind): string {
  return differences
    .filter((difference) => difference.kind === kind)
    .map((difference) => `- ${difference.reason} (${examples(difference)})`)
    .join('\n')
}

export function lokiPage(): string {
  return `<!-- Written by \`npm run docs\` from test/interop/loki/differences.ts. -->
# Differences from Loki

\`test/interop/loki.test.ts\` gives a real Loki 3.7.8 and an aggregator the same entries and some 2,600 requests: log and metric queries, also put together by chance, templates, what is wrong
and what is said of it, labels, series, statistics, odd parameters, tenants and pushes. Status, type and body have to be the same but for what is listed here, and what is listed has to differ. Not compared are
statistics of queries, the order of entries of one time and of series where nothing sorts them, digits of sums beyond the twelfth, and which series a pipeline's error names. Levels are found
in more lines than Loki finds them in (${'`panic: x`'}, ${'`{"level":30}`'}, klog's).

In parentheses stand requests that show it.

## On purpose

${list('deliberate')}

## Where Loki is at fault

${list('loki')}

## The same refusal in other words

${list('words')}

## To compare it yourself

\`\`\`sh
(cd .ci/logcli && go build -o /tmp/loki github.com/grafana/loki/v3/cmd/loki)
LOKI=/tmp/loki npx vitest run test/interop/loki.test.ts
\`\`\`
`
}
