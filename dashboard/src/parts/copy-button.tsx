import { Button } from '@mantine/core';
import { useState } from 'react';

/** `name` is for people who hear the page, where the label alone does not name the value. */
export function CopyButton({ text, label, name = label }: { text: string; label: string; name?: string }) {
  const [copied, setCopied] = useState<string>();
  // The clipboard needs a secure context.
  if (!navigator.clipboard) return null;
  const done = copied === text;
  return (
    <Button size="compact-xs" variant="default" aria-label={done ? 'Copied' : name} onClick={() => void navigator.clipboard.writeText(text).then(() => setCopied(text), () => undefined)}>
      {done ? 'Copied' : label}
    </Button>
  );
}
