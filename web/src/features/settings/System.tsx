import { useQuery } from '@tanstack/react-query';
import { Card, Input, Switch, Table, Tag, Typography } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { getHealthz, getSystemSettings, type ReadyShown, type SettingShown } from '../../api/gen';
import { useMay } from '../../api/me';
import { ApiProblem } from '../../api/problem';
import { basename } from '../../app/base';
import { useLive } from '../../app/refresh';
import { EmptyState, Loaded } from '../../components/basics';
import { Facts, Section } from './parts';

/** What the parts say, also when the process may get no traffic: that answer is a problem that names them. */
async function readiness(signal: AbortSignal): Promise<{ status: 'ok' | 'degraded' | 'down'; parts: Record<string, string> }> {
  const answer = await fetch(`${basename}/readyz`, { signal }).catch((error: unknown) => {
    throw signal.aborted ? error : new ApiProblem(0, undefined);
  });
  const value = (await answer.json().catch(() => ({}))) as Partial<ReadyShown>;
  if (!value.parts) throw new ApiProblem(answer.status, value as object);
  return { status: answer.ok ? (value.status ?? 'ok') : 'down', parts: value.parts };
}

function Health() {
  const { t } = useTranslation('settings');
  const live = useLive(2);
  const version = useQuery({ queryKey: ['healthz'], queryFn: ({ signal }) => body(getHealthz({ signal, throwOnError: true })) });
  const ready = useQuery({ queryKey: ['readyz'], queryFn: ({ signal }) => readiness(signal), ...live });
  return (
    <Card size="small" title={t('system.health')} extra={ready.data && <Tag color={ready.data.status === 'ok' ? 'success' : ready.data.status === 'degraded' ? 'gold' : 'error'} style={{ marginInlineEnd: 0 }}>{t(`system.statuses.${ready.data.status}`)}</Tag>}>
      <Loaded query={ready} rows={3}>
        {({ parts }) => (
          <Facts
            rows={[
              [t('system.version'), version.data?.version ?? '–'],
              ...Object.entries(parts).map(([name, state]): [string, React.ReactNode] => [
                name in PARTS ? t(`system.part.${name as keyof typeof PARTS}`) : name,
                <span key={name}><span aria-hidden style={{ color: state === 'ok' ? 'var(--ant-color-success, #217a3c)' : 'var(--ant-color-error, #c92a2a)' }}>● </span>{state === 'ok' ? t('system.ok') : state}</span>,
              ]),
            ]}
          />
        )}
      </Loaded>
    </Card>
  );
}

const PARTS = { store: true, broker: true, claims: true } as const;

/** Those that were set first, then by name. */
const byWeight = (items: SettingShown[]) => items.toSorted((a, b) => Number(a.source === 'default') - Number(b.source === 'default') || a.name.localeCompare(b.name));

function shownValue({ value }: SettingShown): string {
  if (value === null || value === '') return '–';
  if (Array.isArray(value)) return value.length ? value.join(', ') : '–';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function Settings() {
  const { t } = useTranslation('settings');
  const [text, setText] = useState('');
  const [isOnlySet, setOnlySet] = useState(false);
  const query = useQuery({ queryKey: ['settings'], queryFn: ({ signal }) => body(getSystemSettings({ signal, throwOnError: true })) });
  const wanted = text.trim().toLowerCase();
  return (
    <Card
      size="small"
      title={t('system.settings')}
      extra={<label style={{ display: 'flex', gap: 8, alignItems: 'center' }}><Switch size="small" checked={isOnlySet} onChange={setOnlySet} />{t('system.onlySet')}</label>}
      styles={{ body: { padding: 0 } }}
    >
      <div style={{ padding: 12 }}>
        <Typography.Paragraph type="secondary">{t('system.settingsHint')}</Typography.Paragraph>
        <Input allowClear data-search style={{ maxWidth: 320 }} aria-label={t('system.search')} placeholder={t('system.search')} value={text} onChange={(event) => setText(event.target.value)} />
      </div>
      <Loaded query={query} rows={8}>
        {({ items }) => (
          <Table<SettingShown>
            size="small"
            rowKey="name"
            dataSource={byWeight(items).filter(({ name, variable, meaning, source }) => (!isOnlySet || source !== 'default') && `${name} ${variable} ${meaning}`.toLowerCase().includes(wanted))}
            pagination={{ pageSize: 20, size: 'small', hideOnSinglePage: true, showSizeChanger: false }}
            tableLayout="fixed"
            locale={{ emptyText: <EmptyState title={t('system.noneFound')} /> }}
            columns={[
              { title: t('system.setting'), render: (_, { variable, meaning }) => <div style={{ overflowWrap: 'anywhere' }}><span className="mono">{variable}</span><br /><Typography.Text type="secondary" lang="en" style={{ fontSize: 12 }}>{meaning}</Typography.Text></div> },
              {
                title: t('system.value'),
                width: '38%',
                render: (_, setting) => (
                  <div style={{ overflowWrap: 'anywhere' }}>
                    <span className="mono">{shownValue(setting)}</span>
                    {setting.source !== 'default' && <div><Tag color="blue" style={{ whiteSpace: 'normal' }}>{t('system.source', { source: setting.source === 'command line' ? t('system.commandLine') : setting.source })}</Tag></div>}
                  </div>
                ),
              },
            ]}
          />
        )}
      </Loaded>
    </Card>
  );
}

export default function System() {
  const { t } = useTranslation('settings');
  const may = useMay();
  return (
    <Section title={t('section.system')} sub={t('system.sub')}>
      <Health />
      {may('system:read') && <Settings />}
    </Section>
  );
}
