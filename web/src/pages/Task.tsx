import { useQuery } from '@tanstack/react-query';
import { Alert, Card, Descriptions, Segmented, Space, Tabs, Tag, Typography } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useParams, useSearchParams } from 'react-router';
import { body } from '../api/client';
import { getTasksTaskIdAttempts, getTasksTaskIdLogs } from '../api/gen';
import { isOver, useTask, useTaskText, type TaskShown } from '../api/tasks';
import { useMay } from '../api/me';
import { useLive } from '../app/refresh';
import { Code, CopyButton, EmptyState, ErrorView, Loaded, Moment, PageHeader, Priority, StatusTag } from '../components/basics';
import { DataTable } from '../components/DataTable';
import { useFormat } from '../components/format';
import { Actions } from '../features/task/Actions';
import { useLiveTask, type Live } from '../features/task/live';
import { member, prettyJson } from '../features/task/lossless';
import { Timeline } from '../features/task/Timeline';
import { Why } from '../features/task/Why';
import { ranMs, waitedMs } from '../features/tasks/columns';
import { inputText } from '../features/tasks/payload';

const WAITING = new Set(['queued', 'scheduled', 'held', 'blocked']);

function Summary({ task }: { task: TaskShown }) {
  const { t } = useTranslation('task');
  const format = useFormat();
  const duration = (ms: number | null) => (ms === null || ms < 0 ? '–' : format.duration(ms));
  const when = (key: 'created' | 'queued' | 'started' | 'completed' | 'runAt' | 'deadline', at: string | null) => (at ? [{ key, label: t(`field.${key}`), children: <Moment at={at} /> }] : []);
  const items = [
    { key: 'model', label: t('field.model'), children: <Link to={`/models/${encodeURIComponent(task.model)}`}>{task.model}</Link> },
    { key: 'type', label: t('field.type'), children: task.type },
    { key: 'priority', label: t('field.priority'), children: <Priority value={task.priority} /> },
    ...(task.queue_position !== null ? [{ key: 'position', label: t('field.position'), children: format.number(task.queue_position + 1) }] : []),
    ...when('created', task.created_at),
    ...when('runAt', task.run_at),
    ...when('started', task.started_at),
    ...when('completed', task.completed_at),
    ...when('deadline', task.deadline_at),
    { key: 'wait', label: t('field.wait'), children: duration(waitedMs(task)) },
    { key: 'ran', label: t('field.ran'), children: duration(ranMs(task)) },
    { key: 'attempts', label: t('field.attempts'), children: t('field.attemptsOf', { attempt: task.attempt, failures: task.failures, max: task.max_retries }) },
    { key: 'tokens', label: t('field.tokens'), children: t('field.tokensOf', { in: format.number(task.usage.prompt_tokens), out: format.number(task.usage.completion_tokens) }) },
    { key: 'cost', label: t('field.cost'), children: format.money(task.cost_microusd) },
    ...(task.cache ? [{ key: 'cache', label: t('field.cache'), children: task.cache.hit && task.cache.task_id ? <Link to={`/tasks/${task.cache.task_id}`}>{t('field.cacheHit', { id: task.cache.task_id })}</Link> : t('field.cacheMiss') }] : []),
    ...(task.template ? [{ key: 'template', label: t('field.template'), children: task.template }] : []),
    ...(task.fallback ? [{ key: 'fallback', label: t('field.fallback'), children: `${task.fallback.from}${task.fallback.reason ? `: ${task.fallback.reason}` : ''}` }] : []),
    ...(Object.keys(task.metadata).length ? [{ key: 'metadata', label: t('field.metadata'), children: <Space wrap size={4}>{Object.entries(task.metadata).map(([key, value]) => <Tag key={key}>{key}={value}</Tag>)}</Space> }] : []),
    ...(task.dead_reason ? [{ key: 'dead', label: t('field.deadReason'), children: t(`dead.${task.dead_reason}`) }] : []),
  ];
  return <Card size="small"><Descriptions size="small" column={{ xs: 1, sm: 1, md: 2, xl: 3 }} items={items} /></Card>;
}

function Response({ task, live }: { task: TaskShown; live: Live }) {
  const { t } = useTranslation('task');
  const [kind, setKind] = useState<'text' | 'raw'>('text');
  const text = useTaskText(task.id, kind === 'raw');
  if (!task.output && live.text) {
    return (
      <Space orientation="vertical" style={{ width: '100%' }}>
        <Tag color="processing">{t('response.live')}</Tag>
        {live.isMissing && <Alert type="info" title={t('response.missed')} />}
        <div aria-live="polite"><Code text={live.text} label={t('response.text')} maxHeight={640} /></div>
      </Space>
    );
  }
  if (!task.output) return <EmptyState title={t('response.none')} />;
  const raw = text.data && member(member(text.data, 'output') ?? '{}', 'raw');
  return (
    <Space orientation="vertical" style={{ width: '100%' }}>
      <Segmented value={kind} onChange={setKind} options={[{ value: 'text', label: t('response.text') }, { value: 'raw', label: t('response.raw') }]} />
      {kind === 'text' ? <Code text={task.output.text ?? ''} label={t('response.text')} maxHeight={640} /> : <Loaded query={text}>{() => <Code text={prettyJson(raw ?? 'null')} label={t('response.raw')} maxHeight={640} />}</Loaded>}
    </Space>
  );
}

function RequestTab({ task }: { task: TaskShown }) {
  const { t } = useTranslation('task');
  const [kind, setKind] = useState<'text' | 'raw'>('text');
  const text = useTaskText(task.id, kind === 'raw');
  return (
    <Space orientation="vertical" style={{ width: '100%' }}>
      <Segmented value={kind} onChange={setKind} options={[{ value: 'text', label: t('response.text') }, { value: 'raw', label: 'JSON' }]} />
      {kind === 'text' ? <Code text={inputText(task.input ?? {})} label={t('tab.request')} maxHeight={640} /> : <Loaded query={text}>{(found) => <Code text={prettyJson(member(found, 'input') ?? 'null')} label={t('tab.request')} maxHeight={640} />}</Loaded>}
    </Space>
  );
}

function Logs({ id, isLive }: { id: number; isLive: boolean }) {
  const { t } = useTranslation('task');
  const live = useLive();
  const query = useQuery({ queryKey: ['logs', id], queryFn: ({ signal }) => body(getTasksTaskIdLogs({ path: { task_id: id }, signal, throwOnError: true })), ...live, refetchInterval: isLive ? live.refetchInterval : false });
  return (
    <Loaded query={query}>
      {({ items }) => (
        <DataTable
          size="small"
          pagination={false}
          rowKey={(line) => `${line.created_at}${line.message}`}
          dataSource={items}
          scroll={{ x: 420 }}
          locale={{ emptyText: <EmptyState title={t('logs.none')} /> }}
          columns={[
            { width: 150, render: (_, { created_at }) => <Moment at={created_at} /> },
            { width: 90, render: (_, { level }) => <Tag color={level === 'error' ? 'error' : level === 'warning' ? 'warning' : 'default'}>{level}</Tag> },
            { render: (_, { message, data }) => <span style={{ overflowWrap: 'anywhere' }}>{message} {data && <Typography.Text type="secondary" className="mono">{JSON.stringify(data)}</Typography.Text>}</span> },
          ]}
          showHeader={false}
        />
      )}
    </Loaded>
  );
}

export function Component() {
  const { t } = useTranslation('task');
  const { id = '' } = useParams();
  const number = Number(id);
  const [params, setParams] = useSearchParams();
  const may = useMay();
  const query = useTask(number);
  const task = query.data;
  const isLive = task !== undefined && !isOver(task.status);
  const live = useLiveTask(number, isLive);
  const attempts = useQuery({
    queryKey: ['attempts', number],
    enabled: task !== undefined,
    queryFn: ({ signal }) => body(getTasksTaskIdAttempts({ path: { task_id: number }, signal, throwOnError: true })),
    ...useLive(),
  });
  if (query.error && !task) return <ErrorView error={query.error} onRetry={() => void query.refetch()} />;
  if (!task) return <Loaded query={query}>{() => null}</Loaded>;
  const hidden = <Alert type="info" title={task.input ? t('response.gone') : may('payloads:read') ? t('response.gone') : t('response.hidden')} />;
  const tabs = [
    {
      key: 'summary',
      label: t('tab.summary'),
      children: (
        <div style={{ display: 'grid', gap: 12, gridTemplateColumns: 'minmax(0, 1fr)' }}>
          {task.error && <Alert type="error" showIcon title={`${task.error.code}${task.error.http_status ? ` (${task.error.http_status})` : ''}`} description={<span style={{ overflowWrap: 'anywhere' }}>{task.error.message}</span>} />}
          <Summary task={task} />
          {WAITING.has(task.status) && <Why id={task.id} />}
          <Timeline task={task} attempts={attempts.data?.items ?? []} now={Date.now()} />
        </div>
      ),
    },
    { key: 'request', label: t('tab.request'), children: task.input ? <RequestTab task={task} /> : hidden },
    { key: 'response', label: t('tab.response'), children: task.input || task.output ? <Response task={task} live={live} /> : hidden },
    ...(may('payloads:read') ? [{ key: 'logs', label: t('tab.logs'), children: <Logs id={task.id} isLive={isLive} /> }] : []),
  ];
  return (
    <>
      <PageHeader title={<Space wrap>{t('title', { id })}<CopyButton text={id} /><StatusTag status={task.status} /></Space>} extra={<Actions task={task} />} />
      <Tabs activeKey={tabs.find(({ key }) => key === params.get('tab'))?.key ?? 'summary'} onChange={(tab) => setParams(tab === 'summary' ? {} : { tab }, { replace: true })} items={tabs} />
    </>
  );
}
