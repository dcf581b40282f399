import { DownloadOutlined, SafetyCertificateOutlined } from '@ant-design/icons';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Alert, AutoComplete, Button, Card, Dropdown, Input, Select, Space, Tag, Typography } from 'antd';
import { useEffect, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { body } from '../../api/client';
import { download } from '../../api/download';
import { getAudit, getAuditVerify, type AuditEntryShown } from '../../api/gen';
import { useMay, useMe } from '../../api/me';
import { Code, CopyButton, EmptyState, Loaded, Moment } from '../../components/basics';
import { DataTable } from '../../components/DataTable';
import { useFormat } from '../../components/format';
import { auditFilterOf, auditQueryOf, localOf, OUTCOMES, SPANS, type AuditFilter } from './audit';
import { Facts, FormProblem, More, Section, useChange } from './parts';

const COLOR = { done: 'success', refused: 'gold', failed: 'error' } as const;
/** Everything of one kind; single ones are written out: `model.change`. */
const KINDS = ['account', 'audit', 'budget', 'dead_letters', 'endpoint', 'key', 'login', 'member', 'model', 'price', 'task', 'tasks', 'tenant', 'user'];

/** A text that asks only when it is done: Enter, or the focus goes. */
function Wanted({ label, value, onChange, options }: { label: string; value: string | undefined; onChange: (text: string) => void; options?: string[] }) {
  const [text, setText] = useState(value ?? '');
  useEffect(() => setText(value ?? ''), [value]);
  const done = () => text.trim() !== (value ?? '') && onChange(text.trim());
  if (options)
    return (
      <AutoComplete
        style={{ width: 160 }}
        value={text}
        onChange={(next: string | undefined) => setText(next ?? '')}
        onSelect={(next: string | undefined) => onChange(next ?? '')}
        onBlur={done}
        options={options.filter((one) => one.includes(text)).map((one) => ({ value: one }))}
      >
        <Input allowClear aria-label={label} placeholder={label} onPressEnter={done} onClear={() => onChange('')} />
      </AutoComplete>
    );
  return <Input allowClear style={{ width: 160 }} aria-label={label} placeholder={label} value={text} onChange={(event) => setText(event.target.value)} onPressEnter={done} onBlur={done} onClear={() => onChange('')} />;
}

function Filters({ filter, onChange }: { filter: AuditFilter; onChange: (next: AuditFilter) => void }) {
  const { t } = useTranslation('settings');
  const { t: words } = useTranslation();
  const may = useMay();
  const { data: me } = useMe();
  const isOwnTime = filter.from !== undefined || filter.to !== undefined;
  const [isCustom, setCustom] = useState(isOwnTime);
  const { span: _span, from: _from, to: _to, ...timeless } = filter;
  const when = isCustom || isOwnTime ? 'custom' : (filter.span ?? 'all');
  const choose = (value: string) => {
    setCustom(value === 'custom');
    if (value !== 'custom') onChange(value === 'all' ? timeless : { ...timeless, span: value });
  };
  const bound = (name: 'from' | 'to', text: string) => onChange({ ...timeless, from: filter.from, to: filter.to, [name]: text ? new Date(text).toISOString() : undefined });
  return (
    <Space wrap size={8}>
      <Wanted label={t('audit.actor')} value={filter.actor} onChange={(actor) => onChange({ ...filter, actor })} />
      <Wanted label={t('audit.action')} value={filter.action} options={KINDS} onChange={(action) => onChange({ ...filter, action })} />
      <Wanted label={t('audit.target')} value={filter.target} onChange={(target) => onChange({ ...filter, target })} />
      {may('system:read') && (me?.tenants.length ?? 0) > 1 && <Select allowClear showSearch style={{ width: 140 }} aria-label={t('audit.tenant')} placeholder={t('audit.tenant')} value={filter.tenant} onChange={(tenant?: string) => onChange({ ...filter, tenant })} options={me?.tenants.map(({ name }) => ({ value: name, label: name }))} />}
      <Select allowClear style={{ width: 130 }} aria-label={t('audit.outcome')} placeholder={t('audit.outcome')} value={filter.outcome} onChange={(outcome?: AuditFilter['outcome']) => onChange({ ...filter, outcome })} options={OUTCOMES.map((value) => ({ value, label: t(`audit.outcomes.${value}`) }))} />
      <Select style={{ width: 150 }} aria-label={t('audit.time')} value={when} onChange={choose} options={['all', ...Object.keys(SPANS), 'custom'].map((value) => ({ value, label: t(`audit.spans.${value as 'all'}`) }))} />
      {when === 'custom' && (
        <>
          <Input type="datetime-local" style={{ width: 190 }} aria-label={t('audit.from')} value={localOf(filter.from)} onChange={(event) => bound('from', event.target.value)} />
          <Input type="datetime-local" style={{ width: 190 }} aria-label={t('audit.to')} value={localOf(filter.to)} onChange={(event) => bound('to', event.target.value)} />
        </>
      )}
      {Object.values(filter).some(Boolean) && <Button type="link" onClick={() => { setCustom(false); onChange({}); }}>{words('action.reset')}</Button>}
    </Space>
  );
}

function Details({ entry }: { entry: AuditEntryShown }) {
  const { t } = useTranslation('settings');
  const json = (value: object | null) => (value === null ? '' : JSON.stringify(value, null, 2));
  return (
    <div style={{ display: 'grid', gap: 12 }}>
      {(entry.before || entry.after) && (
        <div style={{ display: 'grid', gap: 12, gridTemplateColumns: 'repeat(auto-fit, minmax(min(100%, 240px), 1fr))' }}>
          {(['before', 'after'] as const).map((side) => (
            <div key={side} style={{ minWidth: 0 }}>
              <Typography.Text strong>{t(`audit.${side}`)}</Typography.Text>
              {entry[side] ? <Code text={json(entry[side])} label={t(`audit.${side}`)} maxHeight={260} /> : <div><Typography.Text type="secondary">–</Typography.Text></div>}
            </div>
          ))}
        </div>
      )}
      <Facts
        rows={[
          [t('audit.address'), <span key="a" className="mono">{entry.address || '–'}</span>],
          [t('audit.request'), <span key="r" className="mono">{entry.request_id || '–'}</span>],
          [t('audit.actorKind'), t(`audit.kinds.${entry.actor.kind}`)],
          [t('audit.hash'), <span key="h" className="mono" style={{ overflowWrap: 'anywhere' }}>{entry.hash} <CopyButton text={entry.hash} label={t('audit.copyHash')} /></span>],
        ]}
      />
    </div>
  );
}

function Verify() {
  const { t } = useTranslation('settings');
  const format = useFormat();
  const [expected, setExpected] = useState('');
  const verify = useChange(() => body(getAuditVerify({ query: expected.trim() ? { expect: expected.trim() } : {}, throwOnError: true })), { isQuiet: true });
  const found = verify.data;
  return (
    <Card size="small" title={t('audit.chain')}>
      <Typography.Paragraph type="secondary">{t('audit.chainHint')}</Typography.Paragraph>
      <Space wrap>
        <Input allowClear className="mono" style={{ width: 'min(360px, 78vw)' }} aria-label={t('audit.expect')} placeholder={t('audit.expect')} value={expected} onChange={(event) => setExpected(event.target.value)} />
        <Button icon={<SafetyCertificateOutlined />} loading={verify.isPending} onClick={() => verify.mutate(undefined)}>{t('audit.verify')}</Button>
      </Space>
      <div role="status" style={{ marginTop: found || verify.error ? 12 : 0 }}>
        <FormProblem error={verify.error} />
        {found && (
          <Alert
            type={found.ok ? 'success' : 'error'}
            showIcon
            title={found.ok ? t('audit.whole', { count: found.rows, n: format.number(found.rows) }) : t('audit.broken', { id: found.first_broken_id ?? '–' })}
            description={
              <>
                {found.detail && <div>{found.detail}</div>}
                <div>{t('audit.head', { id: found.head_id })} <span className="mono" style={{ overflowWrap: 'anywhere' }}>{found.head_hash}</span> <CopyButton text={found.head_hash} label={t('audit.copyHead')} /></div>
                <div>{t(found.is_guarded ? 'audit.guarded' : 'audit.unguarded')}</div>
              </>
            }
          />
        )}
      </div>
    </Card>
  );
}

export default function Audit() {
  const { t } = useTranslation('settings');
  const may = useMay();
  const [params, setParams] = useSearchParams();
  const key = params.toString();
  const filter = useMemo(() => auditFilterOf(new URLSearchParams(key)), [key]);
  const change = (next: AuditFilter) => setParams(Object.fromEntries(Object.entries(next).filter((pair): pair is [string, string] => Boolean(pair[1]))));
  const query = useInfiniteQuery({
    queryKey: ['audit', filter],
    queryFn: ({ pageParam, signal }) => body(getAudit({ query: { ...auditQueryOf(filter), limit: 50, ...(pageParam ? { cursor: pageParam } : {}) }, signal, throwOnError: true })),
    initialPageParam: '',
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: (before) => before,
  });
  const entries = useMemo(() => query.data?.pages.flatMap(({ items }) => items) ?? [], [query.data]);
  const save = useChange((format: 'csv' | 'ndjson') => download('/api/v1/audit/export', { ...auditQueryOf(filter), format }, `audit.${format}`));
  const seesAll = may('system:read');
  const extra = (
    <Dropdown trigger={['click']} menu={{ items: (['csv', 'ndjson'] as const).map((format) => ({ key: format, label: t(`audit.export.${format}`), onClick: () => save.mutate(format) })) }}>
      <Button icon={<DownloadOutlined />} loading={save.isPending}>{t('audit.export.label')}</Button>
    </Dropdown>
  );
  return (
    <Section title={t('section.audit')} sub={t('audit.sub')} extra={extra}>
      <Filters filter={filter} onChange={change} />
      <Card size="small" styles={{ body: { padding: 0 } }}>
        <Loaded query={query} rows={8}>
          {() => (
            <DataTable<AuditEntryShown>
              size="small"
              rowKey="id"
              dataSource={entries}
              pagination={false}
              scroll={{ x: 820 }}
              locale={{ emptyText: <EmptyState title={t('audit.none')} hint={t('audit.noneHint')} /> }}
              expandable={{ expandedRowRender: (entry) => <Details entry={entry} />, columnWidth: 40 }}
              columns={[
                { title: t('audit.time'), width: 140, render: (_, { at }) => <Moment at={at} /> },
                { title: t('audit.actor'), width: 120, ellipsis: true, render: (_, { actor }) => actor.name || t(`audit.kinds.${actor.kind}`) },
                { title: t('audit.action'), width: 170, render: (_, { action }) => <code className="mono">{action}</code> },
                { title: t('audit.target'), ellipsis: true, render: (_, { target }) => <>{target.name || '–'} <Typography.Text type="secondary">{target.kind}</Typography.Text></> },
                { title: t('audit.outcome'), width: 100, render: (_, { outcome }) => <Tag color={COLOR[outcome]}>{t(`audit.outcomes.${outcome}`)}</Tag> },
                ...(seesAll ? [{ title: t('audit.tenant'), width: 100, ellipsis: true, render: (_: unknown, { tenant }: AuditEntryShown) => tenant ?? <Typography.Text type="secondary">{t('audit.ofAll')}</Typography.Text> }] : []),
              ]}
            />
          )}
        </Loaded>
      </Card>
      <More query={query} label={t('audit.older')} />
      {seesAll && <Verify />}
    </Section>
  );
}
