// ESLint checks what the compiler does not: the rules of hooks and of React, all as errors, and unsafe types.

import reactHooks from 'eslint-plugin-react-hooks';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

const asErrors = (rules) => Object.fromEntries(Object.keys(rules).map((rule) => [rule, 'error']));

export default defineConfig(
  globalIgnores(['dist']),
  { linterOptions: { noInlineConfig: true } },
  {
    files: ['src/**/*.{ts,tsx}'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    plugins: { 'react-hooks': reactHooks },
    rules: asErrors(reactHooks.configs.flat['recommended-latest'].rules),
  },
  { files: ['**/*.{js,mjs}', 'vite.config.ts'], extends: [tseslint.configs.recommended] },
);
