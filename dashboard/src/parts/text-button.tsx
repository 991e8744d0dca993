import type { ButtonHTMLAttributes } from 'react';
import { classes } from '../classes';
import styles from './text-button.module.css';

type TextButtonProps = ButtonHTMLAttributes<HTMLButtonElement> & { tone?: 'accent' | 'inherit' };

/** A button that looks like a link. */
export function TextButton({ tone = 'accent', className, ...rest }: TextButtonProps) {
  return <button type="button" {...rest} className={classes(styles.button, tone === 'inherit' && styles.inherit, className)} />;
}
