import { Card, Tag, theme, Tooltip, Typography } from 'antd';
import { useTranslation } from 'react-i18next';
import type { AttemptShown } from '../../api/gen';
import type { TaskShown } from '../../api/tasks';
import { Moment } from '../../components/basics';
import { useFormat } from '../../components/format';

type Part = { key: string; kind: 'wait' | 'run'; from: number; to: number; attempt?: AttemptShown };

/** Waits and calls on one line of time. */
export function partsOf(task: TaskShown, attempts: AttemptShown[], now: number): Part[] {
  const parts: Part[] = [];
  let since = new Date(task.run_at && task.run_at > task.created_at ? task.run_at : task.created_at).getTime();
  for (const attempt of attempts) {
    const from = new Date(attempt.started_at).getTime();
    const to = attempt.ended_at ? new Date(attempt.ended_at).getTime() : now;
    if (from > since) parts.push({ key: `w${attempt.attempt}`, kind: 'wait', from: since, to: from });
    parts.push({ key: `r${attempt.attempt}`, kind: 'run', from, to, attempt });
    since = to;
  }
  const end = task.completed_at ? new Date(task.completed_at).getTime() : now;
  if (end > since && task.status !== 'running') parts.push({ key: 'w', kind: 'wait', from: since, to: end });
  return parts;
}

export function Timeline({ task, attempts, now }: { task: TaskShown; attempts: AttemptShown[]; now: number }) {
  const { t } = useTranslation('task');
  const format = useFormat();
  const { token } = theme.useToken();
  const parts = partsOf(task, attempts, now);
  const color = (part: Part) => {
    if (part.kind === 'wait') return token.colorFillSecondary;
    const outcome = part.attempt?.outcome;
    return outcome === 'completed' ? token.colorSuccess : outcome === null || outcome === undefined ? token.colorPrimary : outcome === 'rate_limited' || outcome === 'returned' ? token.colorWarning : token.colorError;
  };
  return (
    <Card size="small" title={t('timeline.title')}>
      <div role="img" aria-label={t('timeline.title')} style={{ display: 'flex', gap: 2, height: 22, marginBottom: 12 }}>
        {parts.map((part) => (
          <Tooltip key={part.key} title={`${t(part.kind === 'wait' ? 'timeline.waited' : 'timeline.ran')} ${format.duration(part.to - part.from)}`}>
            <div style={{ flexGrow: Math.max(part.to - part.from, 1), flexBasis: 4, minWidth: 4, borderRadius: 3, background: color(part) }} />
          </Tooltip>
        ))}
      </div>
      {attempts.length === 0 && <Typography.Text type="secondary">{t('timeline.none')}</Typography.Text>}
      <ol style={{ margin: 0, padding: 0, listStyle: 'none', display: 'grid', gap: 8 }}>
        {attempts.map((attempt) => (
          <li key={attempt.attempt} style={{ display: 'flex', flexWrap: 'wrap', gap: 8, alignItems: 'baseline' }}>
            <strong className="num">{attempt.attempt}</strong>
            <Tag color={attempt.outcome === 'completed' ? 'success' : attempt.outcome === null ? 'processing' : attempt.outcome === 'failed' || attempt.outcome === 'crashed' ? 'error' : 'warning'}>{t(`outcome.${attempt.outcome ?? 'running'}`)}</Tag>
            <Moment at={attempt.started_at} />
            <span className="num">{format.duration((attempt.ended_at ? new Date(attempt.ended_at).getTime() : now) - new Date(attempt.started_at).getTime())}</span>
            {attempt.endpoint && <Tag>{attempt.endpoint}</Tag>}
            {attempt.ttft_ms !== null && <Typography.Text type="secondary">{t('timeline.ttft', { time: format.duration(attempt.ttft_ms) })}</Typography.Text>}
            {attempt.error && <Typography.Text type="danger" style={{ flexBasis: '100%', overflowWrap: 'anywhere' }}>{attempt.error.code}{attempt.error.http_status ? ` (${attempt.error.http_status})` : ''}: {attempt.error.message}</Typography.Text>}
          </li>
        ))}
      </ol>
    </Card>
  );
}
