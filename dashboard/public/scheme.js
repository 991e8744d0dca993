// Sets the colour scheme before the first paint. A file of its own, because the served policy allows no inline script.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem('gatelens-scheme');
  } catch {
    // Storage may be denied; then the system's scheme holds.
  }
  const dark = chosen === 'dark' || (chosen !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.setAttribute('data-mantine-color-scheme', dark ? 'dark' : 'light');
})();
