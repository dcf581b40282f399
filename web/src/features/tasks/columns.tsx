import { Space, Tag, Typography } from 'antd';
import type { TableColumnType } from 'antd';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import type { TaskShown } from '../../api/tasks';
import { Moment, Priority, StatusTag } from '../../components/basics';
import { useFormat } from '../../components/format';

export const COLUMNS = ['id', 'status', 'model', 'type', 'priority', 'attempt', 'wait', 'ran', 'tokens', 'cost', 'created', 'completed', 'error', 'metadata'] as const;
export type ColumnName = (typeof COLUMNS)[number];
export const DEFAULT_COLUMNS: ColumnName[] = ['id', 'status', 'model', 'priority', 'attempt', 'wait', 'ran', 'tokens', 'cost', 'created'];
/** What a hand's width holds without scrolling sideways; the newest is first anyway. */
export const PHONE_COLUMNS: ColumnName[] = ['id', 'status', 'model'];

const between = (from: string | null, to: string | null) => (from && to ? new Date(to).getTime() - new Date(from).getTime() : null);

/** How long it waited for its last start, or waits by now. */
export const waitedMs = (task: TaskShown, now = Date.now()) => between(task.queued_at, task.started_at ?? (task.status === 'queued' ? new Date(now).toISOString() : null));
export const ranMs = (task: TaskShown, now = Date.now()) => between(task.started_at, task.completed_at ?? (task.status === 'running' ? new Date(now).toISOString() : null));

export function useColumns(shown: readonly ColumnName[]): TableColumnType<TaskShown>[] {
  const { t } = useTranslation('tasks');
  const format = useFormat();
  return useMemo(() => {
    const right = { align: 'right' as const, className: 'num' };
    const duration = (ms: number | null) => (ms === null || ms < 0 ? '–' : format.duration(ms));
    const all: Record<ColumnName, TableColumnType<TaskShown>> = {
      id: { width: 84, fixed: 'left', render: (_, { id }) => <Link to={`/tasks/${id}`} className="num">{id}</Link> },
      status: { width: 104, render: (_, { status }) => <StatusTag status={status} /> },
      model: { width: 116, ellipsis: true, render: (_, { model }) => model },
      type: { width: 100, ellipsis: true, render: (_, { type }) => type },
      priority: { width: 92, render: (_, { priority }) => <Priority value={priority} /> },
      attempt: { width: 96, ...right, render: (_, { attempt, failures }) => (failures ? <Typography.Text type="warning">{attempt}</Typography.Text> : attempt) },
      wait: { width: 84, ...right, render: (_, task) => duration(waitedMs(task)) },
      ran: { width: 84, ...right, render: (_, task) => duration(ranMs(task)) },
      tokens: { width: 78, ...right, render: (_, { usage }) => (usage.total_tokens ? format.number(usage.total_tokens) : '–') },
      cost: { width: 100, ...right, render: (_, { cost_microusd }) => (cost_microusd ? format.money(cost_microusd) : '–') },
      created: { width: 142, render: (_, { created_at }) => <Moment at={created_at} /> },
      completed: { width: 142, render: (_, { completed_at }) => <Moment at={completed_at} /> },
      error: { width: 220, ellipsis: true, render: (_, { error }) => (error ? <Typography.Text type="danger">{error.code}</Typography.Text> : '–') },
      metadata: { width: 200, ellipsis: true, render: (_, { metadata }) => <Space size={4}>{Object.entries(metadata).map(([key, value]) => <Tag key={key}>{key}={value}</Tag>)}</Space> },
    };
    return shown.map((name) => ({ ...all[name], key: name, title: t(`column.${name}`) }));
  }, [shown, t, format]);
}
