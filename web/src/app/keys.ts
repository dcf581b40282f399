import { useEffect, useRef } from 'react';
import { useRefreshControl } from './refresh';

const WAIT_MS = 1_200;

/** Whether somebody is writing: keys are letters then. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName));
}

type Actions = { palette: () => void; help: () => void; go: (key: string) => void };

/** The keys that work everywhere: ⌘K, ?, g + letter, . */
export function useKeys(actions: Actions) {
  const { isPaused, setPaused } = useRefreshControl();
  const latest = useRef({ actions, isPaused, setPaused });
  latest.current = { actions, isPaused, setPaused };
  useEffect(() => {
    let wentAt = 0;
    const hear = (event: KeyboardEvent) => {
      const { actions, isPaused, setPaused } = latest.current;
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        actions.palette();
        return;
      }
      if (event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target)) return;
      if (Date.now() - wentAt < WAIT_MS) {
        wentAt = 0;
        actions.go(event.key);
      } else if (event.key === 'g') wentAt = Date.now();
      else if (event.key === '?') actions.help();
      else if (event.key === '.') setPaused(!isPaused);
      else if (event.key === '/') {
        const box = document.querySelector<HTMLInputElement>('[data-search] input, input[data-search]');
        if (box) {
          event.preventDefault();
          box.focus();
        }
      }
    };
    addEventListener('keydown', hear);
    return () => removeEventListener('keydown', hear);
  }, []);
}
