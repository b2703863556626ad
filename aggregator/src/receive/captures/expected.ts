/**
 * The rows that the captured bytes stand for, in the order of the bytes: decoded with another MessagePack library than ours, by a program that knows
 * none of our code.
 */

export interface ExpectedRow {
  /** `seconds.nanoseconds` */
  readonly time: string
  readonly line: string
  /** Stream labels but for `service_name`. */
  readonly labels: Readonly<Record<string, string>>
  readonly metadata: Readonly<Record<string, string>>
  readonly level: string
}

/** What Fluent Bit's dummy input and Fluentd's sample input made. */
const hello = (time: string, tag: string): ExpectedRow => ({
  time,
  line: 'hello',
  labels: { tag },
  metadata: { n: '1' },
  level: 'unknown',
})

/** What Fluentd says of itself. */
const fluentd = (time: string, line: string, metadata: Readonly<Record<string, string>>): ExpectedRow => ({
  time,
  line,
  labels: { tag: 'fluent.info' },
  metadata,
  level: 'unknown',
})

/** An OpenTelemetry record that Fluent Bit passed on, between its markers of the resource. */
const otlp = (time: string): ExpectedRow => ({
  time,
  line: 'otlp body',
  labels: { service_name: 'cart' },
  metadata: {
    k: 'v',
    scope_name: 'lib',
    scope_version: '1',
    severity_number: '9',
    severity_text: 'INFO',
    span_id: 'eee19b7ec3c1b174',
    trace_id: '5b8efff798038103d269b633813fc60c',
  },
  level: 'info',
})

export const expectedRows: Readonly<Record<string, readonly ExpectedRow[]>> = {
  'fb-ack': [hello('1767225600.124453654', 'cap.dummy'), hello('1767225600.162605068', 'cap.dummy')],
  'fb-ack-to-fb': [hello('1767225600.124208088', 'cap.dummy'), hello('1767225600.177554391', 'cap.dummy')],
  'fb-add-option': [hello('1767225600.123892478', 'cap.dummy'), hello('1767225600.152552470', 'cap.dummy')],
  'fb-default': [hello('1767225600.124229831', 'cap.dummy'), hello('1767225600.156981769', 'cap.dummy')],
  'fb-dynamic-tag': [hello('1767225600.124087899', 'dyn.hello'), hello('1767225600.220287090', 'dyn.hello')],
  'fb-gzip': [hello('1767225600.125370830', 'cap.dummy'), hello('1767225600.208615721', 'cap.dummy')],
  'fb-gzip-ack': [hello('1767225600.127599061', 'cap.dummy'), hello('1767225600.205698695', 'cap.dummy')],
  'fb-gzip-ack-to-fb': [hello('1767225600.124024505', 'cap.dummy'), hello('1767225600.189738104', 'cap.dummy')],
  'fb-gzip-to-fluentd': [hello('1767225600.125196501', 'cap.dummy'), hello('1767225600.211684133', 'cap.dummy')],
  'fb-no-retain-metadata': [hello('1767225600.125953268', 'cap.dummy'), hello('1767225600.137956593', 'cap.dummy')],
  'fb-noretain-gzip-to-fluentd': [
    hello('1767225600.124032938', 'cap.dummy'),
    hello('1767225600.216826470', 'cap.dummy'),
  ],
  'fb-noretain-to-fluentd': [hello('1767225600.123736516', 'cap.dummy'), hello('1767225600.167190570', 'cap.dummy')],
  'fb-otlp-logs': [otlp('1767225600.000000001')],
  'fb-otlp-logs-gzip': [otlp('1767225600.000000001')],
  'fb-plain-to-fluentd': [hello('1767225600.123782173', 'cap.dummy'), hello('1767225600.139854245', 'cap.dummy')],
  'fb-send-options': [hello('1767225600.123829344', 'cap.dummy'), hello('1767225600.212012672', 'cap.dummy')],
  'fb-sharedkey': [hello('1767225600.125343970', 'cap.dummy'), hello('1767225600.221204277', 'cap.dummy')],
  'fb-sharedkey-to-fb': [hello('1767225600.123905318', 'cap.dummy'), hello('1767225600.202166572', 'cap.dummy')],
  'fb-sharedkey-to-fluentd': [hello('1767225600.123746861', 'cap.dummy'), hello('1767225600.183995678', 'cap.dummy')],
  'fb-time-as-integer': [hello('1767225600.000000000', 'cap.dummy'), hello('1767225600.000000000', 'cap.dummy')],
  'fb-user-to-fb': [hello('1767225600.123888231', 'cap.dummy'), hello('1767225600.199068786', 'cap.dummy')],
  'fluentd-ack': [
    fluentd(
      '1795420620.038764623',
      'using configuration file: <ROOT>\n  <source>\n    @type sample\n    tag "cap.sample"\n    rate 2\n    sample {"message":"hello","n":1}\n  </source>\n  <match **>\n    @type forward\n    require_ack_response true\n    <buffer>\n      flush_mode interval\n      flush_interval 1s\n    </buffer>\n    <server>\n      host "127.0.0.1"\n      port 42524\n    </server>\n  </match>\n</ROOT>',
      {},
    ),
    fluentd('1795420620.038851132', 'starting fluentd worker pid=12649 ppid=11582 worker=0', {
      pid: '12649',
      ppid: '11582',
      worker: '0',
    }),
    fluentd('1795420620.039663172', 'delayed_commit_timeout is overwritten by ack_response_timeout', {}),
    fluentd('1795420620.040198289', 'fluentd worker is now running worker=0', { worker: '0' }),
    hello('1795420621.059003601', 'cap.sample'),
    hello('1795420621.060644686', 'cap.sample'),
    hello('1795420622.070787287', 'cap.sample'),
    hello('1795420622.071049517', 'cap.sample'),
    hello('1795420623.073319899', 'cap.sample'),
    hello('1795420623.073637922', 'cap.sample'),
    hello('1795420624.075642693', 'cap.sample'),
    hello('1795420624.076008388', 'cap.sample'),
  ],
  'fluentd-default': [
    fluentd(
      '1795420613.078343346',
      'using configuration file: <ROOT>\n  <source>\n    @type sample\n    tag "cap.sample"\n    rate 2\n    sample {"message":"hello","n":1}\n  </source>\n  <match **>\n    @type forward\n    send_timeout 5\n    <buffer>\n      flush_mode interval\n      flush_interval 1s\n    </buffer>\n    <server>\n      host "127.0.0.1"\n      port 42524\n    </server>\n  </match>\n</ROOT>',
      {},
    ),
    fluentd('1795420613.078379209', 'starting fluentd worker pid=11604 ppid=11582 worker=0', {
      pid: '11604',
      ppid: '11582',
      worker: '0',
    }),
    fluentd('1795420613.079194203', 'fluentd worker is now running worker=0', { worker: '0' }),
    hello('1795420614.101168617', 'cap.sample'),
    hello('1795420614.101435635', 'cap.sample'),
    hello('1795420615.003741149', 'cap.sample'),
    hello('1795420615.003983700', 'cap.sample'),
    hello('1795420616.009634187', 'cap.sample'),
    hello('1795420616.009949347', 'cap.sample'),
    hello('1795420617.015971933', 'cap.sample'),
    hello('1795420617.016238170', 'cap.sample'),
  ],
  'fluentd-gzip-ack': [
    fluentd(
      '1795420626.975637740',
      'using configuration file: <ROOT>\n  <source>\n    @type sample\n    tag "cap.sample"\n    rate 2\n    sample {"message":"hello","n":1}\n  </source>\n  <match **>\n    @type forward\n    require_ack_response true\n    compress gzip\n    <buffer>\n      flush_mode interval\n      flush_interval 1s\n    </buffer>\n    <server>\n      host "127.0.0.1"\n      port 42524\n    </server>\n  </match>\n</ROOT>',
      {},
    ),
    fluentd('1795420626.975674986', 'starting fluentd worker pid=13699 ppid=11582 worker=0', {
      pid: '13699',
      ppid: '11582',
      worker: '0',
    }),
    fluentd('1795420626.976197845', 'delayed_commit_timeout is overwritten by ack_response_timeout', {}),
    fluentd('1795420626.976851519', 'fluentd worker is now running worker=0', { worker: '0' }),
    hello('1795420627.077302786', 'cap.sample'),
    hello('1795420627.077733828', 'cap.sample'),
    hello('1795420628.088963202', 'cap.sample'),
    hello('1795420628.089264932', 'cap.sample'),
    hello('1795420629.091291134', 'cap.sample'),
    hello('1795420629.091653354', 'cap.sample'),
    hello('1795420630.093469203', 'cap.sample'),
    hello('1795420630.093983169', 'cap.sample'),
  ],
  'fluentd-gzip-ack-to-fb': [
    fluentd(
      '1795420794.680033367',
      'using configuration file: <ROOT>\n  <source>\n    @type sample\n    tag "cap.sample"\n    rate 2\n    sample {"message":"hello","n":1}\n  </source>\n  <match **>\n    @type forward\n    require_ack_response true\n    compress gzip\n    <buffer>\n      flush_mode interval\n      flush_interval 1s\n    </buffer>\n    <server>\n      host "127.0.0.1"\n      port 42524\n    </server>\n  </match>\n</ROOT>',
      {},
    ),
    fluentd('1795420794.680078564', 'starting fluentd worker pid=23568 ppid=23430 worker=0', {
      pid: '23568',
      ppid: '23430',
      worker: '0',
    }),
    fluentd('1795420794.680714562', 'delayed_commit_timeout is overwritten by ack_response_timeout', {}),
    fluentd('1795420794.681386133', 'fluentd worker is now running worker=0', { worker: '0' }),
    hello('1795420795.083097625', 'cap.sample'),
    hello('1795420795.083661886', 'cap.sample'),
    hello('1795420796.086769910', 'cap.sample'),
    hello('1795420796.087149225', 'cap.sample'),
    hello('1795420797.089335135', 'cap.sample'),
    hello('1795420797.089802512', 'cap.sample'),
    hello('1795420798.092326601', 'cap.sample'),
    hello('1795420798.092736051', 'cap.sample'),
  ],
  'fluentd-sharedkey-to-fb': [
    fluentd(
      '1795420634.246364341',
      'using configuration file: <ROOT>\n  <source>\n    @type sample\n    tag "cap.sample"\n    rate 2\n    sample {"message":"hello","n":1}\n  </source>\n  <match **>\n    @type forward\n    require_ack_response true\n    <buffer>\n      flush_mode interval\n      flush_interval 1s\n    </buffer>\n    <security>\n      shared_key xxxxxx\n      self_hostname "fd.example"\n    </security>\n    <server>\n      host "127.0.0.1"\n      port 42524\n    </server>\n  </match>\n</ROOT>',
      {},
    ),
    fluentd('1795420634.246407575', 'starting fluentd worker pid=16220 ppid=11582 worker=0', {
      pid: '16220',
      ppid: '11582',
      worker: '0',
    }),
    fluentd('1795420634.246922503', 'delayed_commit_timeout is overwritten by ack_response_timeout', {}),
    fluentd('1795420634.247234808', 'fluentd worker is now running worker=0', { worker: '0' }),
    hello('1795420635.050722574', 'cap.sample'),
    hello('1795420635.051077132', 'cap.sample'),
    hello('1795420636.053777288', 'cap.sample'),
    hello('1795420636.054283152', 'cap.sample'),
    hello('1795420637.058807531', 'cap.sample'),
    hello('1795420637.059580333', 'cap.sample'),
    hello('1795420638.062022600', 'cap.sample'),
    hello('1795420638.062237009', 'cap.sample'),
  ],
}
