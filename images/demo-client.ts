// The image of the demo's application: the operator's base (Node and the production modules) with other sources.
import { join } from 'node:path';
import { copiedFile, copiedFolder, type Entry, type ImageSettings } from './archive.ts';
import { operatorSettings } from './operator.ts';

const MAIN = 'demo/client/main.ts';

export function demoClientSourceEntries(checkout: string): Entry[] {
  return [
    ...copiedFolder(join(checkout, 'demo/client'), 'app/demo/client'),
    copiedFile('app/package.json', join(checkout, 'package.json')),
  ];
}

export function demoClientSettings(checkout: string): ImageSettings {
  const operator = operatorSettings(checkout);
  return {
    ...operator,
    Entrypoint: [...operator.Entrypoint.slice(0, -1), `/app/${MAIN}`],
    ExposedPorts: { '8081/tcp': {} },
    Labels: { ...operator.Labels, 'org.opencontainers.image.title': 'poolsmith-demo-client' },
  };
}
