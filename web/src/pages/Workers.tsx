import { WarningOutlined } from '@ant-design/icons';
import { Alert, Card, Progress, Tag, theme, Tooltip } from 'antd';
import { useTranslation } from 'react-i18next';
import { useWorkers } from '../api/stats';
import { EmptyState, Loaded, Moment, PageHeader } from '../components/basics';
import { DataTable } from '../components/DataTable';
import { useFormat } from '../components/format';

const LATE_MS = 5_000;
const MIB = 1024 * 1024;

export function Component() {
  const { t } = useTranslation('workers');
  const format = useFormat();
  const { token } = theme.useToken();
  const query = useWorkers();
  return (
    <>
      <PageHeader title={t('title')} sub={t('sub')} />
      <Loaded query={query}>
        {({ items }) => {
          const versions = new Set(items.map(({ version }) => version)).size;
          const runners = items.filter(({ role }) => role !== 'api');
          const running = items.reduce((sum, one) => sum + one.running, 0);
          const total = [t('processes', { count: runners.length, n: format.number(runners.length) }), t('calls', { count: running, n: format.number(running) })].join(' · ');
          const newest = Math.max(...items.map(({ heartbeat_at }) => new Date(heartbeat_at).getTime()));
          return (
            <>
              {runners.length === 0 && <Alert style={{ marginBottom: 12 }} type="error" showIcon title={t('none')} description={t('noneHint')} />}
              {versions > 1 && <Alert style={{ marginBottom: 12 }} type="info" showIcon title={t('versions', { count: versions })} />}
              <Card size="small" title={total} styles={{ body: { padding: 0 } }}>
                <DataTable
                  size="small"
                  rowKey="id"
                  pagination={items.length > 50 ? { pageSize: 50 } : false}
                  dataSource={items}
                  scroll={{ x: 780 }}
                  locale={{ emptyText: <EmptyState title={t('none')} hint={t('noneHint')} /> }}
                  columns={[
                    { title: t('column.process'), render: (_, { id, host, pid }) => <span>{host ?? `#${id}`} <span className="num" style={{ color: token.colorTextSecondary }}>{pid}</span></span> },
                    { title: t('column.role'), width: 130, render: (_, { role }) => <Tag>{t(`role.${role}`)}</Tag> },
                    { title: t('column.running'), width: 90, align: 'right', className: 'num', render: (_, { running, role }) => (role === 'api' ? '–' : format.number(running)) },
                    { title: t('column.cpu'), width: 140, render: (_, { cpu_percent }) => <Progress percent={Math.round(cpu_percent)} size="small" status="normal" strokeColor={cpu_percent > 90 ? token.colorWarning : token.colorPrimary} aria-label={t('column.cpu')} /> },
                    { title: t('column.memory'), width: 110, align: 'right', className: 'num', render: (_, { rss_bytes }) => `${format.number(Math.round(rss_bytes / MIB))} MiB` },
                    { title: t('column.version'), width: 100, render: (_, { version }) => version },
                    { title: t('column.started'), width: 120, render: (_, { started_at }) => <Moment at={started_at} isRelative /> },
                    {
                      title: t('column.heartbeat'),
                      width: 130,
                      render: (_, { heartbeat_at }) => (
                        <span>
                          <Moment at={heartbeat_at} isRelative />{' '}
                          {newest - new Date(heartbeat_at).getTime() > LATE_MS && <Tooltip title={t('late')}><WarningOutlined tabIndex={0} aria-label={t('late')} style={{ color: token.colorWarning }} /></Tooltip>}
                        </span>
                      ),
                    },
                  ]}
                />
              </Card>
            </>
          );
        }}
      </Loaded>
    </>
  );
}
