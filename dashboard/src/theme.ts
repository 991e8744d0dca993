// Mantine's settings; the look of the page's own parts is in style.css.

import { createTheme, localStorageColorSchemeManager, type MantineColorsTuple } from '@mantine/core';

// The key is also read by public/scheme.js before the first paint.
export const schemeManager = localStorageColorSchemeManager({ key: 'gatelens-scheme' });

const teal: MantineColorsTuple = [
  '#e6f6f4', '#cfebe7', '#a0d6cf', '#6dc0b6', '#44aea2', '#2aa395', '#16958a', '#0c7c74', '#04665f', '#004f4a',
];

export const theme = createTheme({
  primaryColor: 'teal',
  primaryShade: { light: 7, dark: 5 },
  autoContrast: true,
  colors: { teal },
  defaultRadius: 'sm',
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace',
  cursorType: 'pointer',
  respectReducedMotion: true,
});
