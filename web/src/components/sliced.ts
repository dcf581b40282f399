import { startTransition, useEffect, useState } from 'react';

/**
 * True from a transition after it is there: a query's answer alone is rendered in one piece, and until then the page
 * takes neither click nor key; a transition is rendered in slices of some milliseconds.
 */
export function useSliced(isThere: boolean): boolean {
  const [isIn, setIn] = useState(isThere);
  useEffect(() => {
    if (isThere) startTransition(() => setIn(true));
  }, [isThere]);
  return isIn && isThere;
}
