import { CheckOutlined, CopyOutlined, WarningOutlined } from '@ant-design/icons';
import { Alert, Button, Empty, Result, Skeleton, Space, Tag, Tooltip, Typography } from 'antd';
import { useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { problemOf } from '../api/problem';
import { MONO } from '../app/theme';
import { copyText } from './clipboard';
import { useFormat } from './format';
import { useSliced } from './sliced';
import type { Status } from './status';

const COLOR: Record<Status, string> = {
  blocked: 'default',
  scheduled: 'cyan',
  queued: 'blue',
  held: 'gold',
  running: 'processing',
  completed: 'success',
  failed: 'error',
  cancelled: 'default',
  expired: 'orange',
};

export function StatusTag({ status }: { status: Status }) {
  const { t } = useTranslation();
  return <Tag color={COLOR[status]} style={{ marginInlineEnd: 0 }}>{t(`status.${status}`)}</Tag>;
}

/** A moment in the reader's zone; the exact one, and how long ago, on hover. */
export function Moment({ at, isRelative = false }: { at: string | null | undefined; isRelative?: boolean }) {
  const format = useFormat();
  if (!at) return <span>–</span>;
  // The browser's own hint: antd's costs each row of a long list more than all the rest of it.
  return <time dateTime={at} title={`${format.exact(at)} · ${format.ago(at)}`} style={{ whiteSpace: 'nowrap' }}>{isRelative ? format.ago(at) : format.time(at)}</time>;
}

export function Priority({ value }: { value: number }) {
  const { t } = useTranslation();
  const name = value === 0 ? t('priority.high') : value === 5 ? t('priority.medium') : value === 9 ? t('priority.low') : undefined;
  return <span title={name ? String(value) : undefined}>{name ?? value}</span>;
}

export function CopyButton({ text, label, size = 'small' }: { text: string; label?: string; size?: 'small' | 'middle' }) {
  const { t } = useTranslation();
  const [end, setEnd] = useState<'copied' | 'notCopied'>();
  const copy = async (button: Element) => {
    setEnd((await copyText(text, button)) ? 'copied' : 'notCopied');
    setTimeout(() => setEnd(undefined), 1500);
  };
  const icon = end === 'copied' ? <CheckOutlined /> : end ? <WarningOutlined /> : <CopyOutlined />;
  return (
    <Tooltip title={end ? t(`action.${end}`) : (label ?? t('action.copy'))}>
      <Button type="text" size={size} aria-label={label ?? t('action.copy')} icon={icon} onClick={(event) => void copy(event.currentTarget)} />
    </Tooltip>
  );
}

/** Text as it is, with a button that copies it. */
export function Code({ text, maxHeight = 420, label }: { text: string; maxHeight?: number; label?: string }) {
  return (
    <div className="code">
      <div className="code-copy"><CopyButton text={text} label={label} /></div>
      <pre tabIndex={0} aria-label={label} style={{ fontFamily: MONO, maxHeight }}>{text}</pre>
    </div>
  );
}

/** What went wrong, with the way on. */
export function ErrorView({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { t } = useTranslation();
  const problem = problemOf(error);
  if (problem.status === 403) return <Result status="403" title={t('error.forbiddenTitle')} subTitle={problem.message || t('error.forbidden')} />;
  if (problem.status === 404) return <Result status="404" title={t('error.notFoundTitle')} subTitle={problem.message} />;
  const text = problem.status === 0 ? t('error.unreachable') : problem.message;
  return (
    <Alert
      type="error"
      showIcon
      role="alert"
      title={t('error.title')}
      description={<Space orientation="vertical" size={4}><span>{text}</span>{problem.requestId && <Typography.Text type="secondary" code>{t('error.requestId', { id: problem.requestId })}</Typography.Text>}</Space>}
      action={onRetry && <Button size="small" onClick={onRetry}>{t('action.retry')}</Button>}
    />
  );
}

export function EmptyState({ title, hint, action }: { title: string; hint?: ReactNode; action?: ReactNode }) {
  return (
    <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} style={{ padding: '32px 0' }} description={<Space orientation="vertical" size={4}><Typography.Text strong>{title}</Typography.Text>{hint && <Typography.Text type="secondary">{hint}</Typography.Text>}</Space>}>
      {action}
    </Empty>
  );
}

/** One of: still loading, failed, or what came. Old data stays while new is asked for. */
export function Loaded<T>({ query, children, rows = 4 }: { query: { data: T | undefined; error: unknown; isPending: boolean; refetch: () => unknown }; children: (data: T) => ReactNode; rows?: number }) {
  const isShown = useSliced(query.data !== undefined);
  if (query.data !== undefined && isShown) return <>{children(query.data)}</>;
  if (query.error) return <ErrorView error={query.error} onRetry={() => void query.refetch()} />;
  return <Skeleton active paragraph={{ rows }} title={false} />;
}

export function PageHeader({ title, extra, sub }: { title: ReactNode; extra?: ReactNode; sub?: ReactNode }) {
  return (
    <div className="page-header">
      <div>
        <Typography.Title level={1} style={{ fontSize: 22, margin: 0 }}>{title}</Typography.Title>
        {sub && <Typography.Text type="secondary">{sub}</Typography.Text>}
      </div>
      {extra && <Space wrap>{extra}</Space>}
    </div>
  );
}
