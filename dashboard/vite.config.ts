import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// The development server passes the API through to an ingest, or to `npm run mock`.
const api = 'http://127.0.0.1:4318';

export default defineConfig({
  plugins: [react()],
  css: {
    modules: {
      // Readable and stable, such as `request-list-row`, and `figure` in figure.module.css. A test checks that they are unique.
      generateScopedName: (name, path) => {
        const file = path.replace(/^.*[/\\]|\.module\.css.*$/g, '');
        return file === name ? name : `${file}-${name}`;
      },
    },
  },
  build: {
    target: 'es2022',
    // Small images inlined as `data:` would be one more source for the served policy to allow.
    assetsInlineLimit: 0,
    reportCompressedSize: true,
    // Views load when they are shown. A test limits what the first one weighs compressed.
    chunkSizeWarningLimit: 800,
    // The order of rules is that of `main.tsx`, whichever view is shown first.
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
  },
  // The ingest compares `Origin` with `Host`, so the browser's host must reach it.
  server: { proxy: { '/api': { target: api, changeOrigin: false } } },
});
