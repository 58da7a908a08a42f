/** Sections about the process as a whole: `process`, `shards`, `limits`, `drain`, `reload`. */

import { section } from './groups.ts';
import { duration, flag, integer, integerOrAuto, sizeOrAuto } from './values.ts';

export const ownProcess = section('What others may see of the process.', {
  dumpable: flag({
    fallback: false,
    prose:
      'A crash may write the memory of the process to a core file, and other processes of its user may read that memory. Private keys and the keys of session tickets are in it.',
  }),
});

export const shards = section('Worker threads that carry the traffic.', {
  count: integerOrAuto({ min: 1, max: 256, fallback: 'auto', prose: 'How many; `auto` is one for each core the process may use.' }),
  stall_timeout: duration({
    min: '100ms',
    max: '5m',
    fallback: '5s',
    prose: 'A shard whose rules take longer for one turn has its worker replaced.',
  }),
});

export const limits = section('Caps on what the process holds.', {
  max_exchanges: integer({
    min: 1,
    max: 1_048_576,
    fallback: 65_536,
    prose:
      'Exchanges open at once, a shard. Further ones are rejected unread with H3_REQUEST_REJECTED, which says that they may be sent again.',
  }),
  max_held: sizeOrAuto({
    min: '1MiB',
    max: '1024GiB',
    fallback: 'auto',
    prose:
      'Bytes held for clients and backends by the whole process, with what was granted to them. From half of it on windows stay small; when all is held the slowest exchanges end and new requests get 503. `auto` is a quarter of the memory that the control group or the machine has.',
  }),
  stateless_replies: integer({
    min: 0,
    max: 1_000_000,
    fallback: 1000,
    prose:
      'Answers a second, a shard, to first datagrams that make no connection: CONNECTION_REFUSED and Version Negotiation. Beyond it such datagrams are dropped.',
  }),
});

export const drain = section('The end of a process after SIGTERM or SIGINT.', {
  timeout: duration({ min: '0', max: '24h', fallback: '30s', prose: 'How long open exchanges may go on.' }),
  delay: duration({
    min: '0',
    max: '1h',
    fallback: '0',
    prose: 'Pause between readiness turning false and GOAWAY, so that load balancers notice first.',
  }),
});

export const reload = section('Changes of the configuration while the edge runs.', {
  watch: flag({
    fallback: false,
    prose:
      'The file, and what it includes, is looked at once a second, and reloaded when it is another one: renamed into its place, or behind a symbolic link that points elsewhere. Without it a reload is asked for by SIGHUP, `lychgate reload` or the admin API.',
  }),
});
