// The demo's application: as many processes as WEB_CONCURRENCY says, their counters over HTTP and in the log.
import { fork, type ChildProcess } from 'node:child_process';
import { createServer } from 'node:http';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { emptyTally, sumTallies, type Tally } from './tally.ts';

const COUNTERS_PORT = 8081;
const LOG_EVERY_MS = 1_000;

type Message = Readonly<{ kind: 'tally'; tally: Tally }> | Readonly<{ kind: 'waiting'; reason: string }>;

/** A process of the application, and what it last said. A crashed one stays listed: its orders count. */
type Worker = { readonly child: ChildProcess; tally: Tally; isUp: boolean };

const wanted = Number(process.env['WEB_CONCURRENCY'] ?? 2);
const workers: Worker[] = [];
let bootRetries = 0;
let crashes = 0;
let waitingFor = '';
let isStopping = false;

function startWorker(): void {
  const env = { ...process.env, WORKER_NAME: `${hostname()}/${workers.length + 1}` };
  const child = fork(join(import.meta.dirname, 'worker.ts'), { env });
  const worker: Worker = { child, tally: emptyTally(), isUp: false };
  workers.push(worker);
  child.on('message', (message: Message) => {
    if (message.kind === 'waiting') {
      bootRetries += 1;
      waitingFor = message.reason;
      return;
    }
    worker.isUp = true;
    worker.tally = message.tally;
  });
  child.on('exit', (code, signal) => {
    worker.isUp = false;
    if (isStopping) return;
    crashes += 1;
    console.error(`process ${String(child.pid)} ended (${String(code ?? signal)}); starting another one`);
    startWorker();
  });
}

function counters(): object {
  const { pid } = process;
  return { pod: hostname(), pid, workers: upCount(), bootRetries, crashes, ...sumTallies(workers.map((w) => w.tally)) };
}

function upCount(): number {
  return workers.filter((worker) => worker.isUp).length;
}

const server = createServer((request, response) => {
  const isReady = upCount() === wanted;
  if (request.url === '/ready') response.writeHead(isReady ? 200 : 503).end(isReady ? 'ready\n' : `${waitingFor}\n`);
  else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(counters()));
}).listen(COUNTERS_PORT);

for (let count = 0; count < wanted; count += 1) startWorker();

const logging = setInterval(() => {
  const { done, failed, retried, unknown, longestMs, errors } = sumTallies(workers.map((worker) => worker.tally));
  const state = upCount() === wanted ? '' : `waiting: ${waitingFor} `;
  const facts = { done, failed, retried, unknown, longestMs: Math.round(longestMs), errors };
  console.log(`${state}${JSON.stringify(facts)}`);
}, LOG_EVERY_MS);

process.on('SIGTERM', () => {
  if (isStopping) return;
  isStopping = true;
  const ends = workers
    .filter(({ child }) => child.exitCode === null && child.signalCode === null)
    .map(
      ({ child }) =>
        new Promise((resolve) => {
          child.once('exit', resolve);
          child.kill('SIGTERM');
        }),
    );
  void Promise.all(ends).then(() => {
    clearInterval(logging);
    server.close();
    server.closeAllConnections();
    console.log(JSON.stringify(counters()));
  });
});
