import { useQuery, useQueryClient } from '@tanstack/react-query';
import { App, Button, Card, Space, Tag, Tooltip, Typography } from 'antd';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { deleteMeSessionsLoginId, getMeSessions, postAuthLogoutEverywhere, type SignInShown } from '../../api/gen';
import { forget } from '../../api/session';
import { EmptyState, Loaded, Moment } from '../../components/basics';
import { DataTable } from '../../components/DataTable';
import { agentOf } from './agent';
import { useChange } from './parts';

/** Sign-ins that are alive, and their end. */
export function Sessions() {
  const { t } = useTranslation('settings');
  const { t: words } = useTranslation();
  const { modal } = App.useApp();
  const queries = useQueryClient();
  const query = useQuery({ queryKey: ['sessions'], queryFn: ({ signal }) => body(getMeSessions({ signal, throwOnError: true })) });
  const end = useChange(async (ids: number[]) => {
    for (const id of ids) await deleteMeSessionsLoginId({ path: { login_id: id }, throwOnError: true });
    return ids.length;
  }, { told: (count) => t('sessions.ended', { count }) });
  const everywhere = useChange(() => body(postAuthLogoutEverywhere({ throwOnError: true })), {
    onDone: () => {
      queries.clear();
      forget();
    },
  });
  const others = query.data?.items.filter(({ is_current }) => !is_current) ?? [];
  const ask = (title: string, content: string, okText: string, onOk: () => Promise<unknown>) =>
    void modal.confirm({ title, content, okText, cancelText: words('action.cancel'), okButtonProps: { danger: true }, onOk: () => onOk().catch(() => undefined) });
  return (
    <Card
      size="small"
      title={t('sessions.title')}
      extra={
        <Space wrap size={4}>
          {others.length > 0 && <Button size="small" onClick={() => ask(t('sessions.endOthers'), t('sessions.endOthersHint', { count: others.length }), t('sessions.endOthers'), () => end.mutateAsync(others.map(({ id }) => id)))}>{t('sessions.endOthers')}</Button>}
          <Button size="small" danger type="text" onClick={() => ask(t('sessions.everywhere'), t('sessions.everywhereHint'), t('sessions.everywhere'), () => everywhere.mutateAsync(undefined))}>{t('sessions.everywhere')}</Button>
        </Space>
      }
      styles={{ body: { padding: 0 } }}
    >
      <Loaded query={query}>
        {({ items }) => (
          <DataTable<SignInShown>
            size="small"
            rowKey="id"
            dataSource={items}
            pagination={{ pageSize: 10, size: 'small', hideOnSinglePage: true, showSizeChanger: false }}
            scroll={{ x: 760 }}
            locale={{ emptyText: <EmptyState title={t('sessions.none')} /> }}
            columns={[
              {
                title: t('sessions.device'),
                render: (_, { agent, is_current }) => (
                  <Space wrap size={4}>
                    <Tooltip title={agent}><span>{agentOf(agent) || t('sessions.unknown')}</span></Tooltip>
                    {is_current && <Tag color="success">{t('sessions.current')}</Tag>}
                  </Space>
                ),
              },
              { title: t('sessions.address'), width: 150, render: (_, { address }) => <Typography.Text className="mono">{address}</Typography.Text> },
              { title: t('sessions.tenant'), width: 110, ellipsis: true, render: (_, { tenant }) => tenant ?? '–' },
              { title: t('sessions.used'), width: 130, render: (_, { used_at }) => <Moment at={used_at} isRelative /> },
              { title: t('sessions.until'), width: 150, render: (_, { expires_at }) => <Moment at={expires_at} /> },
              {
                title: <span className="visually-hidden">{t('actions')}</span>,
                fixed: 'end' as const,
                width: 80,
                render: (_, { id, is_current, agent }) => !is_current && <Button size="small" type="text" danger aria-label={`${t('sessions.end')} ${agentOf(agent)}`} onClick={() => end.mutate([id])}>{t('sessions.end')}</Button>,
              },
            ]}
          />
        )}
      </Loaded>
    </Card>
  );
}
