/** Which of several aggregators on one store sweeps it: the one whose name the store took first for that turn. */
import type { StoreClient } from '../store/client.ts'

/**
 * Whether this aggregator has the turn. The embedded store belongs to one aggregator, which always has it. A turn passes to whoever asks
 * first after it ended, so an aggregator that is gone is not waited for.
 *
 * @param id of this aggregator
 * @param turn the same number for all of them at one time
 */
export async function takeTurn(client: StoreClient, id: string, turn: number): Promise<boolean> {
  if (client.connection.engine === 'embedded') return true
  await client.command(
    'INSERT INTO sweeps (turn, aggregator) SELECT {turn:UInt64}, {id:String}',
    { turn, id },
    {
      settings: {
        ...client.dialect.consistentInsert,
        insert_deduplicate: 1,
        insert_deduplication_token: `turn-${turn}`,
      },
    },
  )
  // Should the store have forgotten the token, both rows are there: the one that it wrote first counts.
  const { rows } = await client.query<{ aggregator: string }>(
    'SELECT aggregator FROM sweeps WHERE turn = {turn:UInt64} ORDER BY taken, aggregator LIMIT 1',
    { turn },
    { settings: client.dialect.consistentRead },
  )
  return rows[0]?.aggregator === id
}
