// Lint rules: strict types everywhere, and the folder fences that keep the decision code pure.
import tseslint from 'typescript-eslint';

/** Folders whose modules decide and compute; they may not reach the outside world. */
const PURE = ['src/api', 'src/model', 'src/sizing', 'src/plan', 'src/render'];

const noPg = { name: 'pg', message: 'Only src/pgbouncer and src/postgres talk the PostgreSQL protocol.' };
const noKube = [
  { name: '@kubernetes/client-node', message: 'Only src/kube talks to the Kubernetes API.' },
  { name: 'undici', message: 'Only src/kube talks to the Kubernetes API.' },
];
const noIo = {
  group: [
    'node:*',
    '!node:crypto',
    '!node:assert',
    '!node:assert/strict',
    'pg',
    'undici',
    'winston',
    'prom-client',
    '@kubernetes/*',
    '**/kube/**',
    '**/pgbouncer/**',
    '**/postgres/**',
    '**/runtime/**',
    '**/controller/**',
    '**/telemetry/**',
  ],
  message: 'This folder is pure: observe in src/controller, decide here.',
};

export default tseslint.config(
  { ignores: ['node_modules', '.tools', 'build', 'coverage', 'src/api/poolconfig.gen.ts', 'eslint.config.js'] },
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-definitions': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/dot-notation': 'off',
      '@typescript-eslint/no-extraneous-class': 'off',
      '@typescript-eslint/prefer-nullish-coalescing': 'error',
      eqeqeq: 'error',
      'no-restricted-imports': ['error', { paths: [noPg, ...noKube] }],
    },
  },
  { files: ['src/kube/**'], rules: { 'no-restricted-imports': ['error', { paths: [noPg] }] } },
  { files: ['src/pgbouncer/**', 'src/postgres/**'], rules: { 'no-restricted-imports': ['error', { paths: noKube }] } },
  {
    files: PURE.map((folder) => `${folder}/**`),
    rules: {
      '@typescript-eslint/no-restricted-imports': ['error', { patterns: [{ ...noIo, allowTypeImports: false }] }],
      'no-restricted-globals': [
        'error',
        'setTimeout',
        'setInterval',
        'setImmediate',
        'process',
        'fetch',
        'performance',
        'Date',
      ],
      'no-restricted-properties': [
        'error',
        { object: 'Math', property: 'random', message: 'Decisions are deterministic.' },
      ],
    },
  },
  {
    files: ['test/**', 'demo/**', 'bench/**', 'images/**', 'scripts/**'],
    rules: {
      'no-restricted-imports': 'off',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-unused-expressions': 'off',
    },
  },
);
