import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { languages } from './config.ts'
import type { RecordDetector } from './detector.ts'
import { type Language, tracesOf } from './traces.ts'

const all = tracesOf(languages)

/** The records that the lines of one stream make, as the cutter would join them. */
function group(lines: readonly string[], detector: RecordDetector = all): string[] {
  const records: string[] = []
  let state = 0
  for (const [i, line] of lines.entries()) {
    const bytes = Buffer.from(line)
    if (state !== 0) {
      state = detector.next(state, bytes, 0, bytes.length)
      if (state !== 0) {
        records[records.length - 1] += `\n${line}`
        continue
      }
    }
    records.push(line)
    const following = lines[i + 1]
    if (following === undefined) break
    const after = Buffer.from(following)
    if (detector.mayContinue[after.length > 0 ? after[0]! : 256] !== 1) continue
    const begun = detector.begin(bytes, 0, bytes.length)
    if (begun !== 0 && detector.next(begun, after, 0, after.length) !== 0) state = begun
  }
  return records
}

const traces: Record<Language, Record<string, string>> = {
  java: {
    plain: `java.lang.IllegalStateException: cart is closed
\tat com.shop.Cart.add(Cart.java:42)
\tat com.shop.Cart$Handler.run(Cart.java:12)
\tat java.base/java.lang.Thread.run(Thread.java:1583)`,
    'without a message': `java.lang.NullPointerException
\tat com.shop.Main.main(Main.java:3)`,
    'in a thread, with causes': `Exception in thread "main" java.lang.RuntimeException: Failed to start
\tat com.shop.App.run(App.java:10) ~[app.jar:1.2]
\tSuppressed: java.io.IOException: close
\t\tat com.shop.Res.close(Res.java:7)
\t\t... 3 more
Caused by: java.sql.SQLException: no connection
\tat org.db.Driver.connect(Driver.java:101)
\t... 12 more
Caused by: java.net.ConnectException
\tat java.base/sun.nio.ch.Net.pollConnect(Native Method)
\t... 40 common frames omitted
Wrapped by: java.lang.Error: x
\tat A.a(A.java:1)`,
    'with frames left out by a logger': `java.lang.RuntimeException: x
\tat com.shop.App.run(App.java:10)
\t... 27 frames excluded
\tat com.shop.Main.main(Main.java:3)
\t... suppressed 14 lines
Caused by: java.io.IOException: y
\t... 3 frames truncated`,
    'in a thread, by a class of any name': `Exception in thread "main" com.shop.NotFound: cart
\tat com.shop.App.run(App.java:10)`,
    'behind a log prefix': `2026-11-23 14:00:01,123 ERROR [http-nio-8080-exec-1] c.s.CartController - java.lang.ArithmeticException: / by zero
\tat com.shop.Price.of(Price.java:9)`,
    kotlin: `kotlin.UninitializedPropertyAccessException: lateinit property db has not been initialized
\tat com.shop.Repo.find(Repo.kt:21)
\t(Coroutine boundary)
\tat com.shop.Repo$load$2.invokeSuspend(Repo.kt)`,
    circular: `java.lang.Exception: a
\tat A.a(A.java:1)
Caused by: java.lang.Exception: b
\tat B.b(B.java:1)
\t[CIRCULAR REFERENCE: java.lang.Exception: a]`,
  },
  python: {
    plain: `Traceback (most recent call last):
  File "/app/main.py", line 3, in <module>
    main()
    ~~~~^^
  File "/app/main.py", line 2, in main
    raise ValueError("no")
ValueError: no`,
    chained: `Traceback (most recent call last):
  File "a.py", line 2, in <module>
    1/0
ZeroDivisionError: division by zero

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 4, in <module>
    raise shop.errors.CartError from None
shop.errors.CartError

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "a.py", line 9, in <module>
    f()
KeyboardInterrupt`,
    'behind a log prefix': `ERROR:root:failed Traceback (most recent call last):
  File "a.py", line 2, in <module>
    f()
KeyError: 'x'`,
    'exception group': `  + Exception Group Traceback (most recent call last):
  |   File "a.py", line 1, in <module>
  |     raise ExceptionGroup("many", errors)
  | ExceptionGroup: many (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | ValueError: 1
    +------------------------------------`,
    'syntax error': `  File "a.py", line 1
    def f(:
          ^
SyntaxError: invalid syntax`,
  },
  go: {
    panic: `panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x48f3a1]

goroutine 1 [running]:
main.(*Cart).Add(...)
\t/app/cart.go:12
main.main()
\t/app/main.go:8 +0x1d
exit status 2`,
    'several goroutines': `fatal error: all goroutines are asleep - deadlock!

goroutine 1 [chan receive]:
main.main()
\t/app/main.go:8 +0x1d

goroutine 18 [select, 3 minutes]:
net/http.(*persistConn).writeLoop(0xc0001b0000)
\t/usr/local/go/src/net/http/transport.go:2441 +0xf0
created by net/http.(*Transport).dialConn in goroutine 9
\t/usr/local/go/src/net/http/transport.go:1776 +0x16a5`,
    'raised again': `panic: first [recovered]
\tpanic: second

goroutine 34 [running]:
testing.tRunner.func1.2({0x51d3a0, 0x5675f8})
\t/usr/local/go/src/testing/testing.go:1526 +0x24e
...additional frames elided...
created by testing.(*T).Run
\t/usr/local/go/src/testing/testing.go:1629 +0x3ea

exit status 2`,
    'served over HTTP': `2026/11/23 14:00:00 http: panic serving 10.0.0.7:51234: boom
goroutine 34 [running]:
net/http.(*conn).serve.func1()
\t/usr/local/go/src/net/http/server.go:1868 +0xb9
panic({0x6a2f40?, 0x7b1c50?})
\t/usr/local/go/src/runtime/panic.go:914 +0x21f
main.handle({0x7f5a18, 0xc0001c6000}, 0xc0001c2000)
\t/app/main.go:12 +0x25`,
    'of the runtime': `fatal error: runtime: out of memory

runtime stack:
runtime.throw({0x51d3a0?, 0x1?})
\t/usr/local/go/src/runtime/panic.go:1023 +0x5c

goroutine 5 [running]:
\tgoroutine running on other thread; stack unavailable
created by main.main
\t/app/main.go:4 +0x1`,
    'a dump alone': `goroutine 7 [running]:
runtime/debug.Stack()
\t/usr/local/go/src/runtime/debug/stack.go:24 +0x5e
main.report()
\t/app/main.go:31 +0x1f`,
  },
  node: {
    plain: `TypeError: Cannot read properties of undefined (reading 'id')
    at Cart.add (/app/cart.js:12:9)
    at async file:///app/server.mjs:3:1
    at process.processTicksAndRejections (node:internal/process/task_queues:105:5)`,
    'with properties': `Error: connect ECONNREFUSED 127.0.0.1:5432
    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1637:16) {
  errno: -111,
  code: 'ECONNREFUSED',
  [cause]: Error: inner
      at f (/app/a.js:1:1) {
    x: 1
  }
}`,
    'with a cause that shares frames': `Error: outer
    at f (/app/a.js:1:1)
    ... 3 lines matching cause stack trace ...
    at h (/app/a.js:3:1) {
  [cause]: Error: inner
      at f (/app/a.js:1:1)
}`,
    'its own codes': `TypeError [ERR_INVALID_ARG_TYPE]: The "path" argument must be of type string
    at Object.openSync (node:fs:573:18)`,
    uncaught: `/app/index.js:10
    throw new Error('boom')
    ^

Error: boom
    at Object.<anonymous> (/app/index.js:10:11)
    at Module._compile (node:internal/modules/cjs/loader:1730:14)

Node.js v24.21.0`,
    'a rejection that is no error': `node:internal/process/promises:394
      triggerUncaughtException(err, true /* fromPromise */);
      ^

[UnhandledPromiseRejection: This error originated either by throwing inside of an async function] {
  code: 'ERR_UNHANDLED_REJECTION'
}

Node.js v24.21.0`,
    'a thrown text': `/app/index.js:2
  throw 'boom'
  ^

boom
(Use \`node --trace-uncaught ...\` to show where the exception was thrown)

Node.js v24.21.0`,
    'uncaught, with properties': `node:events:485
      throw er; // Unhandled 'error' event
      ^

Error: listen EADDRINUSE: address already in use :::3000
    at Server.setupListenHandle [as _listen2] (node:net:1937:16) {
  code: 'EADDRINUSE',
  port: 3000
}

Node.js v24.21.0`,
  },
  dotnet: {
    'unhandled, by a class of any name': `Unhandled exception. Shop.NotFound: cart
   at Program.Main()`,
    unhandled: `Unhandled exception. System.InvalidOperationException: Sequence contains no elements
   at System.Linq.ThrowHelper.ThrowNoElementsException()
   at Shop.Cart.First() in /src/Cart.cs:line 12
   at Program.<Main>$(String[] args) in /src/Program.cs:line 3`,
    inner: `System.AggregateException: One or more errors occurred. (boom)
 ---> System.Exception: boom
   at Shop.Job.Run() in /src/Job.cs:line 5
   --- End of inner exception stack trace ---
   at System.Threading.Tasks.Task.Wait()
--- End of stack trace from previous location ---
   at Shop.Program.Main()`,
    'under a console logger': `      System.TimeoutException: The operation has timed out.
         at Shop.Db.Query(String sql)`,
  },
  ruby: {
    plain: `app.rb:3:in 'Integer#/': divided by 0 (ZeroDivisionError)
\tfrom app.rb:3:in 'Object#price'
\tfrom app.rb:7:in '<main>'`,
    'too deep': `app.rb:1:in 'Object#f': stack level too deep (SystemStackError)
\tfrom app.rb:1:in 'Object#f'
\t ... 10067 levels...
\tfrom app.rb:7:in '<main>'`,
    'older quotes': `/usr/lib/ruby/gems/rack-2.2/lib/rack.rb:12:in \`call': undefined method \`x' for nil:NilClass (NoMethodError)
\tfrom /app/config.ru:4:in \`block in <main>'`,
  },
  php: {
    plain: `PHP Fatal error:  Uncaught RuntimeException: cart is closed in /app/cart.php:12
Stack trace:
#0 /app/index.php(3): Cart->add()
#1 {main}
  thrown in /app/cart.php on line 12`,
    'with a next one': `[23-Nov-2026 14:00:00 UTC] Fatal error: Uncaught PDOException: no connection in /app/db.php:3
Stack trace:
#0 /app/db.php(3): PDO->__construct()
#1 {main}

Next RuntimeException: database in /app/db.php:9
Stack trace:
#0 /app/index.php(2): connect()
#1 {main}
  thrown in /app/db.php on line 9`,
  },
}

/** Each is a record of its own, whatever stands beside it. */
const ordinary = [
  'INFO  server started on port 8080',
  '{"level":"error","msg":"java.lang.IllegalStateException: closed","at":"Cart.java:42"}',
  'level=error msg="request failed: TypeError: x is not a function" path=/api',
  '10.0.0.7 - - [23/Nov/2026:14:00:00 +0000] "GET / HTTP/1.1" 200 612 "-" "curl/8"',
  'Caught exception, at least the third one today',
  'goroutine pool has 12 workers',
  'panic button pressed',
  'Traceback is disabled',
  '[23.4567] usb 1-1: new high-speed USB device number 2',
  'Next run at 14:05',
  '# a comment',
]
/** Indented continuations of something that is no stack trace. */
const blocks = [
  ['{', '  "a": 1,', '  "at": [2]', '}'],
  ['spec:', '  containers:', '  - name: x', '    image: y'],
  ['SELECT *', '  FROM carts', ' WHERE id = 1'],
  ['Error: usage: cart [options]', '  --help  shows this', '  at most one'],
  ['/etc/config:80', 'listening'],
  ['   ___', '  / _ \\', '  \\___/'],
  ['', '', 'text'],
]

describe.each(Object.entries(traces))('%s', (language, kinds) => {
  test.each(Object.entries(kinds))('%s', (_, trace) => {
    const lines = trace.split('\n')
    for (const detector of [all, tracesOf([language as Language])]) {
      expect(group(lines, detector)).toEqual([trace])
      expect(group(['before', ...lines, 'INFO after'], detector)).toEqual(['before', trace, 'INFO after'])
      expect(
        group(
          lines.map((line) => `${line}\r`),
          detector,
        ),
      ).toHaveLength(1)
    }
    const others = languages.filter((one) => one !== language && !(one === 'java' && language === 'dotnet'))
    expect(group([...lines, 'x'], tracesOf([])).length).toBe(lines.length + 1)
    expect(others.length).toBeGreaterThan(4)
  })
})

test.each(ordinary)('waits for nothing behind: %s', (line) => {
  const bytes = Buffer.from(line)
  const mentions = /Exception:|Error:/.test(line)
  if (!mentions) expect(all.begin(bytes, 0, bytes.length)).toBe(0)
  expect(group([line, line, ...ordinary])).toEqual([line, line, ...ordinary])
})

test.each(blocks)('%s and what follows stay apart', (...lines) => {
  const { length } = group(['before', ...lines, 'after'])
  // `at most one` below an error looks like a frame, and is no harm to hold together with it.
  expect(length).toBeGreaterThanOrEqual(lines.length + 1)
})

test('a first line is recognised wherever a read ends, so that it waits for the rest', () => {
  for (const kinds of Object.values(traces)) {
    for (const trace of Object.values(kinds)) {
      const first = Buffer.from(trace.split('\n')[0]!)
      expect(all.begin(first, 0, first.length), trace).toBeGreaterThan(0)
    }
  }
})

const known = Object.values(traces).flatMap((kinds) => Object.values(kinds))
test('traces one after another, with ordinary lines between, come out as they are', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...known, ...ordinary), { maxLength: 20 }), (records) => {
      expect(group(records.flatMap((record) => record.split('\n')))).toEqual(records)
    }),
    { numRuns: 1000 },
  )
})

test('any bytes are looked at without an error, and every line is in one record', () => {
  const line = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(...known.flatMap((trace) => trace.split('\n'))),
    fc.string({
      unit: fc.constantFrom('Error', ':', ' ', '\t', 'at ', '.rb:', '1', '(', ')', '"', '^', '[', ']'),
      maxLength: 12,
    }),
  )
  fc.assert(
    fc.property(
      fc.array(
        line.map((text) => text.replaceAll('\n', '')),
        { maxLength: 30 },
      ),
      (lines) => {
        expect(group(lines).join('\n')).toBe(lines.join('\n'))
      },
    ),
    { numRuns: 1000 },
  )
})
