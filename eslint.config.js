import boundaries from 'eslint-plugin-boundaries';
import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import tseslint from 'typescript-eslint';

/** Who may import whom: README, "Find your way". Everything not listed is refused. */
const LAYERS = {
  random: [],
  kernels: [],
  model: ['kernels', 'random'],
  envs: ['random'],
  rl: ['kernels', 'model', 'envs', 'random'],
  demo: ['kernels', 'model', 'envs', 'rl', 'random'],
  cli: ['kernels', 'model', 'envs', 'rl', 'random'],
};

export default tseslint.config(
  { ignores: ['dist', 'node_modules', 'bench/node_modules', '.cache', 'starters', 'environments', 'tests/oracle'] },
  ...tseslint.configs.recommendedTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  ...svelte.configs.recommended,
  {
    languageOptions: {
      globals: { ...globals.browser, ...globals.node },
      parserOptions: {
        project: ['./tsconfig.json', './bench/tsconfig.json'],
        extraFileExtensions: ['.svelte'],
      },
    },
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off', // indexing typed arrays inside known bounds
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': 'off',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/no-unnecessary-condition': 'off',
      '@typescript-eslint/prefer-nullish-coalescing': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/consistent-indexed-object-style': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': ['error', { allow: ['table'] }],
    },
  },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: tseslint.parser } },
  },
  {
    plugins: { boundaries },
    files: ['src/**/*.ts', 'demo/**/*.ts', 'demo/**/*.svelte', 'cli/**/*.ts'],
    settings: {
      'import/resolver': { node: { extensions: ['.ts', '.js', '.svelte'] } },
      'boundaries/include': ['src/**/*', 'demo/**/*', 'cli/**/*'],
      'boundaries/ignore': ['src/index.ts'], // the library's door: re-exports every layer
      'boundaries/elements': [
        ...['random', 'kernels', 'model', 'envs', 'rl'].map((type) => ({ type, pattern: `src/${type}` })),
        ...['demo', 'cli'].map((type) => ({ type, pattern: type })),
      ],
    },
    rules: {
      'boundaries/no-unknown-files': 'error',
      'boundaries/dependencies': [
        'error',
        {
          default: 'disallow',
          policies: [
            ...Object.entries(LAYERS).map(([from, allowed]) => ({
              from: { element: { type: from } },
              allow: [from, ...allowed].map((type) => ({ to: { element: { type } } })),
            })),
            // The one thing that models know of environments: the type ChatModel and what it speaks of.
            {
              from: { element: { type: 'model' } },
              allow: [{ to: { element: { type: 'envs' } }, dependency: { kind: 'type' } }],
            },
          ],
        },
      ],
    },
  },
  {
    // Pages and commands enter a layer by its index.
    files: ['demo/**/*.ts', 'demo/**/*.svelte', 'cli/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        { patterns: [{ regex: '/src/[^/]+/.+', message: "Import the folder's index." }] },
      ],
    },
  },
  { files: ['**/*.js', '**/*.mjs'], ...tseslint.configs.disableTypeChecked },
);
