import { createContext, useContext, useMemo, useState, type ReactNode } from 'react';

/** How often lists and figures are asked for again, in seconds; 0 = only when told to. */
export const EVERY_S = [1, 2, 5, 10, 30, 60] as const;

const KEY = 'llms.refresh';
const DEFAULT_S = 5;

type Refresh = { everyS: number; isPaused: boolean; setEveryS: (seconds: number) => void; setPaused: (isPaused: boolean) => void };
const Context = createContext<Refresh>({ everyS: DEFAULT_S, isPaused: false, setEveryS: () => undefined, setPaused: () => undefined });

export const useRefreshControl = () => useContext(Context);

/** Options for a query that stays current. Paused means paused: also when the window comes back into focus. */
export function useLive(atLeastS = 0) {
  const { everyS, isPaused } = useContext(Context);
  return useMemo(
    () => ({
      refetchInterval: isPaused ? (false as const) : Math.max(everyS, atLeastS) * 1000,
      refetchOnWindowFocus: !isPaused,
      refetchOnReconnect: !isPaused,
    }),
    [everyS, isPaused, atLeastS],
  );
}

export function RefreshProvider({ children }: { children: ReactNode }) {
  const [everyS, setSeconds] = useState(() => Number(localStorage.getItem(KEY)) || DEFAULT_S);
  const [isPaused, setPaused] = useState(false);
  const value = useMemo(
    () => ({
      everyS,
      isPaused,
      setPaused,
      setEveryS: (seconds: number) => {
        localStorage.setItem(KEY, String(seconds));
        setSeconds(seconds);
      },
    }),
    [everyS, isPaused],
  );
  return <Context value={value}>{children}</Context>;
}
