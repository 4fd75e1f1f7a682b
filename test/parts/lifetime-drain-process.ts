// A process of its own that drains pools by lifetime, so that a test can kill it in the middle: `PORT TARGETS FROM`, the last two as JSON.
import { ADMIN_USER } from '../../src/model/reserved-names.ts';
import { AdminConsole } from '../../src/pgbouncer/console.ts';
import { drainToSize } from '../../src/pgbouncer/lifetime-drain.ts';
import type { Sizes } from '../../src/model/pooler-model.ts';
import { HOST, KEYS } from './rendered-pooler.ts';

const [port, targets = '{}', fromSizes = '{}'] = process.argv.slice(2);
const console = new AdminConsole({
  address: { host: HOST, port: Number(port) },
  user: ADMIN_USER,
  password: KEYS.adminPassword,
});
await drainToSize(console, {
  targets: JSON.parse(targets) as Sizes,
  fromSizes: JSON.parse(fromSizes) as Sizes,
  alone: true,
  deadlineMs: 60_000,
});
await console.close();
