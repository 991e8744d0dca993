import { Button } from '@mantine/core';
import { useState } from 'react';

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState<string>();
  // The clipboard needs a secure context.
  if (!navigator.clipboard) return null;
  return (
    <Button size="compact-xs" variant="default" onClick={() => void navigator.clipboard.writeText(text).then(() => setCopied(text), () => undefined)}>
      {copied === text ? 'Copied' : label}
    </Button>
  );
}
