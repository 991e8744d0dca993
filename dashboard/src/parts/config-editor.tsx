// A text area for a configuration that marks the position of an error without interrupting the typing.

import { useId, useImperativeHandle, useRef, type Ref } from 'react';
import styles from './config-editor.module.css';

export interface ConfigEditorProps {
  value: string;
  /** The part that is marked, as indexes into the text. */
  marked: { start: number; end: number } | undefined;
  /** Id of the element that explains the mark. */
  describedBy: string | undefined;
  onChange: (value: string) => void;
  ref: Ref<ConfigEditorHandle>;
}

export interface ConfigEditorHandle {
  /** Selects a part of the text and scrolls to it. */
  select: (place: { start: number; end: number }) => void;
}

/** A text area in which a part can be marked: the mark is drawn behind it, on the same text without colour. */
export function ConfigEditor({ value, marked, describedBy, onChange, ref }: ConfigEditorProps) {
  const id = useId();
  const area = useRef<HTMLTextAreaElement>(null);
  const behind = useRef<HTMLDivElement>(null);
  const follow = () => {
    const { scrollLeft = 0, scrollTop = 0 } = area.current ?? {};
    behind.current?.style.setProperty('transform', `translate(${-scrollLeft}px, ${-scrollTop}px)`);
  };
  useImperativeHandle(ref, () => ({
    select: ({ start, end }) => {
      const element = area.current;
      if (!element) return;
      element.focus();
      element.setSelectionRange(start, end);
      // Browsers do not scroll to a selection by themselves.
      const { fontFamily, fontSize, lineHeight } = getComputedStyle(element);
      const before = element.value.slice(0, start).split('\n');
      element.scrollTop = Math.max(0, (before.length - 4) * Number.parseFloat(lineHeight));
      element.scrollLeft = Math.max(0, widthOf(before.at(-1) ?? '', `${fontSize} ${fontFamily}`) - element.clientWidth / 2);
    },
  }));
  return (
    <div className={styles.field}>
      <label htmlFor={id}>Filter configuration</label>
      <div className={styles.editor}>
        <div className={styles.behind} aria-hidden="true">
          <div ref={behind}>
            {marked && (
              <>
                {value.slice(0, marked.start)}
                <mark>{value.slice(marked.start, marked.end)}</mark>
                {value.slice(marked.end)}
              </>
            )}
          </div>
        </div>
        <textarea
          id={id}
          ref={area}
          wrap="off"
          spellCheck={false}
          autoCapitalize="off"
          autoComplete="off"
          value={value}
          aria-invalid={describedBy !== undefined}
          aria-describedby={describedBy}
          onScroll={follow}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      </div>
    </div>
  );
}

/** In pixels, as the browser draws it. */
function widthOf(text: string, font: string): number {
  const context = document.createElement('canvas').getContext('2d');
  if (!context) return 0;
  context.font = font;
  return context.measureText(text).width;
}
