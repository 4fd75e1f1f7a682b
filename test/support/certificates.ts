// A throw-away certificate authority for TLS tests, made by the machine's own openssl.
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** PEM texts and the files that hold them. */
export type Certificate = Readonly<{ certificate: string; key: string; certificateFile: string; keyFile: string }>;

/** `hosts` are names or addresses; a user name as `commonName` makes a client certificate for PostgreSQL's `cert` method. */
export type CertificateRequest = Readonly<{ commonName: string; hosts?: readonly string[]; days?: number }>;

export type Authority = Certificate & Readonly<{ issue: (request: CertificateRequest) => Promise<Certificate> }>;

/** Makes a self-signed authority in `folder` (created when missing); certificates it issues land there too. */
export async function makeAuthority(folder: string, commonName = 'test authority'): Promise<Authority> {
  await mkdir(folder, { recursive: true });
  const place = files(folder, 'ca');
  await openssl(
    [
      'req',
      '-x509',
      ...newKey(place.keyFile),
      '-subj',
      `/CN=${commonName}`,
      '-days',
      '2',
      '-out',
      place.certificateFile,
    ],
    ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
  );
  let serial = 0;
  const issue = async (request: CertificateRequest): Promise<Certificate> => {
    serial += 1;
    const issued = files(folder, `${request.commonName.replace(/[^\w.-]/g, '_')}-${serial}`);
    const requestFile = `${issued.certificateFile}.csr`;
    const extensionsFile = `${issued.certificateFile}.ext`;
    const hosts = request.hosts ?? [];
    const names = hosts.map((host) => `${isIP(host) === 0 ? 'DNS' : 'IP'}:${host}`).join(',');
    const extensions = ['basicConstraints=CA:FALSE', ...(names === '' ? [] : [`subjectAltName=${names}`])];
    await writeFile(extensionsFile, `${extensions.join('\n')}\n`);
    await openssl(['req', ...newKey(issued.keyFile), '-subj', `/CN=${request.commonName}`, '-out', requestFile]);
    await openssl(
      [
        'x509',
        '-req',
        '-in',
        requestFile,
        '-CA',
        place.certificateFile,
        '-CAkey',
        place.keyFile,
        '-out',
        issued.certificateFile,
      ],
      [
        '-set_serial',
        String(Date.now() * 1000 + serial),
        '-days',
        String(request.days ?? 2),
        '-extfile',
        extensionsFile,
      ],
    );
    return await read(issued);
  };
  return { ...(await read(place)), issue };
}

type Files = Readonly<{ certificateFile: string; keyFile: string }>;

function files(folder: string, name: string): Files {
  return { certificateFile: join(folder, `${name}.crt`), keyFile: join(folder, `${name}.key`) };
}

async function read(place: Files): Promise<Certificate> {
  return {
    ...place,
    certificate: await readFile(place.certificateFile, 'utf8'),
    key: await readFile(place.keyFile, 'utf8'),
  };
}

function newKey(file: string): string[] {
  return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file];
}

async function openssl(...parts: readonly (readonly string[])[]): Promise<void> {
  await run('openssl', parts.flat());
}
