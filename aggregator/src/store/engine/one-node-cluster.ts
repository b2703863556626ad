/**
 * Pure: a stand-in that calls itself a cluster, so that statements for clusters can be tried without one. It is the only node of its
 * only shard: `Distributed` tables, `cluster(…)` and `_shard_num` are the engine's own; where there would be Keeper, there is nothing.
 */

/** A statement for all nodes of a cluster as this one runs it: itself, and without replication. */
export function forOneNode(sql: string): string {
  if (!/^\s*(CREATE|ALTER|DROP)\b/i.test(sql)) return sql
  return sql
    .replace(/ ON CLUSTER `\w+`/, '')
    .replace(/ENGINE = Replicated(\w+)\('[^']*', '[^']*'(?:, )?/, 'ENGINE = $1(')
}

/** What makes the engine take itself for the cluster's node. No one listens at the port: the node is here. */
export function clusterConfig(name: string): string {
  return `
  <tcp_port>9000</tcp_port>
  <macros><shard>1</shard><replica>only</replica></macros>
  <remote_servers><${name}><shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard></${name}></remote_servers>`
}
