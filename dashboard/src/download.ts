/** Has the browser save a text, or what came as pieces, as a file. */
export function download(name: string, type: string, content: BlobPart): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser reads it after the click has been handled.
  window.setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
