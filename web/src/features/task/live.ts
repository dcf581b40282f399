import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { stream } from '../../api/stream';
import { isOver, type TaskShown } from '../../api/tasks';

export type Live = { text: string; isMissing: boolean };

const AGAIN_MS = 1_500;

/** The task's answer as it is written, and its changes as they happen; opened again when the line breaks. */
export function useLiveTask(id: number, isOn: boolean): Live {
  const queries = useQueryClient();
  const [live, setLive] = useState<Live>({ text: '', isMissing: false });
  useEffect(() => {
    if (!isOn) return;
    const stop = new AbortController();
    let attempt = 0;
    const follow = async () => {
      while (!stop.signal.aborted) {
        try {
          for await (const { event, data } of stream(`/api/v1/tasks/${id}/events`, { signal: stop.signal })) {
            if (event === 'delta') {
              const piece = data as { attempt: number; text: string };
              const isNew = piece.attempt !== attempt;
              attempt = piece.attempt;
              setLive((before) => (isNew ? { text: piece.text, isMissing: false } : { ...before, text: before.text + piece.text }));
            } else if (event === 'missed') setLive((before) => ({ ...before, isMissing: true }));
            else if (event === 'status') {
              const { status } = data as { status: TaskShown['status'] };
              queries.setQueryData<TaskShown>(['task', id], (before) => (before && !isOver(before.status) ? { ...before, status } : before));
            } else if (event === 'done') {
              queries.setQueryData(['task', id], data);
              void queries.invalidateQueries({ queryKey: ['attempts', id] });
              return;
            }
          }
        } catch {
          // The list and the task itself say when the server is away.
        }
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    };
    void follow();
    return () => stop.abort();
  }, [id, isOn, queries]);
  return live;
}
