import { useCallback, useRef, useState } from 'react';
import { body } from '../../api/client';
import { postTasks, postTasksTaskIdCancel, type TaskBody } from '../../api/gen';
import { problemOf } from '../../api/problem';
import { stream } from '../../api/stream';
import { isOver, type TaskShown } from '../../api/tasks';

export type Turn = {
  key: number;
  role: 'user' | 'assistant';
  text: string;
  taskId?: number;
  status?: TaskShown['status'];
  position?: number | null;
  task?: TaskShown;
  error?: string;
};

const AGAIN_MS = 1_000;

/** A conversation whose answers come through the queue. */
export function useChat() {
  const [turns, setTurns] = useState<Turn[]>([]);
  const [isBusy, setBusy] = useState(false);
  const stop = useRef<AbortController>(null);
  const keys = useRef(0);
  const change = (key: number, part: Partial<Turn> | ((turn: Turn) => Partial<Turn>)) =>
    setTurns((before) => before.map((turn) => (turn.key === key ? { ...turn, ...(typeof part === 'function' ? part(turn) : part) } : turn)));

  const follow = async (id: number, key: number, signal: AbortSignal) => {
    let attempt = 0;
    while (!signal.aborted) {
      try {
        for await (const { event, data } of stream(`/api/v1/tasks/${id}/events`, { signal })) {
          if (event === 'delta') {
            const piece = data as { attempt: number; text: string };
            const isNew = piece.attempt !== attempt;
            attempt = piece.attempt;
            change(key, (turn) => ({ status: 'running', text: isNew ? piece.text : turn.text + piece.text }));
          } else if (event === 'status') change(key, { status: (data as { status: TaskShown['status'] }).status });
          else if (event === 'done') {
            const task = data as TaskShown;
            change(key, { task, status: task.status, text: task.output?.text ?? '', ...(task.error ? { error: task.error.message } : {}) });
            return;
          }
        }
      } catch (error) {
        if (signal.aborted) return;
        const { status, message } = problemOf(error);
        if (status >= 400 && status < 500) return change(key, { error: message });
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  };

  const send = useCallback(async (text: string, order: (turns: { role: string; content: string }[]) => TaskBody) => {
    const user: Turn = { key: ++keys.current, role: 'user', text };
    const answer: Turn = { key: ++keys.current, role: 'assistant', text: '', status: 'queued' };
    const said = [...turns.filter((turn) => !turn.error && turn.text), user].map(({ role, text: content }) => ({ role, content }));
    setTurns((before) => [...before, user, answer]);
    setBusy(true);
    stop.current = new AbortController();
    try {
      const task = await body(postTasks({ body: order(said), throwOnError: true }));
      if (!('id' in task)) return;
      change(answer.key, { taskId: task.id, status: task.status, position: task.queue_position });
      await follow(task.id, answer.key, stop.current.signal);
    } catch (error) {
      change(answer.key, { error: problemOf(error).message, status: 'failed' });
    } finally {
      setBusy(false);
    }
  }, [turns]);

  const cancel = async () => {
    const last = turns.at(-1);
    if (last?.taskId && last.status && !isOver(last.status)) await postTasksTaskIdCancel({ path: { task_id: last.taskId }, throwOnError: true }).catch(() => undefined);
    stop.current?.abort();
    if (last) change(last.key, { status: 'cancelled' });
  };

  const clear = () => {
    stop.current?.abort();
    setTurns([]);
  };
  const begin = (given: { role: 'user' | 'assistant'; text: string }[]) => setTurns(given.map((turn) => ({ ...turn, key: ++keys.current })));
  return { turns, isBusy, send, cancel, clear, begin };
}
