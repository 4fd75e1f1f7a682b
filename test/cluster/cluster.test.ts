// The test cluster itself: it runs pods, survives any kill, and leaves nothing on the machine.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { Resolver } from 'node:dns/promises';
import { createServer, connect as connectTcp } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { isHealthy } from './cluster.ts';
import { layoutOf } from './layout.ts';
import { leftovers } from './leftovers.ts';
import { firstProcess, insideCommand } from './namespace.ts';
import { attempt, isAlive, kill, run, systemEnv, until } from './processes.ts';
import { PAUSE_IMAGE, pauseArchive, programFile } from './programs.ts';

const PORT = 8080;
const layout = layoutOf('selftest');
const env = { ...process.env, POOLSMITH_CLUSTER: 'selftest', KUBECONFIG: layout.kubeconfig };
const main = join(import.meta.dirname, 'main.ts');

const cluster = (...args: string[]): Promise<string> => run(process.execPath, [main, ...args], { env });
const kubectl = (...args: string[]): Promise<string> => run(programFile('kubectl'), args, { env });

/** Answers every connection with one word. */
const SERVER = `require('node:net').createServer((s) => s.end('served')).listen(${PORT}, '0.0.0.0', () => console.log('ready'))`;

/** The JavaScript of a client that prints what it reads from an address. */
const client = (host: string, port: number): string =>
  `require('node:net').connect(${port}, '${host}').setTimeout(3000, function () { this.destroy(new Error('silence')) }).pipe(process.stdout)`;

const API_VERSION = `require('node:https').get('https://${layout.apiServiceAddress}/version', { rejectUnauthorized: false }, (r) => r.pipe(process.stdout))`;

/** The command line of a Node script in a pod's network: the pod itself has nothing but the pause program. */
async function inPod(podIp: string, script: string): Promise<string[]> {
  const first = firstProcess(layout) ?? assert.fail('the cluster has no first process');
  const inside = (...command: string[]): Promise<string> =>
    run('nsenter', insideCommand(first, command), { env: systemEnv() });
  for (const line of (await inside('ip', 'netns', 'list')).trim().split('\n')) {
    const [name = ''] = line.split(' ');
    const addresses = await inside('ip', '-n', name, '-4', '-o', 'address');
    if (addresses.includes(` ${podIp}/`)) {
      return insideCommand(first, ['ip', 'netns', 'exec', name, process.execPath, '-e', script]);
    }
  }
  return assert.fail(`no network namespace has ${podIp}`);
}

type AuditEvent = Readonly<{
  level: string;
  stage: string;
  verb: string;
  user: { username: string };
  objectRef?: { resource?: string };
  requestObject?: unknown;
}>;

async function podIps(): Promise<[string, string]> {
  const [a, b] = (await kubectl('get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].status.podIP}')).split(' ');
  return [a ?? assert.fail('no pod has an address'), b ?? assert.fail('only one pod has an address')];
}

/** The machine's addresses on its real networks. */
function ownAddresses(): string[] {
  return Object.entries(networkInterfaces())
    .filter(([name]) => !name.startsWith('poolsmith') && name !== 'lo')
    .flatMap(([, addresses]) => addresses ?? [])
    .flatMap(({ family, address }) => (family === 'IPv4' ? [address] : []));
}

function readFrom(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connectTcp({ host, port, timeout: 3000 });
    socket.setEncoding('utf8').on('data', (part: string) => (text += part));
    socket.on('timeout', () => socket.destroy(new Error('silence')));
    socket.on('error', reject).on('end', () => {
      resolve(text);
    });
  });
}

describe('test cluster', function () {
  this.timeout(180_000);
  const servers: ChildProcess[] = [];

  before('takes down what an earlier run left', async function () {
    assert.equal(process.getuid?.(), 0, 'a cluster needs root');
    await cluster('down');
  });

  after(async () => {
    for (const server of servers) server.kill('SIGKILL');
    await cluster('down');
  });

  it('comes up with a node that is ready', async () => {
    await cluster('up');
    const nodes = await kubectl('get', 'nodes', '--no-headers');
    assert.match(nodes, /^poolsmith-selftest\s+Ready\s/);
    assert.match(await kubectl('version'), /Server Version: v1\.34\.4/);
  });

  it('says so and returns at once when it is up already', async () => {
    const first = firstProcess(layout);
    assert.match(await cluster('up'), /^cluster selftest is up already/);
    assert.equal(firstProcess(layout), first);
  });

  it('runs pods, with logs and exec', async () => {
    await kubectl('create', 'deployment', 'web', `--image=${PAUSE_IMAGE}`, '--replicas=2', `--port=${PORT}`);
    await kubectl('expose', 'deployment', 'web', '--port=80', `--target-port=${PORT}`);
    await kubectl('rollout', 'status', 'deployment', 'web', '--timeout=60s');
    assert.equal(await kubectl('logs', 'deployment/web'), 'pausing\n');
    assert.equal(await kubectl('exec', 'deployment/web', '--', '/pause', 'hello'), 'hello\n');
  });

  it('lets the machine reach pods, Services and the DNS', async () => {
    for (const ip of await podIps()) {
      const [program, args] = ['nsenter', await inPod(ip, SERVER)] as const;
      const server = spawn(program, args, { env: systemEnv(), stdio: ['ignore', 'pipe', 'inherit'] });
      servers.push(server);
      await once(server.stdout, 'data');
      assert.equal(await readFrom(ip, PORT), 'served');
    }
    const serviceIp = await kubectl('get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}');
    // kube-proxy follows the endpoints at most once a second.
    assert.equal(await until('the Service to answer', () => readFrom(serviceIp, 80), 5000), 'served');
    const resolver = new Resolver({ timeout: 1000, tries: 3 });
    resolver.setServers([layout.nodeAddress]);
    assert.deepEqual(await resolver.resolve4('web.default.svc.cluster.local'), [serviceIp]);
  });

  it('lets pods reach each other, Services, their own Service and the machine', async () => {
    const [one, other] = await podIps();
    const serviceIp = await kubectl('get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}');
    const fromPod = async (script: string): Promise<string> =>
      run('nsenter', await inPod(one, script), { env: systemEnv() });
    assert.equal(await fromPod(client(other, PORT)), 'served');
    // Ten connections choose both pods (but for one run in five hundred), so the way back to the same pod is among them.
    for (let i = 0; i < 10; i += 1) assert.equal(await fromPod(client(serviceIp, 80)), 'served');
    assert.match(await fromPod(API_VERSION), /"gitVersion": "v1\.34\.4"/);
    const server = createServer((socket) => socket.end(socket.remoteAddress ?? ''));
    server.listen(0, layout.hostAddress);
    await once(server, 'listening');
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    const seen = await fromPod(client(layout.hostAddress, address.port));
    assert.equal(seen, one, 'the machine sees the address of the pod itself');
    server.close();
  });

  it('keeps pods away from everything but the machine', async () => {
    const [one] = await podIps();
    // An address of the documentation range, and the machine's own way out of it.
    for (const address of ['198.51.100.1', ...ownAddresses()]) {
      const { code } = await attempt('nsenter', await inPod(one, client(address, PORT)), { env: systemEnv() });
      assert.notEqual(code, 0, address);
      assert.match(await cluster('exec', '--', 'sh', '-c', `ip route get ${address} 2>&1; true`), /unreachable/);
    }
  });

  it('imports images from docker-archives', async () => {
    assert.match(await cluster('import', pauseArchive(), pauseArchive()), /^importing 2 images … \d/);
  });

  it('works again after a restart of the API server', async () => {
    await cluster('restart', 'kube-apiserver');
    assert.match(await kubectl('get', 'pods', '-l', 'app=web', '--no-headers'), /Running/);
  });

  it('works again after a restart of the kubelet and of containerd, with the same pods', async () => {
    const before = await podIps();
    await cluster('restart', 'containerd');
    await cluster('restart', 'kubelet');
    assert.deepEqual(await podIps(), before);
    const exec = (): Promise<string> => kubectl('exec', 'deployment/web', '--', '/pause', 'still here');
    assert.equal(await until('the kubelet to know its pods', exec, 20_000), 'still here\n');
  });

  it('is not healthy while a component is stopped, and healthy when it is started again', async () => {
    await cluster('stop', 'kube-scheduler');
    assert.equal(await isHealthy(layout), false);
    await cluster('start', 'kube-scheduler');
    assert.equal(await isHealthy(layout), true);
  });

  it('has every request in its audit log, without what was in it', () => {
    const lines = readFileSync(layout.auditLog, 'utf8').trimEnd().split('\n');
    const events = lines.map((line) => JSON.parse(line) as AuditEvent);
    const created = events.find(
      ({ verb, objectRef, stage }) =>
        verb === 'create' && objectRef?.resource === 'deployments' && stage === 'ResponseComplete',
    );
    assert.equal(created?.user.username, 'admin');
    assert.ok(events.every((event) => event.level === 'Metadata' && event.requestObject === undefined));
  });

  it('ends with its first process, and comes up again', async () => {
    const first = firstProcess(layout) ?? assert.fail('the cluster has no first process');
    kill(first, 'SIGKILL');
    await until('the first process to end', () => (isAlive(first) ? undefined : true), 10_000);
    assert.notDeepEqual(await leftovers(layout), []);
    assert.match(await cluster('up'), /taking it down first/);
    assert.match(await kubectl('get', 'pods', '--no-headers', '--ignore-not-found', '-A'), /^$/);
  });

  it('comes up again after the kill of a component', async () => {
    const first = firstProcess(layout) ?? assert.fail('the cluster has no first process');
    await run('nsenter', insideCommand(first, ['sh', '-c', 'kill -9 $(pidof kube-controller-manager)']));
    await until(
      'the cluster to be found unhealthy',
      async () => ((await isHealthy(layout)) ? undefined : true),
      10_000,
    );
    assert.match(await cluster('up'), /taking it down first/);
  });

  it('leaves nothing on the machine', async () => {
    await cluster('down');
    assert.deepEqual(await leftovers(layout), []);
    assert.equal(existsSync(layout.folder), false);
    assert.match(await cluster('down'), /down already/);
  });

  const MOMENTS = {
    'its certificates': 'certificates/ca.key',
    'the supervisor': 'control.sock',
    'the API server': 'logs/audit.log',
  };
  for (const [moment, file] of Object.entries(MOMENTS)) {
    it(`comes up after a kill of up when ${moment} had just appeared`, async () => {
      const up = spawn(process.execPath, [main, 'up'], { env, stdio: 'ignore' });
      await until(file, () => (existsSync(join(layout.folder, file)) ? true : undefined), 60_000, 5);
      up.kill('SIGKILL');
      await once(up, 'exit');
      assert.notDeepEqual(await leftovers(layout), []);
      assert.match(await cluster('up'), /taking it down first/);
      await cluster('down');
      assert.deepEqual(await leftovers(layout), []);
    });
  }

  it('goes down after a kill of up in the middle', async () => {
    const up = spawn(process.execPath, [main, 'up'], { env, stdio: 'ignore' });
    await until('the supervisor', () => (existsSync(layout.control) ? true : undefined), 60_000, 5);
    up.kill('SIGKILL');
    await once(up, 'exit');
    await cluster('down');
    assert.deepEqual(await leftovers(layout), []);
  });
});
