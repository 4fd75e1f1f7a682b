// A fleet on paper with a certificate from a Secret, towards clients or towards PostgreSQL: what is stored of it, and which pod was told of which.
import type { Condition, PoolConfigSpec } from '../../src/api/poolconfig.gen.ts';
import { storedFiles } from '../../src/plan/children.ts';
import type { Certificate } from './certificates.ts';
import { secret } from './observation.ts';
import { PaperFleet } from './paper-fleet.ts';

export type CertificateUse = {
  /** Names the Secret. */
  readonly spec: Partial<PoolConfigSpec>;
  readonly secretName: string;
  /** The line of live.ini and boot.ini that names the file. */
  readonly line: 'client_tls_cert_file' | 'server_tls_cert_file';
  /** Begins the names of its files in the mounted Secret. */
  readonly prefix: 'client-' | 'server-';
};

export class CertifiedFleet extends PaperFleet {
  readonly #use: CertificateUse;

  constructor(use: CertificateUse, spec: Partial<PoolConfigSpec> = { fleet: { replicas: 3 } }) {
    super(spec);
    this.#use = use;
    // Certificates are made now.
    this.nowMs = Date.now();
  }

  /** At rest with this certificate. */
  static settled(use: CertificateUse, certificate: Certificate): CertifiedFleet {
    const fleet = new CertifiedFleet(use);
    fleet.give(certificate);
    fleet.edit(use.spec);
    fleet.settle();
    return fleet;
  }

  give({ certificate, key }: Pick<Certificate, 'certificate' | 'key'>): void {
    this.secrets.set(this.#use.secretName, secret({ 'tls.crt': certificate, 'tls.key': key }));
  }

  take(turns: number): void {
    for (let turn = 0; turn < turns; turn += 1) this.turn();
  }

  /** The file that each pod was told of. */
  told(): readonly (string | undefined)[] {
    return this.pods.map(({ live }) => this.fileIn(live));
  }

  bootFile(): string | undefined {
    return this.fileIn((this.children.get('ConfigMap/orders-pooler')?.['data'] as Record<string, string>)['boot.ini']);
  }

  /** Its files in the mounted Secret. */
  stored(): readonly string[] {
    const own = new RegExp(`^${this.#use.prefix}[0-9a-f]{12}[.]`);
    return [...storedFiles(this.observe()).names].filter((name) => own.test(name)).sort();
  }

  condition(type: string): Condition | undefined {
    return this.pool.status?.conditions?.find((condition) => condition.type === type);
  }

  /** The file that a live.ini or boot.ini names. */
  fileIn(text: string | undefined): string | undefined {
    return new RegExp(`^${this.#use.line} = .*/(.+)$`, 'm').exec(text ?? '')?.[1];
  }
}
