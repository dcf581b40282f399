import { KeyOutlined, MoreOutlined, PlusOutlined } from '@ant-design/icons';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { App, Button, Card, Checkbox, Dropdown, Form, Progress, Segmented, Select, Space, Tag, Typography } from 'antd';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { body } from '../../api/client';
import { deleteApiKeysKeyId, getApiKeys, getApiKeysKeyId, postApiKeysKeyIdRenew, type ApiKeyMade, type ApiKeyRenewed, type ApiKeyShown } from '../../api/gen';
import { useMay, useMe } from '../../api/me';
import { origin } from '../../app/base';
import { Code, EmptyState, Loaded, Moment } from '../../components/basics';
import { DataTable } from '../../components/DataTable';
import { useFormat } from '../../components/format';
import { KeyModal } from './KeyModal';
import { Facts, FormModal, More, Section, ShownOnce, useChange } from './parts';

const STATE_COLOR = { active: 'success', expired: 'orange', revoked: 'default' } as const;
const OVERLAPS_S = [0, 3_600, 86_400, 604_800, 2_592_000] as const;

/** What a key may do and what its budgets say. */
function Details({ shown }: { shown: ApiKeyShown }) {
  const { t } = useTranslation('settings');
  const format = useFormat();
  const query = useQuery({ queryKey: ['key', shown.id], queryFn: ({ signal }) => body(getApiKeysKeyId({ path: { key_id: shown.id }, signal, throwOnError: true })) });
  const tags = (values: string[]) => <Space wrap size={4}>{values.map((one) => <Tag key={one} className="mono" style={{ marginInlineEnd: 0 }}>{one}</Tag>)}</Space>;
  return (
    <Loaded query={query} rows={3}>
      {(key) => (
        <Facts
          rows={[
            [t('keys.permissions'), tags(key.scopes)],
            [t('keys.models'), key.allowed_models ? tags(key.allowed_models) : t('keys.everyModel')],
            [t('keys.networks'), key.networks.length ? tags(key.networks) : t('keys.everywhere')],
            [t('keys.rpm'), key.rpm === null ? t('unlimited') : format.number(key.rpm)],
            [t('keys.created'), <Moment key="c" at={key.created_at} />],
            ...(key.revoked_at ? [[t('keys.revokedAt'), <Moment key="r" at={key.revoked_at} />] as [string, React.ReactNode]] : []),
            [
              t('keys.budgets'),
              key.budgets.length === 0 ? t('keys.noBudgets', { id: key.id }) : (
                <div key="b" style={{ display: 'grid', gap: 8, maxWidth: 360 }}>
                  {key.budgets.map((budget) => (
                    <div key={budget.id}>
                      <strong>{budget.name}</strong> <span className="num">{format.money(budget.spent_microusd)} / {format.money(budget.limit_microusd)}</span>
                      <Progress size="small" showInfo={false} aria-label={budget.name} percent={budget.limit_microusd ? Math.min(100, (100 * budget.spent_microusd) / budget.limit_microusd) : 100} status={budget.room_microusd > 0 ? 'normal' : 'exception'} />
                    </div>
                  ))}
                </div>
              ),
            ],
          ]}
        />
      )}
    </Loaded>
  );
}

/** What to do with the text that is seen this once. */
function Made({ made, onClose }: { made: ApiKeyMade | ApiKeyRenewed; onClose: () => void }) {
  const { t } = useTranslation('settings');
  const format = useFormat();
  const curl = `curl ${origin()}/api/v1/models \\\n  -H 'Authorization: Bearer ${made.key}'`;
  return (
    <ShownOnce title={t('keys.madeTitle', { name: made.name })} label={t('keys.text')} text={made.key} warning={t('keys.madeWarning')} onClose={onClose}>
      {'replaces' in made && <Typography.Paragraph style={{ marginTop: 12 }}>{t('keys.replaces', { name: made.replaces.name, time: made.replaces.expires_at ? format.time(made.replaces.expires_at) : '–' })}</Typography.Paragraph>}
      <Typography.Paragraph style={{ margin: '12px 0 4px' }}>{t('keys.try')}</Typography.Paragraph>
      <Code text={curl} label={t('keys.try')} maxHeight={140} />
    </ShownOnce>
  );
}

function Renew({ shown, onMade, onClose }: { shown: ApiKeyShown; onMade: (made: ApiKeyRenewed) => void; onClose: () => void }) {
  const { t } = useTranslation('settings');
  return (
    <FormModal<{ overlap_s: number }>
      title={t('keys.renewTitle', { name: shown.name })}
      okText={t('keys.renew')}
      width={420}
      names={['overlap_s']}
      initial={{ overlap_s: 86_400 }}
      onSend={async ({ overlap_s }) => onMade(await body(postApiKeysKeyIdRenew({ path: { key_id: shown.id }, body: { overlap_s }, throwOnError: true })))}
      onClose={onClose}
    >
      <Typography.Paragraph>{t('keys.renewHint')}</Typography.Paragraph>
      <Form.Item name="overlap_s" label={t('keys.overlap')}><Select options={OVERLAPS_S.map((value) => ({ value, label: t(`keys.overlaps.${value}`) }))} /></Form.Item>
    </FormModal>
  );
}

export default function Keys() {
  const { t } = useTranslation('settings');
  const { t: words } = useTranslation();
  const { modal } = App.useApp();
  const may = useMay();
  const { data: me } = useMe();
  const [params, setParams] = useSearchParams();
  const isOfPerson = me?.user != null;
  const isAll = may('keys:manage') && (params.get('whose') === 'all' || !isOfPerson);
  const withRevoked = params.get('revoked') === '1';
  const set = (name: string, value: string | null) => setParams((before) => { if (value) before.set(name, value); else before.delete(name); return before; }, { replace: true });
  const [open, setOpen] = useState<{ kind: 'add' } | { kind: 'change' | 'renew'; key: ApiKeyShown } | null>(null);
  const [made, setMade] = useState<ApiKeyMade | ApiKeyRenewed>();
  const query = useInfiniteQuery({
    queryKey: ['keys', isAll, withRevoked],
    enabled: me !== undefined,
    queryFn: ({ pageParam, signal }) => body(getApiKeys({ query: { limit: 100, all: isAll, revoked: withRevoked, ...(pageParam ? { cursor: pageParam } : {}) }, signal, throwOnError: true })),
    initialPageParam: '',
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const keys = useMemo(() => query.data?.pages.flatMap(({ items }) => items) ?? [], [query.data]);
  const revoke = useChange(({ id }: ApiKeyShown) => deleteApiKeysKeyId({ path: { key_id: id }, throwOnError: true }), { told: (_, { name }) => t('keys.revoked', { name }) });
  const askRevoke = (key: ApiKeyShown) =>
    void modal.confirm({ title: t('keys.revokeTitle', { name: key.name }), content: t('keys.revokeHint'), okText: t('keys.revoke'), cancelText: words('action.cancel'), okButtonProps: { danger: true }, onOk: () => revoke.mutateAsync(key).catch(() => undefined) });
  const add = <Button type="primary" icon={<PlusOutlined />} onClick={() => setOpen({ kind: 'add' })}>{t('keys.add')}</Button>;
  const empty = <EmptyState title={t('keys.none')} hint={t('keys.noneHint')} action={add} />;
  return (
    <Section title={t('section.keys')} sub={t('keys.sub')} extra={add}>
      <Space wrap>
        {may('keys:manage') && isOfPerson && (
          <Segmented aria-label={t('keys.whose.label')} value={isAll ? 'all' : 'own'} onChange={(value) => set('whose', value === 'all' ? 'all' : null)} options={(['own', 'all'] as const).map((value) => ({ value, label: t(`keys.whose.${value}`) }))} />
        )}
        <Checkbox checked={withRevoked} onChange={(event) => set('revoked', event.target.checked ? '1' : null)}>{t('keys.withRevoked')}</Checkbox>
      </Space>
      <Card size="small" styles={{ body: { padding: 0 } }}>
        <Loaded query={query}>
          {() => keys.length === 0 ? empty : (
            <DataTable<ApiKeyShown>
              size="small"
              rowKey="id"
              dataSource={keys}
              pagination={false}
              scroll={{ x: isAll ? 920 : 800 }}
              expandable={{ expandedRowRender: (key) => <Details shown={key} />, expandRowByClick: false }}
              columns={[
                { title: t('keys.name'), render: (_, { name, prefix }) => <div style={{ minWidth: 160 }}><strong>{name}</strong><br /><Typography.Text type="secondary" className="mono">{prefix}…</Typography.Text></div> },
                ...(isAll ? [{ title: t('keys.user'), width: 140, ellipsis: true, dataIndex: 'user' }] : []),
                { title: t('keys.state'), width: 90, render: (_, { state }) => <Tag color={STATE_COLOR[state]}>{t(`keys.states.${state}`)}</Tag> },
                { title: t('keys.scopes'), width: 170, render: (_, { scopes }) => <Space wrap size={4}>{scopes.slice(0, 2).map((one) => <Tag key={one} className="mono" style={{ marginInlineEnd: 0 }}>{one}</Tag>)}{scopes.length > 2 && <Typography.Text type="secondary">+{scopes.length - 2}</Typography.Text>}</Space> },
                { title: t('keys.lastUsed'), width: 110, render: (_, { last_used_at }) => last_used_at ? <Moment at={last_used_at} isRelative /> : <Typography.Text type="secondary">{words('time.never')}</Typography.Text> },
                { title: t('keys.expires'), width: 140, render: (_, { expires_at }) => expires_at ? <Moment at={expires_at} /> : <Typography.Text type="secondary">{words('time.never')}</Typography.Text> },
                {
                  title: <span className="visually-hidden">{t('actions')}</span>,
                  fixed: 'end' as const,
                  width: 56,
                  render: (_, key) => key.state !== 'revoked' && (
                    <Dropdown
                      trigger={['click']}
                      menu={{
                        items: [
                          { key: 'change', label: words('action.edit'), onClick: () => setOpen({ kind: 'change', key }) },
                          { key: 'renew', label: t('keys.renew'), onClick: () => setOpen({ kind: 'renew', key }) },
                          { type: 'divider' },
                          { key: 'revoke', danger: true, label: t('keys.revoke'), onClick: () => askRevoke(key) },
                        ],
                      }}
                    >
                      <Button size="small" type="text" icon={<MoreOutlined />} aria-label={`${words('action.more')}: ${key.name}`} />
                    </Dropdown>
                  ),
                },
              ]}
            />
          )}
        </Loaded>
      </Card>
      <More query={query} label={t('keys.older')} />
      <Typography.Text type="secondary"><KeyOutlined aria-hidden /> {t('keys.note')}</Typography.Text>
      {open?.kind === 'add' && <KeyModal onMade={setMade} onClose={() => setOpen(null)} />}
      {open?.kind === 'change' && <KeyModal changed={open.key} onMade={setMade} onClose={() => setOpen(null)} />}
      {open?.kind === 'renew' && <Renew shown={open.key} onMade={setMade} onClose={() => setOpen(null)} />}
      {made && <Made made={made} onClose={() => setMade(undefined)} />}
    </Section>
  );
}
