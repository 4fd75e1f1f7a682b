// No secret is told: a fleet whose every secret is a canary lives through bad days, and each is searched for wherever something is told.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { RESOURCES, type Pod } from '../../src/kube/resources.ts';
import { childNames } from '../../src/model/names.ts';
import { attempt, until } from '../cluster/processes.ts';
import { needlesOf, searched, type Hit, type Needle, type Place } from '../support/canary.ts';
import { CanaryFleet, nasty, USER_OF, word } from '../support/canary-fleet.ts';
import { processesOf, textOf } from '../support/container-process.ts';
import { CRASH, crashOperator } from '../support/crash.ts';
import { installOperator, operatorPods, poolsmith } from '../support/install.ts';
import { cluster, clusterAccess, kubectl } from '../support/kubectl.ts';
import { applyPool } from '../support/pool.ts';
import { poolPods } from '../support/pool-children.ts';
import { secretValues } from '../support/secret-values.ts';
import { closing, measured, POOL } from '../support/stage.ts';
import {
  KubernetesLogs,
  lastWords,
  mountedSecrets,
  OBJECTS,
  OWN_METADATA,
  secretObjects,
  told,
} from '../support/told.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

describe('a fleet whose every secret is a canary, with an operator at debug level', function () {
  this.timeout(150_000);
  const held = new AsyncDisposableStack();
  /** What is told only at a moment. */
  const moments: Place[] = [];
  let fleet: CanaryFleet;
  let namespace: string;
  let kubernetes: KubernetesLogs;
  let needles: readonly Needle[] = [];

  before(async () => {
    kubernetes = KubernetesLogs.now();
    held.defer(async () => {
      await installOperator();
    });
    await installOperator({ values: { logLevel: 'debug' } });
    await until('one operator', async () => (await operatorPods()).length === 1 || undefined, 60_000, 200);
    const folder = await mkdtemp(join(tmpdir(), 'poolsmith-leaks-'));
    held.defer(() => rm(folder, { recursive: true, force: true }));
    fleet = held.use(await CanaryFleet.prove(folder));
    namespace = fleet.namespace;
  });

  after(() => held.disposeAsync());

  async function operator(): Promise<Pod> {
    const [pod] = await operatorPods();
    assert.ok(pod);
    return pod;
  }

  async function everythingTold(): Promise<readonly Place[]> {
    return [...(await told(namespace, POOL, kubernetes)), fleet.versions, ...moments];
  }

  function hits(places: readonly Place[]): readonly Hit[] {
    return places.flatMap((place) => searched(place, needles));
  }

  it('has passwords rotated, with quotes, blanks and expansions in them', async () => {
    await fleet.changes(() => fleet.givePassword('orders-app', nasty()));
    await fleet.changes(() => fleet.givePassword('second', nasty()));
    await fleet.givePassword('monitor', nasty());
    await fleet.isWell();
    const login = { name: USER_OF.second, password: fleet.passwordOf('second') };
    await using connection = closing(await fleet.stage.client(login));
    await connection.client.query('SELECT 1');
  });

  for (const secret of ['orders-app', 'monitor'] as const)
    it(`is given a wrong password in the Secret ${secret}, which PostgreSQL refuses`, async () => {
      const right = fleet.passwordOf(secret);
      await fleet.giveSecret(secret, nasty());
      await fleet.tells('PasswordRefused');
      await fleet.giveSecret(secret, right);
      await fleet.isWell();
    });

  const unusable: readonly (readonly [string, () => string])[] = [
    ['ends with a newline', () => `${nasty()}\n`],
    ['has the form of an MD5 hash', () => `md5${createHash('md5').update(word()).digest('hex')}`],
    ['is a SCRAM secret that was cut off', () => `SCRAM-SHA-256$4096:${word()}$${word()}`],
  ];
  for (const [what, text] of unusable)
    it(`is given a password that ${what}`, async () => {
      const right = fleet.passwordOf('orders-app');
      await fleet.giveSecret('orders-app', text());
      await fleet.tells('SecretInvalid');
      await fleet.giveSecret('orders-app', right);
      await fleet.isWell();
    });

  it('is given a certificate with the key of another, and then a new one', async () => {
    await fleet.changes(async () => {
      await fleet.giveCertificate('key of another');
      await fleet.tells('CertificateInvalid');
      await fleet.giveCertificate();
    });
  });

  it('loses a user, and PostgreSQL for a moment', async () => {
    await fleet.changes(() => applyPool(fleet.pool('orders-app', 'scram')));
    await fleet.stage.postgres.stop();
    await fleet.tells('ServerUnreachable');
    await fleet.stage.postgres.start();
    await fleet.isWell();
  });

  it('loses a pod', async () => {
    const [victim] = await poolPods(namespace, POOL);
    assert.ok(victim);
    const kube = await cluster();
    const { name } = victim.metadata;
    const [text] = await lastWords(victim, () => kube.delete(RESOURCES.Pod, namespace, name));
    moments.push({ name: 'log of a pooler that is deleted', text });
    const isGone = async (): Promise<true | undefined> =>
      (await kube.find(RESOURCES.Pod, namespace, name)) === undefined || undefined;
    await until(`${name} to be gone`, isGone, 60_000);
    await fleet.isWell();
  });

  it('loses the Secret that only the operator reads, which makes another', async () => {
    const kube = await cluster();
    const { operatorSecret } = childNames(POOL);
    const { metadata } = await kube.get(RESOURCES.Secret, namespace, operatorSecret);
    await kube.delete(RESOURCES.Secret, namespace, operatorSecret);
    const isAnother = async (): Promise<true | undefined> => {
      const uid = (await kube.find(RESOURCES.Secret, namespace, operatorSecret))?.metadata.uid;
      return (uid !== undefined && uid !== metadata.uid) || undefined;
    };
    await until('another Secret of the operator', isAnother, 60_000);
    await fleet.isWell();
  });

  it('refuses clients that come with a wrong password, or with that of another', async () => {
    const guess = nasty();
    fleet.keep({ name: 'a guess', text: guess });
    const answers = [USER_OF['orders-app'], USER_OF.scram, USER_OF.second, 'nobody'].flatMap((name) =>
      [guess, fleet.passwordOf('monitor')].map((password) => fleet.stage.letIn({ name, password })),
    );
    const words = (await Promise.all(answers)).flat();
    assert.ok(words.length > 0 && !words.includes('let in'), words.join('\n'));
    moments.push({ name: `what clients of ${POOL} are told`, text: [POOL, ...words].join('\n') });
  });

  it('is planned and explained', async () => {
    const env = { ...process.env, KUBECONFIG: (await clusterAccess()).kubeconfig };
    const plans = [fleet.pool(), fleet.pool().withReplicas(3), fleet.pool().withUsers('orders-app', 'monitor', 'none')];
    const outputs = [await poolsmith(['explain', POOL, '-n', namespace])];
    for (const plan of plans)
      outputs.push(await attempt(process.execPath, [MAIN, 'plan', '-f', '-'], { env, input: stringify(plan.build()) }));
    const text = outputs.map(({ stdout, stderr }) => `${stdout}\n${stderr}`).join('\n');
    assert.match(text, /BLOCKED SecretMissing/);
    moments.push({ name: 'plan and explain', text });
  });

  for (const how of ['exception', 'abort'] as const)
    it(`has an operator that crashes with every secret in its hands (${how})`, async () => {
      const pod = await operator();
      const [main] = processesOf(pod);
      assert.ok(main);
      const token = textOf(`/proc/${main.pid}/root/var/run/secrets/kubernetes.io/serviceaccount/token`);
      const signature = token.split('.')[2] ?? '';
      fleet.keep({ name: 'token of the operator', text: token }, { name: 'its signature', text: signature });
      const core = /^Max core file size\s+(\S+)/m.exec(textOf(`/proc/${main.pid}/limits`))?.[1] ?? '?';
      const [words, { secrets, report }] = await lastWords(pod, () => crashOperator(pod.metadata.name, how));
      const atEnd = words.split('\n').filter((line) => !line.startsWith('{'));
      measured(`${secrets} secrets in its memory; ${report}; core files of at most ${core} bytes`);
      measured(`${atEnd.join('\n').length} bytes on its way out`);
      assert.ok(secrets > 5);
      assert.doesNotMatch(report, /true|report-/, 'a diagnostic report would be written');
      if (how === 'exception') assert.match(atEnd.join('\n'), new RegExp(`${CRASH}[^]*SecretText[^]*Client[^]*[*]{3}`));
      assert.match(words, /"level":"debug"/);
      moments.push({ name: `log of the operator until it crashes (${how})`, text: words });
      const restarts = ({ status }: Pod): number => status?.containerStatuses?.[0]?.restartCount ?? 0;
      const isBack = async (): Promise<true | undefined> => {
        const now = await operator();
        return (restarts(now) > restarts(pod) && now.status?.containerStatuses?.[0]?.ready === true) || undefined;
      };
      await until('the operator to be back', isBack, 60_000, 200);
      await fleet.changes(() => fleet.givePassword('orders-app', nasty()));
    });

  it('has told none of its secrets anywhere, in no form', async () => {
    needles = fleet.canaries.flatMap(needlesOf);
    const forms = new Set(needles.map(({ form }) => form)).size;
    measured(`${fleet.canaries.length} secrets in ${forms} forms: ${needles.length} texts to search for`);
    const places = await everythingTold();
    for (const { name, text, mentions = POOL } of places) {
      measured(`${name}: ${Buffer.byteLength(text)} bytes`);
      assert.ok(text.includes(mentions), `${name} does not mention ${mentions}`);
    }
    const leaks = hits(places).map(({ place, canary, form, after }) => `${place}: ${canary}, ${form}, after ${after}`);
    assert.deepEqual(leaks, []);
  });

  it('has them found by the same search in the Secrets, and in the files made from them', async () => {
    const present = (await secretValues(namespace)).map(({ text }) => text);
    const names = fleet.canaries.filter(({ text }) => present.includes(text)).map(({ name }) => name);
    const inSecrets = new Set(hits([await secretObjects(namespace)]).map(({ canary }) => canary));
    assert.deepEqual(
      names.filter((name) => !inSecrets.has(name)),
      [],
    );
    const inFiles = new Set(hits([await mountedSecrets(namespace, POOL)]).map(({ canary }) => canary));
    measured(`${names.length} of them are in the Secrets now, and found; ${inFiles.size} in the files of the poolers`);
    for (const part of ['poolsmith-admin', 'poolsmith-proof', 'orders-app/password', 'of its key', 'SCRAM'])
      assert.ok(
        [...inFiles].some((name) => name.includes(part)),
        `${part} is not found: ${[...inFiles].join()}`,
      );
  });

  it('has one found by the same search in each form, where it was told on purpose and only there', async () => {
    const canary = fleet.canaries.find(({ text }) => text === fleet.passwordOf('orders-app'));
    assert.ok(canary);
    const written = needlesOf(canary);
    const annotate = async (value: (text: string) => string | null): Promise<void> => {
      const annotations = Object.fromEntries(written.map(({ text }, at) => [`told/${at}`, value(text)]));
      const patch = JSON.stringify({ metadata: { annotations } });
      await kubectl(['patch', 'poolconfig', '-n', namespace, POOL, '--type=merge', '-p', patch]);
    };
    await annotate((text) => text);
    const found = hits(await everythingTold());
    await annotate(() => null);
    const expected = [OWN_METADATA, OBJECTS].flatMap((place) => written.map(({ form }) => [place, canary.text, form]));
    const textOfCanary = new Map(needles.map((needle) => [needle.canary, canary.text]));
    assert.deepEqual(
      found.map(({ place, canary: name, form }) => [place, textOfCanary.get(name), form]),
      expected,
    );
    measured(`one secret told in ${written.length} texts is found in each of them`);
    assert.deepEqual(hits(await everythingTold()), []);
  });
});
